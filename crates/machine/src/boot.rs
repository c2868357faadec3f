//! Getting a kernel into guest RAM: formats are told apart by content, each has a file of its own.
//!
//! | format | file | entry |
//! |---|---|---|
//! | Linux bzImage, 64-bit boot protocol | [`linux`] | long mode, identity-mapped |
//! | Multiboot 1, ELF or flat | [`multiboot`] | 32-bit protected mode |
//! | ELF with a PVH note (vmlinux and others) | [`pvh`] | 32-bit protected mode |
use platform::GuestRam;
use x86::CpuState;

pub mod elf;
pub mod entry;
pub mod error;
pub mod fields;
pub mod images;
pub mod linux;
pub mod multiboot;
pub mod placement;
pub mod pvh;
#[cfg(test)]
pub(crate) mod samples;

pub use error::BootError;
pub use images::{BootFiles, BootImages};

/// What a loader works with.
pub struct Load<'a> {
    /// The kernel's file, whole.
    pub kernel: &'a [u8],
    /// Everything else that the user named.
    pub images: &'a BootImages,
    /// Guest RAM, all zero.
    pub ram: &'a GuestRam,
    /// Guest-physical address of the ACPI root pointer.
    pub rsdp: u64,
}

/// Loads what the user named into `ram`, which must be all zero apart from the ACPI tables at `rsdp`, and returns the
/// state in which the boot processor starts.
pub fn load(images: &BootImages, ram: &GuestRam, rsdp: u64) -> Result<CpuState, BootError> {
    if images.cmdline.contains('\0') {
        return Err(BootError::CommandLineZero);
    }
    let kernel = images.kernel.read_all(ram.layout())?;
    let load = Load { kernel: &kernel, images, ram, rsdp };
    match Format::of(&kernel) {
        Some(Format::Linux) => linux::load(&load),
        Some(Format::Multiboot) => multiboot::load(&load),
        Some(Format::Elf) => pvh::load(&load),
        None => Err(BootError::UnknownFormat { found: describe(&kernel) }),
    }
}

/// The formats that can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Linux bzImage.
    Linux,
    /// Multiboot 1.
    Multiboot,
    /// ELF; boots if it has a PVH note.
    Elf,
}

impl Format {
    /// Tells the format by content, or `None`. Multiboot comes first among ELF files: its header is deliberate.
    pub fn of(kernel: &[u8]) -> Option<Self> {
        if linux::is_linux(kernel) {
            Some(Self::Linux)
        } else if multiboot::find_header(kernel).is_some() {
            Some(Self::Multiboot)
        } else if kernel.starts_with(elf::MAGIC) {
            Some(Self::Elf)
        } else {
            None
        }
    }
}

/// Names what a file that is no kernel seems to be, for the error message.
fn describe(file: &[u8]) -> &'static str {
    const KNOWN: &[(&[u8], usize, &str)] = &[
        (b"\x1f\x8b", 0, "a gzip archive; unpack it first"),
        (b"\xfd7zXZ\0", 0, "an xz archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", 0, "a zstd archive; unpack it first"),
        (b"070701", 0, "a cpio archive: an initrd rather than a kernel"),
        (b"ARMd", 56, "a Linux image for 64-bit ARM"),
        (b"RSC\x05", 56, "a Linux image for RISC-V"),
        (b"QFI\xfb", 0, "a qcow2 disk image"),
        (b"CD001", 0x8001, "a CD image"),
        (b"!<arch>", 0, "a Debian package or static library"),
        (b"#!", 0, "a script"),
        (b"MZ", 0, "an EFI or DOS program without a Linux header"),
        (b"\x55\xaa", 510, "a disk image with a boot sector"),
    ];
    KNOWN
        .iter()
        .find(|(magic, offset, _)| file.get(*offset..).is_some_and(|rest| rest.starts_with(magic)))
        .map_or("of no known kind", |(_, _, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart_by_content() {
        assert_eq!(Format::of(&samples::bzimage()), Some(Format::Linux));
        assert_eq!(Format::of(&samples::pvh_elf()), Some(Format::Elf));
        assert_eq!(Format::of(&samples::multiboot_elf()), Some(Format::Multiboot));
        assert_eq!(Format::of(b"hello"), None);
        assert_eq!(Format::of(&[]), None);
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let ram = GuestRam::new(64 << 20).unwrap();
        for (content, expected) in [
            (&b"\x1f\x8b\x08 gzip"[..], "gzip"),
            (b"#!/bin/sh\n", "script"),
            (b"plain text", "no known kind"),
        ] {
            let images = samples::images(directory.path(), content, &[], "");
            let message = load(&images, &ram, 0).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_command_line_with_a_zero_byte_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let ram = GuestRam::new(64 << 20).unwrap();
        let images = samples::images(directory.path(), &samples::pvh_elf(), &[], "a\0b");
        assert!(matches!(load(&images, &ram, 0), Err(BootError::CommandLineZero)));
    }
}
