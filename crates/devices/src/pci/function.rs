//! What a PCI function offers.
use platform::Device;

use super::config::ConfigSpace;

/// Where a function is on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

/// A device with a configuration space. What its BAR `n` decodes is its region `n`.
pub trait PciFunction: Device {
    /// The configuration space.
    fn config(&self) -> &ConfigSpace;
    /// The configuration space, to write.
    fn config_mut(&mut self) -> &mut ConfigSpace;
    /// A read of configuration space; `at` is below 256, `data` does not cross a dword.
    fn config_read(&mut self, at: usize, data: &mut [u8]) {
        self.config().read(at, data);
    }
    /// A write to configuration space; `at` is below 256, `data` does not cross a dword.
    fn config_write(&mut self, at: usize, data: &[u8]) {
        self.config_mut().write(at, data);
    }
}
