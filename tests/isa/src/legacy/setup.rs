//! What the guests consist of: descriptor tables, page tables, handlers that halt.
use platform::GuestRam;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use x86::control::*;
use x86::paging::{PTE_A, PTE_D, PTE_NX, PTE_P, PTE_U, PTE_W};
use x86::segment::{CS, DS, ES, FS, GS, SS, Segment};
use x86::state::TableRegister;
use x86::{CpuState, Gpa, flags};

use crate::bare::legacy::Pages;
use crate::state::Vectors;

/// Guest RAM.
pub const RAM_BYTES: u64 = 1 << 20;
/// One HLT for each vector, 16 bytes apart.
pub const HALTS: u64 = 0x1000;
const IDT: u64 = 0x2000;
const GDT: u64 = 0x2800;
const TSS: u64 = 0x3000;
/// Top of the stack of handlers, where user code is interrupted.
pub const KERNEL_STACK: u64 = 0x6000;
/// Page tables, up to [`CODE`].
pub const TABLES: u64 = 0x7000;
const DIRECTORY: u64 = TABLES;
const TABLE: u64 = TABLES + 0x1000;
const LONG_ROOT: u64 = TABLES + 0x2000;
/// Code, data and stack: 64 KiB each.
pub const CODE: u64 = 0x2_0000;
/// Data.
pub const DATA: u64 = 0x3_0000;
/// Stack.
pub const STACK: u64 = 0x4_0000;
/// Where the stack ends.
pub const END: u64 = 0x5_0000;
/// Bytes from [`CODE`] to [`END`].
pub const IMAGE_BYTES: usize = (END - CODE) as usize;

/// Descriptors.
const GDT_ENTRIES: [u64; 15] = [
    0,
    0x00cf_9b00_0000_ffff, // 08: flat code
    0x00cf_9300_0000_ffff, // 10: flat data
    0x00af_9b00_0000_ffff, // 18: 64-bit code
    0x00cf_fb00_0000_ffff, // 20: flat user code, as Linux has it
    0x00cf_f300_0000_ffff, // 28: flat user data, likewise
    0x00af_fb00_0000_ffff, // 30: 64-bit user code, likewise
    0,                     // 38: TSS
    0,                     // 40: its upper half
    0x0000_f303_0000_ffff, // 48: data, 64 KiB
    0x0040_f303_0000_3fff, // 50: data, 16 KiB
    0x0040_f103_4000_8fff, // 58: read-only data
    0x0040_f703_0000_1fff, // 60: data that expands down
    0x00cf_f303_0000_ffff, // 68: data with a base and no limit
    0x0040_fb03_0000_ffff, // 70: code
];

/// Selectors of data segments that user and supervisor code may load.
pub const SELECTORS: [u16; 8] = [0x2b, 0x4b, 0x53, 0x5b, 0x63, 0x6b, 0x73, 0x03];
/// Those that Linux has, too.
pub const LINUX_SELECTORS: [u16; 5] = [0x2b, 0x23, 0x33, 0, 3];

/// A mode, and the segments of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    /// Real mode.
    Real,
    /// Protected mode, 16-bit code at a base, CPL 0.
    Protected16,
    /// Protected mode, 32-bit code and data at bases, CPL 0.
    Segments32,
    /// Protected mode, flat 32-bit code, CPL 0.
    Flat32,
    /// Flat 32-bit user code under 32-bit paging.
    Paged32,
    /// Flat 32-bit user code under a 64-bit kernel.
    Compatibility,
    /// The same with segments as Linux has them, on the bare CPU too.
    Linux,
    /// 16-bit user code under a 64-bit kernel.
    Compatibility16,
}

