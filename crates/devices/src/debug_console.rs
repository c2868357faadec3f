//! The debug console, port 0xe9 of Bochs and QEMU: bytes written come out, reads tell that it is there.
use platform::{Device, Region, SavedError, SavedState};

/// What reading gives, by which guests find the console.
const READ_BACK: u8 = 0xe9;

/// Takes the guest's bytes, all of them and in order. Called with the device's lock held; a slow taker slows the guest.
pub type DebugOutput = Box<dyn FnMut(&[u8]) + Send>;

/// The debug console.
pub struct DebugConsole {
    output: DebugOutput,
}

impl DebugConsole {
    /// A console that writes to `output`.
    pub fn new(output: DebugOutput) -> Self {
        Self { output }
    }
}

impl Device for DebugConsole {
    fn name(&self) -> &'static str {
        "debug-console"
    }
    fn reset(&mut self) {}
    fn read(&mut self, _region: Region, _offset: u64, data: &mut [u8]) {
        data.fill(READ_BACK);
    }
    fn write(&mut self, _region: Region, _offset: u64, data: &[u8]) {
        (self.output)(data);
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
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_reads_tell_its_presence() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&text);
        let mut console = DebugConsole::new(Box::new(move |bytes| log.lock().extend_from_slice(bytes)));
        console.write(Region(0), 0, b"a");
        console.write(Region(0), 0, b"bc");
        assert_eq!(*text.lock(), b"abc");
        let mut data = [0];
        console.read(Region(0), 0, &mut data);
        assert_eq!(data, [0xe9]);
    }
}
