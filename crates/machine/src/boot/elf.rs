//! ELF files as boot loaders see them: program headers, nothing more (System V ABI, chapters 4 and 5).
use platform::GuestRam;

use super::error::BootError;
use super::fields::{u8_at, u16_at, u32_at, u64_at};
use super::placement::put;
use crate::board::low;

/// How an ELF file begins.
pub const MAGIC: &[u8] = b"\x7fELF";

const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const TYPE_EXEC: u16 = 2;
const TYPE_DYN: u16 = 3;
const MACHINE_386: u16 = 3;
const MACHINE_X86_64: u16 = 62;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_NOTE: u32 = 4;

/// What boot loaders need of an ELF file for x86.
#[derive(Debug)]
pub struct Elf<'a> {
    /// Entry point of the file header.
    pub entry: u64,
    /// Program headers, each checked to lie inside the file.
    pub segments: Vec<Segment<'a>>,
}

/// One program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// `p_type`.
    kind: u32,
    /// Where it belongs in physical memory.
    pub physical: u64,
    /// Where the program thinks that it is.
    pub linear: u64,
    /// Its bytes in the file.
    pub content: &'a [u8],
    /// Bytes that it occupies in memory; those beyond `content` are zero.
    pub memory_bytes: u64,
    /// Alignment of what is in it.
    pub align: u64,
}

/// Offsets of the fields that differ between the two classes.
struct Class {
    header_bytes: usize,
    phoff: usize,
    phentsize: usize,
    program_header_bytes: u16,
    wide: bool,
}

const ELF_32: Class =
    Class { header_bytes: 52, phoff: 28, phentsize: 42, program_header_bytes: 32, wide: false };
const ELF_64: Class =
    Class { header_bytes: 64, phoff: 32, phentsize: 54, program_header_bytes: 56, wide: true };

impl Class {
    /// A field as wide as an address.
    fn word(&self, bytes: &[u8], offset: usize) -> Option<u64> {
        if self.wide { u64_at(bytes, offset) } else { u32_at(bytes, offset).map(u64::from) }
    }
}

impl<'a> Elf<'a> {
    /// Reads and checks the headers.
    pub fn parse(file: &'a [u8]) -> Result<Self, BootError> {
        let class = match u8_at(file, 4) {
            _ if !file.starts_with(MAGIC) => return Err(BootError::Damaged("it is no ELF file")),
            Some(CLASS_32) => ELF_32,
            Some(CLASS_64) => ELF_64,
            _ => return Err(BootError::Damaged("its ELF class is neither 32-bit nor 64-bit")),
        };
        let truncated = || truncated("the ELF header", class.header_bytes as u64, file);
        if u8_at(file, 5).ok_or_else(truncated)? != LITTLE_ENDIAN {
            return Err(BootError::WrongArchitecture("a big-endian machine"));
        }
        check_machine(u16_at(file, 18).ok_or_else(truncated)?)?;
        if !matches!(u16_at(file, 16).ok_or_else(truncated)?, TYPE_EXEC | TYPE_DYN) {
            return Err(BootError::Damaged("the ELF file is no executable"));
        }
        let header = file.get(..class.header_bytes).ok_or_else(truncated)?;
        Ok(Self {
            entry: class.word(header, 24).ok_or_else(truncated)?,
            segments: program_headers(file, header, &class)?,
        })
    }

    /// Copies all loadable segments to guest RAM, which must be zero, and returns one past the highest address that
    /// they occupy.
    pub fn load(&self, ram: &GuestRam) -> Result<u64, BootError> {
        let mut end = 0;
        for segment in self.segments.iter().filter(|segment| segment.is_loaded()) {
            end = end.max(segment.check(ram)?);
        }
        if end == 0 {
            return Err(BootError::Damaged("the ELF file has nothing to load"));
        }
        for segment in self.segments.iter().filter(|segment| segment.is_loaded()) {
            put(ram, segment.physical, segment.content)?;
        }
        Ok(end)
    }

    /// The segments that hold notes.
    pub fn notes(&self) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().filter(|segment| segment.kind == SEGMENT_NOTE)
    }

    /// The physical address of a linear one that lies in a loaded segment.
    pub fn physical(&self, linear: u64) -> Option<u64> {
        self.segments.iter().filter(|segment| segment.is_loaded()).find_map(|segment| {
            let offset = linear.checked_sub(segment.linear)?;
            (offset < segment.memory_bytes).then(|| segment.physical.checked_add(offset))?
        })
    }
}

