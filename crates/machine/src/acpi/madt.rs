//! The multiple APIC description table (ACPI 6.5 §5.2.12).
use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use acpi_tables::sdt::Sdt;
use zerocopy::IntoBytes;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::board::{IOAPIC_ID, gsi, irq, mmio};

const REVISION: u8 = 5;
/// Header, address of the local APICs, flags.
const HEADER_BYTES: u32 = 44;
/// Flag: there is a pair of 8259As too.
const PCAT_COMPAT: u32 = 1 << 0;
/// Structure types that `acpi_tables` does not have.
const INTERRUPT_OVERRIDE: u8 = 2;
const LOCAL_APIC_NMI: u8 = 4;
/// MPS INTI flags (table 5.28): as the bus does; or active high and level.
const CONFORMS: u16 = 0;
const ACTIVE_HIGH_LEVEL: u16 = 0b1101;
/// All processors.
const ALL_PROCESSORS: u8 = 0xff;
/// Which local interrupt input NMIs come in by.
const NMI_INPUT: u8 = 1;

/// The MADT of `cpus` CPUs, as bytes.
pub fn madt(cpus: u8) -> Vec<u8> {
    let mut table = Sdt::new(*b"APIC", HEADER_BYTES, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.write_u32(36, mmio::LAPIC_BASE as u32);
    table.write_u32(40, PCAT_COMPAT);
    for cpu in 0..cpus {
        table.append_slice(ProcessorLocalApic::new(cpu, cpu, EnabledStatus::Enabled).as_bytes());
    }
    table.append_slice(IoApic::new(IOAPIC_ID, mmio::IOAPIC_BASE as u32, 0).as_bytes());
    table.append_slice(&interrupt_override(irq::TIMER, gsi::TIMER, CONFORMS));
    table.append_slice(&interrupt_override(irq::SCI, irq::SCI.into(), ACTIVE_HIGH_LEVEL));
    table.append_slice(&local_apic_nmi());
    table.as_slice().to_vec()
}

/// ISA interrupt `source` comes in at `gsi` (§5.2.12.5).
fn interrupt_override(source: u8, gsi: u32, flags: u16) -> [u8; 10] {
    let mut bytes = [INTERRUPT_OVERRIDE, 10, 0, source, 0, 0, 0, 0, 0, 0];
    bytes[4..8].copy_from_slice(&gsi.to_le_bytes());
    bytes[8..10].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// NMIs come in at the same input of each local APIC (§5.2.12.7).
fn local_apic_nmi() -> [u8; 6] {
    [LOCAL_APIC_NMI, 6, ALL_PROCESSORS, 0, 0, NMI_INPUT]
}
