//! Where initrds go, and getting the command line and tables into guest RAM.
use platform::GuestRam;
use x86::Gpa;
use x86::address::PAGE_SIZE;

use super::error::BootError;
use super::images::ImageFile;
use crate::board::low;

/// One file in guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// Copies `bytes` to an address at which the machine itself has reserved RAM.
pub fn put(ram: &GuestRam, address: u64, bytes: &[u8]) -> Result<(), BootError> {
    let needed = address.saturating_add(bytes.len() as u64);
    ram.write(Gpa(address), bytes).ok_or(BootError::NotEnoughRam { needed, have: ram.layout().low })
}

/// Copies the command line, zero-terminated, to [`low::CMDLINE`]. `limit` is in bytes without the zero.
pub fn put_cmdline(ram: &GuestRam, cmdline: &str, limit: usize) -> Result<(), BootError> {
    let limit = limit.min(low::CMDLINE_BYTES as usize - 1);
    if cmdline.len() > limit {
        return Err(BootError::CommandLineTooLong { length: cmdline.len(), limit });
    }
    put(ram, low::CMDLINE, cmdline.as_bytes())?;
    put(ram, low::CMDLINE + cmdline.len() as u64, &[0])
}

/// Puts files as high as possible below `end` and above `kernel_end`, one after the other, each aligned to `align`
/// bytes, the first to a page. Returns them in order; an empty list needs nothing.
pub fn put_high(
    ram: &GuestRam,
    files: &[ImageFile],
    align: u64,
    kernel_end: u64,
    end: u64,
) -> Result<Vec<Placed>, BootError> {
    let (offsets, length) = offsets(files, align);
    let end = end.min(ram.layout().low);
    let floor = kernel_end.next_multiple_of(PAGE_SIZE);
    let room = end.saturating_sub(floor);
    let start = end.saturating_sub(length) & !(PAGE_SIZE - 1);
    if length > room || start < floor {
        return Err(BootError::InitrdTooLarge { length, room });
    }
    put_at(ram, files, &offsets, start)
}

/// Puts files directly above `kernel_end`, each on a page of its own.
pub fn put_after(ram: &GuestRam, files: &[ImageFile], kernel_end: u64) -> Result<Vec<Placed>, BootError> {
    let (offsets, length) = offsets(files, PAGE_SIZE);
    let start = kernel_end.next_multiple_of(PAGE_SIZE);
    let room = ram.layout().low.saturating_sub(start);
    if length > room {
        return Err(BootError::InitrdTooLarge { length, room });
    }
    put_at(ram, files, &offsets, start)
}

/// Each file's offset from the first, and the length of all with the gaps between them.
fn offsets(files: &[ImageFile], align: u64) -> (Vec<u64>, u64) {
    let mut length = 0_u64;
    let offsets = files.iter().map(|file| {
        let offset = length.checked_next_multiple_of(align).unwrap_or(u64::MAX);
        length = offset.saturating_add(file.length());
        offset
    });
    (offsets.collect(), length)
}

fn put_at(
    ram: &GuestRam,
    files: &[ImageFile],
    offsets: &[u64],
    start: u64,
) -> Result<Vec<Placed>, BootError> {
    let place = |(file, offset): (&ImageFile, &u64)| {
        file.copy_to(ram, start + offset)?;
        Ok(Placed { start: start + offset, length: file.length() })
    };
    files.iter().zip(offsets).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::samples;

    const MIB: u64 = 1 << 20;

    fn place(lengths: &[usize], align: u64, kernel_end: u64, end: u64) -> Result<Vec<Placed>, BootError> {
        let directory = tempfile::tempdir().unwrap();
        let contents: Vec<Vec<u8>> = lengths.iter().map(|length| vec![7; *length]).collect();
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let images = samples::images(directory.path(), b"kernel", &contents, "");
        put_high(&GuestRam::new(4 * MIB).unwrap(), &images.initrds, align, kernel_end, end)
    }

    #[test]
    fn an_initrd_goes_to_the_top() {
        let placed = place(&[5000], 4, MIB, u64::MAX).unwrap();
        assert_eq!(placed, [Placed { start: 4 * MIB - 8192, length: 5000 }]);
    }

    #[test]
    fn a_limit_of_the_kernel_is_kept() {
        let placed = place(&[4096], 4, MIB, 3 * MIB).unwrap();
        assert_eq!(placed, [Placed { start: 3 * MIB - 4096, length: 4096 }]);
    }

    #[test]
    fn several_are_adjacent_but_aligned() {
        let placed = place(&[5, 6], 4, MIB, u64::MAX).unwrap();
        assert_eq!(placed[1].start, placed[0].start + 8);
    }

    #[test]
    fn the_last_page_beside_the_kernel_is_usable_and_no_more() {
        assert!(place(&[4096], 4, 4 * MIB - 4096, u64::MAX).is_ok());
        let error = place(&[4097], 4, 4 * MIB - 4096, u64::MAX).unwrap_err();
        assert!(matches!(error, BootError::InitrdTooLarge { length: 4097, room: 4096 }), "{error}");
        assert!(place(&[1], 4, 5 * MIB, u64::MAX).is_err());
    }

    #[test]
    fn the_command_line_ends_with_a_zero_and_has_a_limit() {
        let ram = GuestRam::new(MIB).unwrap();
        ram.write(Gpa(low::CMDLINE), &[0xff; 16]).unwrap();
        put_cmdline(&ram, "quiet", 5).unwrap();
        let mut back = [0; 7];
        ram.read(Gpa(low::CMDLINE), &mut back).unwrap();
        assert_eq!(&back, b"quiet\0\xff");
        let error = put_cmdline(&ram, "quiet!", 5).unwrap_err();
        assert!(matches!(error, BootError::CommandLineTooLong { length: 6, limit: 5 }));
    }
}
