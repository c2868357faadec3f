//! Configuration mechanism 1, ports 0xcf8 to 0xcff (PCI 3.0 §3.2.2.3.2), and the reset control port 0xcf9 inside it.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Device, Region, SavedError, SavedState, device};

use super::function::Address;
use super::segment::Segment;
use super::spec::{self, reset};
use crate::i8042::ResetRequest;

const VERSION: u32 = 1;
/// Offset of the reset control port: byte accesses only, where the address takes dwords only.
const RESET_CONTROL: u64 = 1;
/// Offset of the data port.
const DATA: u64 = 4;

/// Eight ports, its only region.
pub struct ConfigPorts {
    segment: Arc<Segment>,
    reset: ResetRequest,
    address: u32,
    reset_control: u8,
}

impl ConfigPorts {
    /// Ports that reach the functions of `segment`; `reset` is called when the guest asks for one.
    pub fn new(segment: Arc<Segment>, reset: ResetRequest) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { segment, reset, address: 0, reset_control: 0 }))
    }
    /// Bus, function and offset that an access of the data port means.
    fn target(&self, offset: u64) -> Option<(u8, Address, usize)> {
        if self.address & spec::ADDRESS_ENABLE == 0 {
            return None;
        }
        let function = Address {
            device: (self.address >> 11 & 0x1f) as u8,
            function: (self.address >> 8 & 7) as u8,
        };
        let at = (self.address & 0xfc) as usize + (offset - DATA) as usize;
        Some(((self.address >> 16) as u8, function, at))
    }
}

impl Device for ConfigPorts {
    fn name(&self) -> &'static str {
        "pci-config"
    }
    fn reset(&mut self) {
        self.address = 0;
        self.reset_control = 0;
    }
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        match (offset, data.len()) {
            (0, 4) => device::put_register(data, self.address.into()),
            (RESET_CONTROL, 1) => data[0] = self.reset_control,
            (DATA.., _) => {
                if let Some((bus, function, at)) = self.target(offset) {
                    self.segment.read(bus, function, at, data);
                }
            }
            _ => {}
        }
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        match (offset, data) {
            (0, [_, _, _, _]) => self.address = device::get_register(data) as u32,
            (RESET_CONTROL, [value]) => {
                let rises = value & !self.reset_control & reset::RESET_CPU != 0;
                self.reset_control = value & reset::WRITABLE;
                if rises {
                    (self.reset)();
                }
            }
            (DATA.., _) => {
                if let Some((bus, function, at)) = self.target(offset) {
                    self.segment.write(bus, function, at, data);
                }
            }
            _ => {}
        }
    }
    fn save(&self) -> SavedState {
        let Self { segment: _, reset: _, address, reset_control } = self;
        SavedState::new(VERSION, &(*address, *reset_control))
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        (self.address, self.reset_control) = saved.take(VERSION)?;
        Ok(())
    }
}