impl World {
    /// Whether code runs in ring 3.
    pub fn is_user(self) -> bool {
        matches!(self, Self::Paged32 | Self::Compatibility | Self::Linux | Self::Compatibility16)
    }
    /// Whether the kernel is a 64-bit one.
    pub fn is_long(self) -> bool {
        matches!(self, Self::Compatibility | Self::Linux | Self::Compatibility16)
    }
    /// Bits of code.
    pub fn bits(self) -> u32 {
        if matches!(self, Self::Real | Self::Protected16 | Self::Compatibility16) { 16 } else { 32 }
    }
    /// Whether offsets are linear addresses.
    pub fn is_flat(self) -> bool {
        matches!(self, Self::Flat32 | Self::Paged32 | Self::Compatibility | Self::Linux)
    }

    /// The segments that code starts with.
    pub fn segments(self, rng: &mut SmallRng) -> [Segment; 6] {
        let mut segments = [Segment::default(); 6];
        if self == Self::Real {
            for (number, base) in [(CS, CODE), (DS, DATA), (ES, DATA), (SS, STACK), (FS, DATA), (GS, DATA)] {
                let skew = if number == CS || number == SS { 0 } else { rng.random_range(0..3) * 0x123 };
                segments[number] = Segment::real_mode((base >> 4) as u16 + skew);
            }
            segments[CS].attributes |= x86::segment::ATTR_CODE;
            return segments;
        }
        if self == Self::Linux {
            let load =
                |selector: u16| Segment::from_descriptor(selector, GDT_ENTRIES[usize::from(selector >> 3)]);
            segments[CS] = load(0x23);
            [ES, SS, DS].into_iter().for_each(|number| segments[number] = load(0x2b));
            return segments;
        }
        let dpl = if self.is_user() { 3 << 5 } else { 0 };
        let code: u64 = match self {
            Self::Protected16 | Self::Compatibility16 => 0x0000_9b02_0000_ffff,
            Self::Segments32 => 0x0040_9b02_0000_ffff,
            _ => 0x00cf_9b00_0000_ffff,
        };
        let flat: u64 = 0x00cf_9300_0000_ffff;
        let stack = match self {
            _ if self.is_flat() => flat,
            // Code, stack pointers and operands may be of any two sizes.
            _ => [0x0000_9304_0000_ffff, 0x0040_9304_0000_ffff][rng.random_range(0..2)],
        };
        let load = |descriptor: u64| {
            let mut segment = Segment::from_descriptor(0, descriptor);
            segment.attributes |= dpl;
            segment.selector = 8 | dpl >> 5;
            segment
        };
        segments[CS] = load(code);
        segments[SS] = load(stack);
        for number in [DS, ES, FS, GS] {
            let plain = number != FS && number != GS && rng.random_ratio(2, 3);
            let choice = GDT_ENTRIES[9 + rng.random_range(0..6)];
            segments[number] = match plain {
                true if self.is_flat() => load(flat),
                true => load(0x0000_9303_0000_ffff),
                false if rng.random_ratio(1, 20) => Segment::default(),
                false => Segment::from_descriptor(0x4b, choice),
            };
        }
        segments
    }

    /// The CPU in this world, but for what each case sets.
    pub fn cpu(self) -> CpuState {
        let mut state = CpuState {
            cr4: CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE,
            xcr0: XCR0_X87 | XCR0_SSE | XCR0_AVX,
            cr0: CR0_ET | CR0_MP | CR0_NE,
            xsave: Vectors::default().0.to_vec(),
            ldtr: Segment::default(),
            gdtr: TableRegister { base: GDT, limit: (GDT_ENTRIES.len() * 8 - 1) as u16 },
            ..CpuState::default()
        };
        if self == Self::Real {
            state.idtr = TableRegister { base: 0, limit: 0x3ff };
            return state;
        }
        state.cr0 |= CR0_PE;
        state.idtr = TableRegister { base: IDT, limit: if self.is_long() { 0x1ff } else { 0xff } };
        state.tr = Segment { base: TSS, limit: 0x67, attributes: 0x8b, selector: 0x38 };
        if self.is_user() {
            state.cr0 |= CR0_PG | CR0_WP;
            state.cr3 = DIRECTORY;
        }
        if self.is_long() {
            state.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
            state.cr4 |= CR4_PAE;
            state.cr3 = LONG_ROOT;
        }
        state
    }