impl Segment<'_> {
    fn is_loaded(&self) -> bool {
        self.kind == SEGMENT_LOAD && self.memory_bytes > 0
    }

    /// One past the last address, after checking that all of the segment is RAM that a kernel may have.
    fn check(&self, ram: &GuestRam) -> Result<u64, BootError> {
        if self.content.len() as u64 > self.memory_bytes {
            return Err(BootError::Damaged("an ELF segment is longer in the file than in memory"));
        }
        if self.physical < low::EXTENDED {
            return Err(BootError::BelowOneMebibyte(self.physical));
        }
        let have = ram.layout().low;
        let end = self.physical.checked_add(self.memory_bytes);
        end.filter(|end| *end <= have)
            .ok_or(BootError::NotEnoughRam { needed: end.unwrap_or(u64::MAX), have })
    }
}

fn program_headers<'a>(file: &'a [u8], header: &[u8], class: &Class) -> Result<Vec<Segment<'a>>, BootError> {
    let field = |offset| u16_at(header, offset).unwrap_or(0);
    let (size, count) = (field(class.phentsize), field(class.phentsize + 2));
    if size != class.program_header_bytes || count == 0 {
        return Err(BootError::Damaged("the ELF file has no program headers of the usual size"));
    }
    let start = class.word(header, class.phoff).unwrap_or(0);
    let end = start.saturating_add(u64::from(size) * u64::from(count));
    let table = slice(file, start, end).ok_or_else(|| truncated("the ELF program headers", end, file))?;
    table.chunks_exact(usize::from(size)).map(|row| segment(file, row, class)).collect()
}

fn segment<'a>(file: &'a [u8], row: &[u8], class: &Class) -> Result<Segment<'a>, BootError> {
    let word = |narrow: usize, wide: usize| {
        class.word(row, if class.wide { wide } else { narrow }).unwrap_or_default()
    };
    let (offset, file_bytes) = (word(4, 8), word(16, 32));
    let end = offset.saturating_add(file_bytes);
    let content = slice(file, offset, end).ok_or_else(|| truncated("an ELF segment", end, file))?;
    Ok(Segment {
        kind: u32_at(row, 0).unwrap_or_default(),
        linear: word(8, 16),
        physical: word(12, 24),
        content,
        memory_bytes: word(20, 40),
        align: word(28, 48),
    })
}

fn slice(file: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    file.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn truncated(what: &'static str, needed: u64, file: &[u8]) -> BootError {
    BootError::Truncated { what, needed, length: file.len() as u64 }
}

fn check_machine(machine: u16) -> Result<(), BootError> {
    Err(BootError::WrongArchitecture(match machine {
        MACHINE_386 | MACHINE_X86_64 => return Ok(()),
        8 => "MIPS",
        20 | 21 => "PowerPC",
        22 => "s390",
        40 => "32-bit ARM",
        183 => "64-bit ARM",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => "another machine",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::samples;
    use x86::Gpa;

    #[test]
    fn both_classes_load_alike() {
        for file in [samples::elf(true, 0x20_0000, b"content"), samples::elf(false, 0x20_0000, b"content")] {
            let ram = GuestRam::new(64 << 20).unwrap();
            let elf = Elf::parse(&file).unwrap();
            assert_eq!(elf.entry, 0x20_0000);
            let end = elf.load(&ram).unwrap();
            assert_eq!(end, 0x20_0000 + 7 + samples::BSS_BYTES);
            let mut back = [0; 8];
            ram.read(Gpa(0x20_0000), &mut back).unwrap();
            assert_eq!(&back, b"content\0");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = samples::elf(true, 0x20_0000, b"content");
        let ram = GuestRam::new(64 << 20).unwrap();
        for length in 0..file.len() {
            let loaded = Elf::parse(&file[..length]).and_then(|elf| elf.load(&ram));
            assert!(loaded.is_err(), "{length} bytes");
        }
    }

    #[test]
    fn other_machines_are_named() {
        let mut file = samples::elf(true, 0x20_0000, b"x");
        file[18] = 183;
        let message = Elf::parse(&file).unwrap_err().to_string();
        assert!(message.contains("64-bit ARM"), "{message}");
        file[5] = 2;
        assert!(Elf::parse(&file).unwrap_err().to_string().contains("big-endian"));
    }

    #[test]
    fn segments_must_be_ram() {
        let ram = GuestRam::new(64 << 20).unwrap();
        for address in [0x400_0000 - 7, 0xc000_0000, u64::MAX - 3] {
            let file = samples::elf(true, address, b"content");
            let error = Elf::parse(&file).unwrap().load(&ram).unwrap_err();
            assert!(matches!(error, BootError::NotEnoughRam { .. }), "{address:#x}: {error}");
        }
        let file = samples::elf(true, 0x8000, b"content");
        let error = Elf::parse(&file).unwrap().load(&ram).unwrap_err();
        assert!(matches!(error, BootError::BelowOneMebibyte(0x8000)));
    }
}
