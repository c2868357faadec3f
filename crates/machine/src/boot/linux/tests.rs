//! Linux loading, on a kernel that consists of a header and a few bytes.
use super::*;
use crate::boot::samples::{self, put_u16, put_u32};
use platform::GuestRam;
use x86::Gpa;
use x86::control::EFER_LMA;

const RAM_BYTES: u64 = 64 << 20;
const RSDP: u64 = 0xe_0000;

fn boot(kernel: &[u8], initrds: &[&[u8]], cmdline: &str) -> Result<(GuestRam, CpuState), BootError> {
    let directory = tempfile::tempdir().unwrap();
    let images = samples::images(directory.path(), kernel, initrds, cmdline);
    let ram = GuestRam::new(RAM_BYTES).unwrap();
    let state = crate::boot::load(&images, &ram, RSDP)?;
    Ok((ram, state))
}

fn zero_page_of(ram: &GuestRam, state: &CpuState) -> Vec<u8> {
    let mut page = vec![0; 4096];
    ram.read(Gpa(state.gpr[reg::RSI]), &mut page).unwrap();
    page
}

fn bytes(ram: &GuestRam, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ram.read(Gpa(address), &mut bytes).unwrap();
    bytes
}

#[test]
fn entry_is_200_hex_above_the_loaded_code() {
    let (ram, state) = boot(&samples::bzimage(), &[], "").unwrap();
    assert_eq!(state.rip, samples::BZIMAGE_ADDRESS + 0x200);
    assert_ne!(state.efer & EFER_LMA, 0);
    assert_eq!(bytes(&ram, samples::BZIMAGE_ADDRESS, 16), samples::BZIMAGE_CODE[..16]);
    assert_eq!(state.rflags & x86::flags::IF, 0);
}

#[test]
fn boot_params_carry_command_line_initrd_map_and_rsdp() {
    let (ram, state) = boot(&samples::bzimage(), &[b"first", b"second"], "console=ttyS0").unwrap();
    let page = zero_page_of(&ram, &state);
    let u32_of = |offset| u64::from(u32_at(&page, offset).unwrap());
    assert_eq!(bytes(&ram, u32_of(0x228), 14), b"console=ttyS0\0");
    assert_eq!(bytes(&ram, u32_of(0x218), u32_of(0x21c) as usize), b"first\0\0\0second");
    assert_eq!(u32_of(0x218) % 4096, 0);
    assert_eq!(u32_of(0x070), RSDP);
    assert_eq!(page[0x210], 0xff);
    let entries = usize::from(page[0x1e8]);
    assert_eq!(entries, memory_map(ram.layout()).len());
    assert_eq!(u32_at(&page, 0x2d0 + 20 * 3), Some(0x10_0000));
    assert_eq!(u32_at(&page, 0x2d0 + 20 * 3 + 8), Some((RAM_BYTES - 0x10_0000) as u32));
}

#[test]
fn the_header_is_the_kernels_own() {
    let kernel = samples::bzimage();
    let (ram, state) = boot(&kernel, &[], "").unwrap();
    let page = zero_page_of(&ram, &state);
    assert_eq!(page[0x202..0x210], kernel[0x202..0x210]);
    assert_eq!(page[0x258..0x264], kernel[0x258..0x264]);
}

#[test]
fn a_32_bit_kernel_is_refused() {
    let mut kernel = samples::bzimage();
    put_u16(&mut kernel, 0x236, 0);
    assert!(matches!(boot(&kernel, &[], ""), Err(BootError::Not64Bit)));
}

#[test]
fn an_old_protocol_is_named() {
    let mut kernel = samples::bzimage();
    put_u16(&mut kernel, 0x206, 0x020a);
    let message = boot(&kernel, &[], "").map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("2.10"), "{message}");
}

#[test]
fn every_truncation_is_an_error() {
    let kernel = samples::bzimage();
    for length in (1..kernel.len()).step_by(7) {
        assert!(boot(&kernel[..length], &[], "").is_err(), "{length} bytes");
    }
}

#[test]
fn a_kernel_larger_than_ram_says_how_much_it_needs() {
    let mut kernel = samples::bzimage();
    put_u32(&mut kernel, 0x260, 63 << 20);
    let error = boot(&kernel, &[], "").map(|_| ()).unwrap_err();
    let needed = samples::BZIMAGE_ADDRESS + (63 << 20);
    assert!(matches!(error, BootError::NotEnoughRam { needed: n, .. } if n == needed), "{error}");
}

#[test]
fn hostile_addresses_are_errors() {
    let mut kernel = samples::bzimage();
    kernel[0x258..0x260].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(boot(&kernel, &[], "").is_err());
    kernel[0x258..0x260].copy_from_slice(&0x1000_u64.to_le_bytes());
    assert!(matches!(boot(&kernel, &[], ""), Err(BootError::BelowOneMebibyte(0x1000))));
}

#[test]
fn the_kernels_limit_of_the_command_line_counts() {
    let mut kernel = samples::bzimage();
    put_u32(&mut kernel, 0x238, 10);
    assert!(boot(&kernel, &[], "0123456789").is_ok());
    let error = boot(&kernel, &[], "0123456789a").map(|_| ()).unwrap_err();
    assert!(matches!(error, BootError::CommandLineTooLong { length: 11, limit: 10 }), "{error}");
}

#[test]
fn an_initrd_that_does_not_fit_says_so() {
    let initrd = vec![1; 62 << 20];
    let error = boot(&samples::bzimage(), &[&initrd], "").map(|_| ()).unwrap_err();
    assert!(matches!(error, BootError::InitrdTooLarge { .. }), "{error}");
}

#[test]
fn initrd_addr_max_is_honoured() {
    let mut kernel = samples::bzimage();
    put_u32(&mut kernel, 0x22c, 0x2ff_ffff);
    let (ram, state) = boot(&kernel, &[&[1; 8192]], "").unwrap();
    let page = zero_page_of(&ram, &state);
    assert_eq!(u32_at(&page, 0x218), Some(0x300_0000 - 8192));
}
