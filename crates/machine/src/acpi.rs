//! ACPI tables (ACPI 6.5), built from the board plan and placed where a PC's firmware puts its root pointer.
//!
//! | table | file |
//! |---|---|
//! | RSDP, XSDT, FADT, FACS | [`fixed`] |
//! | MADT | [`madt`] |
//! | HPET, MCFG | [`timers`], [`fixed`] |
//! | DSDT | [`dsdt`] |
use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use platform::GuestRam;
use x86::Gpa;

use crate::board::low;

pub mod dsdt;
pub mod fixed;
mod hotplug;
pub mod madt;
mod resource;
pub mod timers;

/// Who made the tables.
pub const OEM_ID: [u8; 6] = *b"GASANG";
/// Which machine they describe.
pub const OEM_TABLE_ID: [u8; 8] = *b"GASANGPC";
/// Version of that machine.
pub const OEM_REVISION: u32 = 1;

/// Alignment of tables; the FACS wants it (§5.2.10), the others do not mind.
const TABLE_ALIGN: u64 = 64;

/// The tables outgrew their place, which the number of CPUs decides.
#[derive(Debug, thiserror::Error)]
#[error("the ACPI tables of {bytes} bytes do not fit into the {} reserved ones", low::ACPI_BYTES)]
pub struct AcpiError {
    /// What they would need.
    pub bytes: u64,
}

/// All tables of one machine, as bytes that belong at [`low::ACPI`]; the RSDP comes first.
#[derive(Clone, Debug)]
pub struct Tables {
    bytes: Vec<u8>,
    placed: Vec<PlacedTable>,
}

/// One table inside [`Tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedTable {
    /// Its signature.
    pub signature: [u8; 4],
    /// Its guest-physical address.
    pub address: u64,
    /// Its length in bytes.
    pub length: usize,
}

impl Tables {
    /// The tables of a machine with `cpus` CPUs whose APIC ids are 0 to `cpus - 1`.
    pub fn build(cpus: u8) -> Self {
        let mut tables = Self { bytes: vec![0; Rsdp::len()], placed: Vec::new() };
        let dsdt = tables.place(&dsdt::dsdt(cpus));
        let facs = tables.place(&aml_bytes(&acpi_tables::facs::FACS::new()));
        let described = [
            aml_bytes(&fixed::fadt(dsdt, facs)),
            madt::madt(cpus),
            timers::hpet(),
            aml_bytes(&fixed::mcfg()),
        ];
        let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
        for table in &described {
            xsdt.add_entry(tables.place(table));
        }
        let xsdt = tables.place(&aml_bytes(&xsdt));
        tables.bytes[..Rsdp::len()].copy_from_slice(&aml_bytes(&Rsdp::new(OEM_ID, xsdt)));
        tables
    }

    /// Copies the tables to guest RAM and returns the address of the RSDP.
    pub fn write(&self, ram: &GuestRam) -> Result<u64, AcpiError> {
        let bytes = self.bytes.len() as u64;
        if bytes > low::ACPI_BYTES {
            return Err(AcpiError { bytes });
        }
        ram.write(Gpa(low::ACPI), &self.bytes).ok_or(AcpiError { bytes })?;
        Ok(low::ACPI)
    }

    /// Every table but the RSDP, in the order of their addresses.
    pub fn placed(&self) -> &[PlacedTable] {
        &self.placed
    }

    /// The bytes of one of [`Tables::placed`].
    pub fn bytes_of(&self, table: PlacedTable) -> &[u8] {
        let start = (table.address - low::ACPI) as usize;
        &self.bytes[start..start + table.length]
    }

    /// Appends a table and returns its guest-physical address.
    fn place(&mut self, table: &[u8]) -> u64 {
        let start = (self.bytes.len() as u64).next_multiple_of(TABLE_ALIGN);
        self.bytes.resize(start as usize, 0);
        self.bytes.extend(table);
        let mut signature = [0; 4];
        signature.copy_from_slice(&table[..4]);
        let address = low::ACPI + start;
        self.placed.push(PlacedTable { signature, address, length: table.len() });
        address
    }
}

fn aml_bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
