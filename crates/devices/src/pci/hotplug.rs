//! Slots whose functions come and go while the machine runs: the registers behind the DSDT's hot-plug methods. (PCI
//! Express has its own way, which a function on the root bus cannot use.)
use std::sync::Arc;

use platform::{Device, Region, SavedError, SavedState, device};
use serde::{Deserialize, Serialize};

/// Bytes of the registers.
pub const HOTPLUG_BYTES: u64 = 12;
/// Offset of the slots that have got a function, a bit each; 4 bytes, reading clears.
pub const SLOTS_UP: u64 = 0;
/// Offset of the slots whose function shall go; 4 bytes, reading clears.
pub const SLOTS_DOWN: u64 = 4;
/// Offset of the slots whose function the operating system lets go: 4 bytes, written.
pub const SLOTS_EJECT: u64 = 8;

const VERSION: u32 = 1;

/// Called with the number of a slot whose function may go.
pub type Eject = Arc<dyn Fn(u8) + Send + Sync>;

/// The registers.
///
/// Lock order: they are outer to the PCI root, which `eject` may lock.
pub struct SlotControl {
    state: State,
    /// Raises the general-purpose event whose method looks here.
    event: Arc<dyn Fn() + Send + Sync>,
    eject: Eject,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    up: u32,
    down: u32,
}

impl SlotControl {
    /// Registers with nothing to tell.
    pub fn new(event: Arc<dyn Fn() + Send + Sync>, eject: Eject) -> Self {
        Self { state: State::default(), event, eject }
    }
    /// There is a function in a slot now.
    pub fn plugged(&mut self, slot: u8) {
        self.state.up |= 1 << (slot & 31);
        (self.event)();
    }
    /// The operating system shall let go of the function in a slot.
    pub fn ask_to_unplug(&mut self, slot: u8) {
        self.state.down |= 1 << (slot & 31);
        (self.event)();
    }
}

impl Device for SlotControl {
    fn name(&self) -> &'static str {
        "pci-hotplug"
    }
    fn reset(&mut self) {
        self.state = State::default();
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        let value = match (offset, data.len()) {
            (SLOTS_UP, 4) => std::mem::take(&mut self.state.up),
            (SLOTS_DOWN, 4) => std::mem::take(&mut self.state.down),
            _ => 0,
        };
        device::put_register(data, value.into());
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        if (offset, data.len()) == (SLOTS_EJECT, 4) {
            let slots = device::get_register(data) as u32;
            (0..32).filter(|slot| slots & 1 << slot != 0).for_each(|slot| (self.eject)(slot));
        }
    }
    fn save(&self) -> SavedState {
        let Self { state, event: _, eject: _ } = self;
        SavedState::new(VERSION, state)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.state = saved.take(VERSION)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn read(control: &mut SlotControl, offset: u64) -> u32 {
        let mut data = [0; 4];
        control.read(Region(0), offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn slots_are_told_once_and_ejected_one_by_one() {
        let (events, ejected) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (count, gone) = (Arc::clone(&events), Arc::clone(&ejected));
        let event = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let eject = Arc::new(move |slot: u8| {
            gone.fetch_or(1 << slot, Ordering::SeqCst);
        });
        let mut control = SlotControl::new(event, eject);
        control.plugged(3);
        control.plugged(5);
        control.ask_to_unplug(31);
        assert_eq!(events.load(Ordering::SeqCst), 3);
        assert_eq!((read(&mut control, SLOTS_UP), read(&mut control, SLOTS_UP)), (0b10_1000, 0));
        assert_eq!((read(&mut control, SLOTS_DOWN), read(&mut control, SLOTS_DOWN)), (1 << 31, 0));
        control.write(Region(0), SLOTS_EJECT, &0x8000_0008_u32.to_le_bytes());
        assert_eq!(ejected.load(Ordering::SeqCst), 0x8000_0008);
    }
}
