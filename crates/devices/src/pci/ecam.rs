//! Memory-mapped configuration space (PCI Express 5.0 §7.2.2): a MiB a bus, 4 KiB a function.
use std::sync::Arc;

use platform::{Device, Region, SavedError, SavedState};

use super::function::Address;
use super::segment::Segment;
use super::spec;

/// The window, its only region.
pub struct Ecam(pub Arc<Segment>);

fn target(offset: u64) -> (u8, Address, usize) {
    let address = Address { device: (offset >> 15 & 0x1f) as u8, function: (offset >> 12 & 7) as u8 };
    ((offset >> 20) as u8, address, (offset % spec::ECAM_BYTES) as usize)
}

/// The parts of an access that each lie in one dword: their place in the data, and their offset.
fn dwords(offset: u64, length: usize) -> impl Iterator<Item = (std::ops::Range<usize>, u64)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let offset = offset + at as u64;
        let count = (4 - (offset % 4) as usize).min(length - at);
        let part = at..at + count;
        at += count;
        (count > 0).then_some((part, offset))
    })
}

impl Device for Ecam {
    fn name(&self) -> &'static str {
        "pci-ecam"
    }
    fn reset(&mut self) {}
    fn read(&mut self, _region: Region, offset: u64, data: &mut [u8]) {
        for (part, offset) in dwords(offset, data.len()) {
            let (bus, address, at) = target(offset);
            self.0.read(bus, address, at, &mut data[part]);
        }
    }
    fn write(&mut self, _region: Region, offset: u64, data: &[u8]) {
        for (part, offset) in dwords(offset, data.len()) {
            let (bus, address, at) = target(offset);
            self.0.write(bus, address, at, &data[part]);
        }
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}
