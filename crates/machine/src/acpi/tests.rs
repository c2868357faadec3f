//! The tables by their checksums and cross references, and by the ACPI compiler where there is one.
use std::io::ErrorKind;
use std::process::Command;

use super::*;
use crate::boot::fields::{u32_at, u64_at};

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn table<'a>(tables: &'a Tables, signature: &[u8; 4]) -> &'a [u8] {
    let placed = tables.placed().iter().find(|table| table.signature == *signature);
    tables.bytes_of(*placed.unwrap())
}

fn at(tables: &Tables, address: u64) -> &[u8] {
    tables.bytes_of(*tables.placed().iter().find(|table| table.address == address).unwrap())
}

#[test]
fn every_table_adds_up_to_zero_and_knows_its_length() {
    for cpus in [1, 2, 64] {
        let tables = Tables::build(cpus);
        assert_eq!(sum(&tables.bytes[..20]), 0);
        assert_eq!(sum(&tables.bytes[..Rsdp::len()]), 0);
        for placed in tables.placed() {
            let bytes = tables.bytes_of(*placed);
            assert_eq!(u32_at(bytes, 4), Some(placed.length as u32), "{:?}", placed.signature);
            assert!(placed.signature == *b"FACS" || sum(bytes) == 0, "{:?}", placed.signature);
        }
    }
}

#[test]
fn the_root_leads_to_every_table() {
    let tables = Tables::build(1);
    assert_eq!(&tables.bytes[..8], b"RSD PTR ");
    let xsdt = at(&tables, u64_at(&tables.bytes, 24).unwrap());
    let entries: Vec<[u8; 4]> = xsdt[36..]
        .chunks_exact(8)
        .map(|entry| at(&tables, u64_at(entry, 0).unwrap())[..4].try_into().unwrap())
        .collect();
    assert_eq!(entries, [*b"FACP", *b"APIC", *b"HPET", *b"MCFG"]);
    let fadt = table(&tables, b"FACP");
    assert_eq!(&at(&tables, u64_at(fadt, 140).unwrap())[..4], b"DSDT");
    assert_eq!(u32_at(fadt, 40).map(u64::from), u64_at(fadt, 140));
    assert_eq!(&at(&tables, u32_at(fadt, 36).unwrap().into())[..4], b"FACS");
}

#[test]
fn the_madt_lists_every_cpu() {
    for cpus in [1_u8, 4] {
        let tables = Tables::build(cpus);
        let mut rest = &table(&tables, b"APIC")[44..];
        let mut seen = Vec::new();
        while let [kind, length, ..] = *rest {
            if kind == 0 {
                seen.push(rest[3]);
            }
            rest = &rest[usize::from(length)..];
        }
        assert_eq!(seen, (0..cpus).collect::<Vec<_>>());
    }
}

#[test]
fn tables_are_placed_in_guest_ram() {
    let ram = GuestRam::new(1 << 20).unwrap();
    let tables = Tables::build(1);
    let rsdp = tables.write(&ram).unwrap();
    let mut signature = [0; 8];
    ram.read(Gpa(rsdp), &mut signature).unwrap();
    assert_eq!(&signature, b"RSD PTR ");
    assert_eq!(rsdp % 16, 0);
}

#[test]
fn too_many_tables_are_an_error() {
    let mut tables = Tables::build(1);
    tables.bytes.resize(low::ACPI_BYTES as usize + 1, 0);
    assert!(tables.write(&GuestRam::new(1 << 20).unwrap()).is_err());
}

/// Decompiles each table with Intel's compiler, compiles it again, and wants no error, no warning and no remark.
#[test]
fn the_acpi_compiler_accepts_every_table() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::build(2);
    for placed in tables.placed().iter().filter(|placed| placed.signature != *b"FACS") {
        let name = String::from_utf8(placed.signature.to_vec()).unwrap();
        std::fs::write(directory.path().join(format!("{name}.aml")), tables.bytes_of(*placed)).unwrap();
        let Some(decompiled) = iasl(directory.path(), &["-d", &format!("{name}.aml")]) else { return };
        assert!(!decompiled.to_lowercase().contains("error"), "{name}: {decompiled}");
        assert!(!decompiled.to_lowercase().contains("warning"), "{name}: {decompiled}");
        let compiled = iasl(directory.path(), &["-p", "again", &format!("{name}.dsl")]).unwrap();
        assert!(compiled.contains("0 Errors, 0 Warnings, 0 Remarks"), "{name}: {compiled}");
    }
}

/// Runs the compiler; `None`, with a word about it, if this machine has none.
fn iasl(directory: &std::path::Path, arguments: &[&str]) -> Option<String> {
    match Command::new("iasl").current_dir(directory).args(arguments).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: no iasl here (package acpica-tools)");
            None
        }
        Err(error) => panic!("cannot run iasl: {error}"),
    }
}
