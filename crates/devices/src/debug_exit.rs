//! A port by which a guest ends its machine with an exit code, as `isa-debug-exit` of QEMU does. Present on request.
use std::sync::Arc;

use platform::{Device, Region, SavedError, SavedState, device};

/// Ports that the device takes.
pub const DEBUG_EXIT_PORTS: u64 = 4;

/// Takes the exit code. Called with the device's lock held: it must neither wait nor lock devices.
pub type ExitSignal = Arc<dyn Fn(u32) + Send + Sync>;

/// The debug-exit device.
pub struct DebugExit {
    exit: ExitSignal,
}

impl DebugExit {
    /// A device that ends the machine by `exit`.
    pub fn new(exit: ExitSignal) -> Self {
        Self { exit }
    }
}

impl Device for DebugExit {
    fn name(&self) -> &'static str {
        "debug-exit"
    }
    fn reset(&mut self) {}
    fn read(&mut self, _region: Region, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }
    fn write(&mut self, _region: Region, _offset: u64, data: &[u8]) {
        let value = device::get_register(data) as u32;
        (self.exit)(value << 1 | 1);
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn the_code_is_odd_and_as_wide_as_the_access() {
        let codes = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&codes);
        let mut port = DebugExit::new(Arc::new(move |code| log.lock().push(code)));
        port.write(Region(0), 0, &[0]);
        port.write(Region(0), 0, &[0x10]);
        port.write(Region(0), 0, &[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(*codes.lock(), [1, 0x21, 0xffff_ffff]);
    }
}
