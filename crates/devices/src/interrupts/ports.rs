//! The 8259A pair's ports and the I/O APIC's window, as devices for the buses.
use std::sync::Arc;

use platform::{Device, Region, SavedError, SavedState, device};

use super::Interrupts;
use crate::pic::Register;

/// Ports 0x20 and 0x21 of [`PicPorts`].
pub const PIC_MASTER_REGION: Region = Region(0);
/// Ports 0xa0 and 0xa1 of [`PicPorts`].
pub const PIC_SLAVE_REGION: Region = Region(1);
/// Ports 0x4d0 and 0x4d1 of [`PicPorts`].
pub const PIC_ELCR_REGION: Region = Region(2);
/// The only region of [`IoApicWindow`], 4 KiB.
pub const IOAPIC_REGION: Region = Region(0);

/// The ports of the 8259A pair. State and reset are [`Interrupts`]' own.
pub struct PicPorts(pub Arc<Interrupts>);

impl PicPorts {
    fn register(region: Region, offset: u64) -> Option<Register> {
        Some(match (region, offset) {
            (PIC_MASTER_REGION, 0) => Register::MasterCommand,
            (PIC_MASTER_REGION, 1) => Register::MasterData,
            (PIC_SLAVE_REGION, 0) => Register::SlaveCommand,
            (PIC_SLAVE_REGION, 1) => Register::SlaveData,
            (PIC_ELCR_REGION, 0) => Register::MasterElcr,
            (PIC_ELCR_REGION, 1) => Register::SlaveElcr,
            _ => return None,
        })
    }
}

impl Device for PicPorts {
    fn name(&self) -> &'static str {
        "pic"
    }
    fn reset(&mut self) {}
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        for (offset, byte) in (offset..).zip(data) {
            if let Some(register) = Self::register(region, offset) {
                *byte = self.0.read_pic(register);
            }
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        for (offset, byte) in (offset..).zip(data) {
            if let Some(register) = Self::register(region, offset) {
                self.0.write_pic(register, *byte);
            }
        }
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}

/// The registers of the I/O APIC. State and reset are [`Interrupts`]' own.
pub struct IoApicWindow(pub Arc<Interrupts>);

impl Device for IoApicWindow {
    fn name(&self) -> &'static str {
        "ioapic"
    }
    fn reset(&mut self) {}
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        let value = self.0.with_ioapic(|ioapic, _| ioapic.read(offset & !3)) >> ((offset & 3) * 8);
        device::put_register(data, value.into());
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        let value = device::get_register(data) as u32;
        self.0.with_ioapic(|ioapic, send| ioapic.write(offset, value, send));
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}
