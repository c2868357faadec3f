//! Where a virtio function's registers are: windows, offsets, and the capabilities that tell (VirtIO 1.2 §4.1.4).
use super::spec::{self, capability};
use crate::pci::{BarKind, CAPABILITY_VENDOR, ConfigSpace, Identity};

/// The window of the registers.
pub const REGISTERS_BAR: u8 = 0;
/// Bytes of it.
const REGISTERS_BYTES: u64 = 0x4000;
/// The window of the MSI-X table and pending bits.
pub const MSIX_BAR: u8 = 1;
/// Bytes of it.
const MSIX_BYTES: u64 = 0x1000;
/// Offset of the pending bits.
pub const MSIX_PENDING: u32 = 0x800;
/// What fits before the pending bits.
pub const VECTORS_MAX: u16 = 128;

/// A part of the register window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Common configuration.
    Common,
    /// Interrupt status.
    Isr,
    /// The device's own configuration.
    Device,
    /// Notifications.
    Notify,
}

/// Bytes from one part to the next.
const PART_BYTES: u64 = 0x1000;
/// Bytes between the notification addresses of two queues.
pub const NOTIFY_MULTIPLIER: u32 = 4;

impl Part {
    /// The part at an offset in the register window, and the offset in it.
    pub fn at(offset: u64) -> (Self, u64) {
        let part = match offset / PART_BYTES {
            0 => Part::Common,
            1 => Part::Isr,
            2 => Part::Device,
            _ => Part::Notify,
        };
        (part, offset % PART_BYTES)
    }
    fn kind(self) -> u8 {
        match self {
            Part::Common => capability::COMMON,
            Part::Isr => capability::ISR,
            Part::Device => capability::DEVICE,
            Part::Notify => capability::NOTIFY,
        }
    }
    fn offset(self) -> u32 {
        let index = match self {
            Part::Common => 0,
            Part::Isr => 1,
            Part::Device => 2,
            Part::Notify => 3,
        };
        index * PART_BYTES as u32
    }
}

/// Configuration space of a device of this kind and class. Returns it with the offset of the capability that leads to
/// the registers through configuration space itself.
pub fn config_space(kind: u16, class: u32) -> (ConfigSpace, u16) {
    let mut config = ConfigSpace::new(&Identity {
        vendor: spec::VENDOR,
        device: spec::DEVICE_BASE + kind,
        revision: spec::REVISION,
        class,
        subsystem: (spec::VENDOR, spec::SUBSYSTEM),
    });
    config.set_interrupt_pin(1);
    config.add_bar(REGISTERS_BAR.into(), BarKind::Memory32, REGISTERS_BYTES);
    config.add_bar(MSIX_BAR.into(), BarKind::Memory32, MSIX_BYTES);
    for part in [Part::Common, Part::Isr, Part::Device, Part::Notify] {
        let length = if part == Part::Common { spec::common::BYTES as u32 } else { PART_BYTES as u32 };
        let mut body = body(part.kind(), part.offset(), length).to_vec();
        if part == Part::Notify {
            body[0] += 4;
            body.extend(NOTIFY_MULTIPLIER.to_le_bytes());
        }
        config.add_capability(CAPABILITY_VENDOR, &body, &[]);
    }
    let mut body = body(capability::PCI, 0, 0).to_vec();
    body[0] += 4;
    body.extend([0; 4]);
    let mut writable = [0; 18];
    // The window's number; offset and length.
    writable[2] = 0xff;
    writable[6..14].fill(0xff);
    let access = config.add_capability(CAPABILITY_VENDOR, &body, &writable);
    (config, access.into())
}

/// `struct virtio_pci_cap` after identification and pointer.
fn body(kind: u8, offset: u32, length: u32) -> [u8; 14] {
    let mut body = [0; 14];
    body[..3].copy_from_slice(&[capability::BYTES, kind, REGISTERS_BAR]);
    body[6..10].copy_from_slice(&offset.to_le_bytes());
    body[10..].copy_from_slice(&length.to_le_bytes());
    body
}
