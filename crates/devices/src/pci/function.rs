//! What every PCI function offers the root.
use platform::Device;

use super::ConfigSpace;

/// A device in a slot. Its windows reach [`Device::read`] and [`Device::write`] with the number of the base address
/// register as the region.
pub trait PciFunction: Device {
    /// Its configuration space.
    fn config(&self) -> &ConfigSpace;
    /// Reads configuration space.
    fn read_config(&mut self, register: u16, data: &mut [u8]) {
        self.config().read(register, data);
    }
    /// Writes configuration space. The root looks at the windows afterwards.
    fn write_config(&mut self, register: u16, data: &[u8]);
}
