//! Linux bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst of Linux, §1.1, §1.3, §1.15).
//!
//! The kernel is entered at its 64-bit entry point and unpacks itself, so that every compression works.
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use vm_memory::ByteValued;
use x86::{CpuState, reg};

use super::error::BootError;
use super::fields::{u8_at, u16_at, u32_at};
use super::placement::{Placed, put, put_cmdline, put_high};
use super::{Load, entry};
use crate::board::low;
use crate::memory_map::memory_map;

/// Offset of the setup header in the file and in `boot_params`.
const SETUP_HEADER: usize = 0x1f1;
/// Offset of the header's signature.
const SIGNATURE: usize = 0x202;
/// `HdrS`.
const HDRS: u32 = 0x5372_6448;
/// First protocol with `xloadflags`.
const VERSION_MIN: u16 = 0x020c;
/// `xloadflags`: there is a 64-bit entry point at 0x200.
const XLF_KERNEL_64: u16 = 1 << 0;
/// `loadflags`: the protected-mode code belongs at 1 MiB or above.
const LOADED_HIGH: u8 = 1 << 0;
/// Offset of the 64-bit entry point from the load address.
const ENTRY_64: u64 = 0x200;
/// `type_of_loader`: one without an assigned number.
const LOADER_UNDEFINED: u8 = 0xff;
/// Initrds after the first begin at multiples of this, as the cpio format wants.
const INITRD_ALIGN: u64 = 4;
const SECTOR_BYTES: usize = 512;

/// Whether the file has the header of a Linux kernel for x86.
pub fn is_linux(file: &[u8]) -> bool {
    u32_at(file, SIGNATURE) == Some(HDRS)
}

/// Loads kernel, initrd and command line, and returns the state at the 64-bit entry point.
pub fn load(load: &Load<'_>) -> Result<CpuState, BootError> {
    let kernel = Kernel::parse(load.kernel)?;
    let header = &kernel.header;
    let end = kernel.end()?;
    let have = load.ram.layout().low;
    if end > have {
        return Err(BootError::NotEnoughRam { needed: end, have });
    }
    put(load.ram, header.pref_address, kernel.code)?;
    put_cmdline(load.ram, &load.images.cmdline, header.cmdline_size as usize)?;
    let initrd_end = u64::from(header.initrd_addr_max) + 1;
    let initrds = put_high(load.ram, &load.images.initrds, INITRD_ALIGN, end, initrd_end)?;
    let zero_page = zero_page(load, *header, &initrds);
    put(load.ram, low::ZERO_PAGE, zero_page.as_slice())?;
    let mut state = entry::long_mode(load.ram, header.pref_address + ENTRY_64)?;
    state.gpr[reg::RSI] = low::ZERO_PAGE;
    Ok(state)
}

/// A checked kernel file.
struct Kernel<'a> {
    header: setup_header,
    /// What goes to the load address.
    code: &'a [u8],
}

impl<'a> Kernel<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, BootError> {
        let header = setup_header_of(file)?;
        let (version, flags) = (header.version, header.xloadflags);
        if version < VERSION_MIN {
            return Err(BootError::OldProtocol { version });
        }
        if flags & XLF_KERNEL_64 == 0 {
            return Err(BootError::Not64Bit);
        }
        if header.loadflags & LOADED_HIGH == 0 {
            return Err(BootError::Damaged("it claims to be a zImage"));
        }
        if header.pref_address < low::EXTENDED {
            return Err(BootError::BelowOneMebibyte(header.pref_address));
        }
        // Zero stands for four, for old kernels (§1.3, setup_sects).
        let sectors = usize::from(if header.setup_sects == 0 { 4 } else { header.setup_sects }) + 1;
        let start = sectors * SECTOR_BYTES;
        let end = start as u64 + u64::from(header.syssize) * 16;
        let code =
            usize::try_from(end).ok().and_then(|end| file.get(start..end)).ok_or(BootError::Truncated {
                what: "the compressed kernel",
                needed: end,
                length: file.len() as u64,
            })?;
        if (code.len() as u64) <= ENTRY_64 {
            return Err(BootError::Damaged("its protected-mode code ends before the entry point"));
        }
        Ok(Self { header, code })
    }

    /// One past the last address that the kernel uses before it looks at the memory map: it unpacks itself in place,
    /// and `init_size` covers that.
    fn end(&self) -> Result<u64, BootError> {
        let length = u64::from(self.header.init_size).max(self.code.len() as u64);
        let end = self.header.pref_address.checked_add(length);
        end.ok_or(BootError::Damaged("its preferred address is out of range"))
    }
}

/// The header as long as the file says it is, the rest zero.
fn setup_header_of(file: &[u8]) -> Result<setup_header, BootError> {
    let truncated = |needed: usize| BootError::Truncated {
        what: "the Linux setup header",
        needed: needed as u64,
        length: file.len() as u64,
    };
    // The byte after the jump's opcode tells where the header ends (§1.3).
    let jump = u8_at(file, SIGNATURE - 1).ok_or_else(|| truncated(SIGNATURE))?;
    let end = SIGNATURE + usize::from(jump);
    let bytes = file.get(SETUP_HEADER..end).ok_or_else(|| truncated(end))?;
    // `version` decides whether the rest means anything, so it has to be there.
    u16_at(file, SIGNATURE + 4).ok_or_else(|| truncated(SIGNATURE + 6))?;
    let mut header = setup_header::default();
    let target = header.as_mut_slice();
    let length = bytes.len().min(target.len());
    target[..length].copy_from_slice(&bytes[..length]);
    Ok(header)
}

/// `boot_params`: the kernel's own header with our answers, the memory map, and the ACPI root pointer.
fn zero_page(load: &Load<'_>, header: setup_header, initrds: &[Placed]) -> boot_params {
    let mut page = boot_params { hdr: header, acpi_rsdp_addr: load.rsdp, ..boot_params::default() };
    page.hdr.type_of_loader = LOADER_UNDEFINED;
    page.hdr.cmd_line_ptr = low::CMDLINE as u32;
    page.hdr.setup_data = 0;
    if let (Some(first), Some(last)) = (initrds.first(), initrds.last()) {
        // Below 4 GiB, because initrd_addr_max is a 32-bit field.
        page.hdr.ramdisk_image = first.start as u32;
        page.hdr.ramdisk_size = (last.start + last.length - first.start) as u32;
    }
    let mut table = page.e820_table;
    let map = memory_map(load.ram.layout());
    for (entry, range) in table.iter_mut().zip(&map) {
        *entry = boot_e820_entry { addr: range.start, size: range.length, r#type: range.kind as u32 };
    }
    page.e820_table = table;
    page.e820_entries = map.len().min(table.len()) as u8;
    page
}

#[cfg(test)]
mod tests;
