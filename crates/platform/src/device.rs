//! What every device model offers its machine.
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{SavedError, SavedState};

/// Which of a device's register ranges is meant; the device numbers them. One region may sit on a port bus and
/// another on the memory bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(pub u16);

/// A device as the buses and the machine see it.
///
/// Everything that the guest passes in is hostile: accesses come in any length from 1 to 8 bytes, at any offset inside
/// the region, and never reach past its end (the bus splits those that would).
pub trait Device: Send {
    /// A short fixed name for logs and saved states.
    fn name(&self) -> &'static str;
    /// Back to the state after power-on. Interrupt lines fall, timers are disarmed.
    fn reset(&mut self);
    /// Reads `data.len()` bytes at `offset` of a region. Whoever has no registers leaves `data` alone: it is all ones.
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        let _ = (region, offset, data);
    }
    /// Writes `data` at `offset` of a region.
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        let _ = (region, offset, data);
    }
    /// The device's state, of a version that its `restore` takes.
    fn save(&self) -> SavedState;
    /// Takes a state that `save` made: lines are driven and timers armed as it says.
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError>;
}

/// A device, shared by the buses it is on and whoever else drives it.
pub type SharedDevice = Arc<Mutex<dyn Device>>;

/// A register value as the bytes of an access: low bytes first, zeros beyond the value.
pub fn put_register(data: &mut [u8], value: u64) {
    let bytes = value.to_le_bytes();
    for (index, byte) in data.iter_mut().enumerate() {
        *byte = bytes.get(index).copied().unwrap_or(0);
    }
}

/// The bytes of an access as a register value; bytes past the eighth are ignored.
pub fn get_register(data: &[u8]) -> u64 {
    data.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_little_endian_and_any_length_goes() {
        let mut data = [0xff; 10];
        put_register(&mut data, 0x0102_0304_0506_0708);
        assert_eq!(data, [8, 7, 6, 5, 4, 3, 2, 1, 0, 0]);
        assert_eq!(get_register(&data[..2]), 0x0708);
        assert_eq!(get_register(&data), 0x0102_0304_0506_0708);
    }
}
