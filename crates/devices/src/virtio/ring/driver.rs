//! The driver's side of a queue, for tests: written from the driver's requirements alone.
use platform::GuestRam;
use x86::Gpa;

use super::{Place, RingKind, Segment};

mod packed;
mod split;

/// Bytes of memory that one queue's areas and tables take.
pub const QUEUE_BYTES: u64 = 0x5_0000;

/// All kinds of rings.
pub const KINDS: [RingKind; 4] = [
    RingKind { packed: false, event_idx: false },
    RingKind { packed: false, event_idx: true },
    RingKind { packed: true, event_idx: false },
    RingKind { packed: true, event_idx: true },
];

/// When the driver wants to be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Always,
    Never,
    /// After so many more chains, or packed entries, from 1 on; always if there are no event indices.
    After(u16),
}

/// How a chain's descriptors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Direct,
    Indirect,
}

/// A queue as a driver sees it.
pub trait Driver: Send {
    /// Makes a chain available; `None` if there is no room for it.
    fn add(&mut self, readable: &[Segment], writable: &[Segment], form: Form) -> Option<u16>;
    /// The next chain that came back, and the bytes written.
    fn used(&mut self) -> Option<(u16, u32)>;
    /// Whether the device wants to be notified of what was added since this was last asked.
    fn must_notify(&mut self) -> bool;
    /// Says when to interrupt.
    fn want(&mut self, want: Want);
}

/// Where the areas of a queue at `base` are.
pub fn place_at(base: u64, size: u16) -> Place {
    assert!(size <= 256);
    Place { size, descriptors: base, driver: base + 0x1000, device: base + 0x2000 }
}

/// A driver of an empty queue.
pub fn driver(ram: &GuestRam, place: Place, kind: RingKind) -> Box<dyn Driver> {
    for area in [place.descriptors, place.driver, place.device] {
        ram.write(Gpa(area), &[0; 0x1000]).unwrap();
    }
    if kind.packed {
        Box::new(packed::PackedDriver::new(ram.clone(), place, kind.event_idx))
    } else {
        Box::new(split::SplitDriver::new(ram.clone(), place, kind.event_idx))
    }
}

/// Where the indirect table of a chain is.
fn table(place: &Place, id: u16) -> u64 {
    place.descriptors + 0x4000 + u64::from(id) * 0x400
}

/// Readable and writable buffers in one list, each with whether the device writes it.
fn buffers<'a>(
    readable: &'a [Segment],
    writable: &'a [Segment],
) -> impl ExactSizeIterator<Item = (Segment, bool)> + 'a {
    let all: Vec<_> =
        readable.iter().map(|s| (*s, false)).chain(writable.iter().map(|s| (*s, true))).collect();
    all.into_iter()
}
