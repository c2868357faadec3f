//! The HPET description table (IA-PC HPET 1.0a §3.2.4).
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::sdt::Sdt;
use zerocopy::IntoBytes;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::board::mmio;

const REVISION: u8 = 1;
const BYTES: u32 = 56;
/// Low half of the chip's capability register: Intel, legacy replacement, 64-bit counter, three comparators, revision 1.
/// It must be what the chip itself reads as.
const BLOCK_ID: u32 = 0x8086_a201;
/// Shortest period, in counter ticks, that loses no interrupt in periodic mode: 100 us.
const MINIMUM_TICKS: u16 = 10_000;

/// The HPET table, as bytes.
pub fn hpet() -> Vec<u8> {
    let mut table = Sdt::new(*b"HPET", BYTES, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let base = GAS::new(AddressSpace::SystemMemory, 64, 0, AccessSize::Undefined, mmio::HPET_BASE);
    table.write_u32(36, BLOCK_ID);
    table.write_bytes(40, base.as_bytes());
    table.write_u16(53, MINIMUM_TICKS);
    table.as_slice().to_vec()
}
