//! Port 0x80: firmware shows how far it got, and Linux writes to it to spend a microsecond.
use platform::{Device, Region, SavedError, SavedState};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The POST code, kept for whoever wants to see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostPort {
    code: u8,
}

impl PostPort {
    /// The last byte written.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl Device for PostPort {
    fn name(&self) -> &'static str {
        "post"
    }
    fn reset(&mut self) {
        *self = Self::default();
    }
    fn read(&mut self, _region: Region, _offset: u64, data: &mut [u8]) {
        data.fill(self.code);
    }
    fn write(&mut self, _region: Region, _offset: u64, data: &[u8]) {
        self.code = data.first().copied().unwrap_or(self.code);
    }
    fn save(&self) -> SavedState {
        SavedState::new(VERSION, self)
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        *self = saved.take(VERSION)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_code_reads_back() {
        let mut port = PostPort::default();
        port.write(Region(0), 0, &[0x42]);
        let mut data = [0];
        port.read(Region(0), 0, &mut data);
        assert_eq!((data, port.code()), ([0x42], 0x42));
    }
}
