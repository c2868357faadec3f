//! Registers of the I/O APIC.

/// Inputs.
pub const PINS: usize = 24;

/// Offset of the index register.
pub const IOREGSEL: u64 = 0x00;
/// Offset of the data window.
pub const IOWIN: u64 = 0x10;
/// Offset of the EOI register.
pub const EOI: u64 = 0x40;

/// Index: identification, in bits 27:24.
pub const IOAPICID: u8 = 0x00;
/// Index: version and number of inputs.
pub const IOAPICVER: u8 = 0x01;
/// Index: arbitration, in bits 27:24.
pub const IOAPICARB: u8 = 0x02;
/// Index: low half of the first redirection entry; the high half follows, then the next entry.
pub const IOREDTBL: u8 = 0x10;

/// Version 0x20 has the EOI register.
pub const VERSION: u32 = 0x20 | ((PINS as u32 - 1) << 16);
/// Bits of the identification.
pub const ID_MASK: u32 = 0x0f00_0000;

/// Redirection entry: delivery mode, bits 10:8.
pub const MODE_SHIFT: u32 = 8;
/// Redirection entry: the destination is logical.
pub const LOGICAL: u64 = 1 << 11;
/// Redirection entry: delivered and not yet ended; level triggered only.
pub const REMOTE_IRR: u64 = 1 << 14;
/// Redirection entry: level triggered.
pub const LEVEL: u64 = 1 << 15;
/// Redirection entry: masked.
pub const MASKED: u64 = 1 << 16;
/// Redirection entry: destination, bits 63:56.
pub const DESTINATION_SHIFT: u32 = 56;
/// Redirection entry: what software can write; status and remote IRR are the chip's.
pub const WRITABLE: u64 = 0xff00_0000_0001_afff;
