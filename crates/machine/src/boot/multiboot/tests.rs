//! Multiboot loading, on kernels of a header and a few bytes.
use super::*;
use crate::boot::fields::u64_at;
use crate::boot::samples::{self, put_u32};
use x86::Gpa;

fn boot(kernel: &[u8], modules: &[&[u8]], cmdline: &str) -> Result<(GuestRam, CpuState), BootError> {
    let directory = tempfile::tempdir().unwrap();
    let images = samples::images(directory.path(), kernel, modules, cmdline);
    let ram = GuestRam::new(64 << 20).unwrap();
    let state = crate::boot::load(&images, &ram, 0xe_0000)?;
    Ok((ram, state))
}

fn bytes(ram: &GuestRam, address: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ram.read(Gpa(u64::from(address)), &mut bytes).unwrap();
    bytes
}

#[test]
fn an_elf_kernel_starts_at_its_entry_point() {
    let (_, state) = boot(&samples::multiboot_elf(), &[], "").unwrap();
    assert_eq!(state.rip, samples::MULTIBOOT_ADDRESS);
    assert_eq!(state.gpr[reg::RAX], 0x2bad_b002);
}

#[test]
fn information_lists_modules_map_and_command_line() {
    let (ram, state) = boot(&samples::multiboot_elf(), &[b"one", b"three"], "-x").unwrap();
    let info = bytes(&ram, state.gpr[reg::RBX] as u32, INFO_BYTES);
    let field = |offset| u32_at(&info, offset).unwrap();
    assert_eq!(bytes(&ram, field(16), 10), b"kernel -x\0");
    assert_eq!(field(8), (64 << 10) - 1024);
    assert_eq!(field(20), 2);
    let modules = bytes(&ram, field(24), 32);
    let module = |offset| u32_at(&modules, offset).unwrap();
    assert_eq!(bytes(&ram, module(16), 5), b"three");
    assert_eq!(module(20) - module(16), 5);
    assert_eq!(module(16) % 4096, 0);
    assert_eq!(bytes(&ram, module(24), 8), b"initrd1\0");
    assert!(u64::from(module(0)) > samples::MULTIBOOT_ADDRESS);
    let map = bytes(&ram, field(48), field(44) as usize);
    let second = u32_at(&map, 0).unwrap() as usize + 4;
    assert_eq!(u64_at(&map, second + 4), Some(low::CONVENTIONAL_END));
}

#[test]
fn a_flat_kernel_is_loaded_by_its_header() {
    let (ram, state) = boot(&samples::multiboot_flat(), &[], "").unwrap();
    assert_eq!(state.rip, 0x10_1000);
    assert_eq!(bytes(&ram, 0x10_0000, 4), 0x1bad_b002_u32.to_le_bytes());
    assert_eq!(bytes(&ram, 0x10_0020, 4), b"code");
}

#[test]
fn a_flat_kernel_may_have_bytes_before_what_is_loaded() {
    let mut kernel = vec![0xcc; 64];
    kernel.extend(samples::multiboot_flat());
    let (ram, _) = boot(&kernel, &[], "").unwrap();
    assert_eq!(bytes(&ram, 0x10_0020, 4), b"code");
}

#[test]
fn hostile_address_fields_are_errors() {
    for (offset, value) in [
        (12, 0x0f_ffff_u32), // header below the load address
        (16, 0x0f_0000),     // load address further before the header than the file begins
        (20, 0x0f_ffff),     // end before start
        (20, 0xffff_ffff),   // end beyond the file
        (24, 0xffff_fff0),   // zeroed memory beyond RAM
    ] {
        let mut kernel = samples::multiboot_flat();
        put_u32(&mut kernel, offset, value);
        assert!(boot(&kernel, &[], "").is_err(), "field at {offset} = {value:#x}");
    }
}

#[test]
fn a_header_at_the_end_of_the_file_is_truncated() {
    let kernel = &samples::multiboot_flat()[..20];
    assert!(matches!(boot(kernel, &[], ""), Err(BootError::Truncated { .. })));
}

#[test]
fn unknown_requirements_are_refused() {
    let mut kernel = samples::multiboot_flat();
    let flags = HAS_ADDRESSES | 1 << 7;
    put_u32(&mut kernel, 4, flags);
    put_u32(&mut kernel, 8, 0_u32.wrapping_sub(HEADER_MAGIC).wrapping_sub(flags));
    assert!(matches!(boot(&kernel, &[], ""), Err(BootError::MultibootFeatures(0x80))));
}

#[test]
fn a_wrong_checksum_is_no_header() {
    let mut kernel = samples::multiboot_flat();
    kernel[8] ^= 1;
    assert_eq!(find_header(&kernel), None);
}
