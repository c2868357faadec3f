//! What firmware does for PCI before it starts a kernel: gives every window a place and lets it answer. Linux would do so
//! itself; small kernels expect to find it done.
use std::ops::Range;

use super::config::BarKind;
use super::root::{Address, PciRoot};
use super::spec::{BAR0, BARS, COMMAND, command};

/// Addresses out of which windows get their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apertures {
    /// Memory, below 4 GiB.
    pub memory: Range<u64>,
    /// I/O ports.
    pub ports: Range<u64>,
}

impl PciRoot {
    /// Gives every window a place, in the order of slots, and enables those that got one. To be called after reset. A
    /// window that does not fit is left alone.
    pub fn assign_windows(&mut self, mut apertures: Apertures) {
        for address in self.addresses() {
            let enables = (0..BARS).fold(0, |enables, index| {
                enables | self.assign_window(address, index, &mut apertures).unwrap_or(0)
            });
            let mut before = [0; 2];
            self.read_config(address, COMMAND as u16, &mut before);
            let after = u16::from_le_bytes(before) | enables;
            self.write_config(address, COMMAND as u16, &after.to_le_bytes());
        }
    }

    /// Returns the bit of the command register that lets the window answer.
    fn assign_window(&mut self, address: Address, index: usize, apertures: &mut Apertures) -> Option<u16> {
        let (kind, length) = self.bar(address, index)?;
        let (aperture, enable) = match kind {
            BarKind::Io => (&mut apertures.ports, command::IO),
            BarKind::Memory32 | BarKind::Memory64 => (&mut apertures.memory, command::MEMORY),
        };
        let first = take(aperture, length);
        if first.is_none() {
            tracing::warn!(?address, index, length, "no place is left for a pci window");
        }
        let first = first?.to_le_bytes();
        let width = if kind == BarKind::Memory64 { 8 } else { 4 };
        self.write_config(address, (BAR0 + index * 4) as u16, &first[..width]);
        Some(enable)
    }
}

/// Takes `length` addresses, aligned to their number, off the front of an aperture.
fn take(aperture: &mut Range<u64>, length: u64) -> Option<u64> {
    let first = aperture.start.checked_next_multiple_of(length)?;
    let end = first.checked_add(length).filter(|end| *end <= aperture.end)?;
    aperture.start = end;
    Some(first)
}