    /// Writes tables and handlers.
    pub fn install(self, ram: &GuestRam) {
        for vector in 0..32 {
            ram.write(Gpa(HALTS + 16 * vector), &[0xf4]);
            let halt = HALTS + 16 * vector;
            if self == Self::Real {
                ram.write(Gpa(4 * vector), &((HALTS << 12) | (16 * vector)).to_le_bytes()[..4]);
            } else if self.is_long() {
                let kind = if vector == 3 || vector == 4 { 0xee } else { 0x8e };
                words(ram, IDT + 16 * vector, &[halt | 0x18 << 16 | kind << 40, 0]);
            } else {
                let kind = if vector == 3 || vector == 4 { 0xee } else { 0x8e };
                words(ram, IDT + 8 * vector, &[halt | 0x08 << 16 | kind << 40]);
            }
        }
        words(ram, GDT, &GDT_ENTRIES);
        if self.is_long() {
            words(ram, TSS, &[KERNEL_STACK << 32, 0]);
        } else {
            words(ram, TSS, &[KERNEL_STACK << 32, 0x10]);
        }
        ram.write(Gpa(TSS + 0x66), &0x68_u16.to_le_bytes());
        self.map(ram);
    }

    /// 2 MiB one to one; user code may use what it has, and the first page of data is read-only for it.
    fn map(self, ram: &GuestRam) {
        let upper = TABLE | PTE_P | PTE_W | PTE_U | PTE_A;
        for page in 0..512_u64 {
            let address = page << 12;
            let rights = match address {
                _ if address == DATA + 0x8000 => PTE_U,
                CODE..END => PTE_U | PTE_W,
                _ => PTE_W,
            };
            let data = self == Self::Linux && address >= DATA;
            let rights = rights | if data { PTE_NX } else { 0 };
            let entry = address | rights | PTE_P | PTE_A | if page % 2 == 0 { PTE_D } else { 0 };
            if self.is_long() {
                words(ram, TABLE + 8 * page, &[entry]);
            } else {
                ram.write(Gpa(TABLE + 4 * page), &entry.to_le_bytes()[..4]);
            }
        }
        ram.write(Gpa(DIRECTORY), &upper.to_le_bytes()[..4]);
        let root = |table: u64| table | PTE_P | PTE_W | PTE_U | PTE_A;
        words(ram, LONG_ROOT, &[root(LONG_ROOT + 0x1000)]);
        words(ram, LONG_ROOT + 0x1000, &[root(LONG_ROOT + 0x2000)]);
        words(ram, LONG_ROOT + 0x2000, &[upper]);
    }

    /// RFLAGS at the start.
    pub fn rflags(self, rng: &mut SmallRng) -> u64 {
        let direction = if rng.random_ratio(1, 12) { flags::DF } else { 0 };
        let interrupts = if self == Self::Linux { flags::IF } else { 0 };
        flags::FIXED | interrupts | rng.random::<u64>() & flags::STATUS | direction
    }
}

/// The pages of user code, for the bare CPU.
pub fn pages() -> [Pages; 4] {
    let pages =
        |base, end: u64| Pages { base, bytes: (end - base) as usize, code: base == CODE, writable: true };
    let read_only = DATA + 0x8000;
    [
        pages(CODE, DATA),
        pages(DATA, read_only),
        Pages { writable: false, ..pages(read_only, read_only + 0x1000) },
        pages(read_only + 0x1000, END),
    ]
}

fn words(ram: &GuestRam, at: u64, words: &[u64]) {
    for (address, word) in (at..).step_by(8).zip(words) {
        ram.write(Gpa(address), &word.to_le_bytes());
    }
}

/// Contents of everything from [`CODE`] to [`END`]: HLTs, and random data.
pub fn image(rng: &mut SmallRng) -> Vec<u8> {
    let mut image = vec![0xf4; IMAGE_BYTES];
    rng.fill_bytes(&mut image[(DATA - CODE) as usize..]);
    image
}
