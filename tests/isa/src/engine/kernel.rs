//! The guest's kernel: page tables, descriptor tables as Linux has them (selectors show in user code), and handlers.
mod code;
mod paging;

use platform::GuestRam;
use x86::control;
use x86::paging::{PTE_NX, PTE_U, PTE_W};
use x86::segment::{self, CS, SS, Segment};
use x86::state::TableRegister;
use x86::{CpuState, Gpa, flags};

use super::Entry;
use crate::layout::{CODE, MEMORY, PAGE, Region, Rights};
use crate::state::{Ending, Outcome, UserState, Vectors};
pub use code::Block;
use paging::Tables;

/// Guest RAM.
pub const RAM_BYTES: u64 = 2 << 20;

const GDT: u64 = 0x2_0000;
const IDT_HALT: u64 = 0x2_1000;
const IDT_REPORT: u64 = 0x2_2000;
const TSS: u64 = 0x2_3000;
const STACK_TOP: u64 = 0x2_6000;
/// One HLT for each vector.
const HALTS: u64 = 0x2_6000;
/// The code of [`code`], followed by its block.
const REPORT: u64 = 0x2_7000;
/// Registers that the kernel loads and saves.
pub const BLOCK: Gpa = Gpa(REPORT + code::BLOCK_OFFSET as u64);
const KERNEL_END: u64 = 0x3_0000;
const USER_FRAMES: u64 = 0x10_0000;
/// Linear address of physical address 0, for the kernel alone.
const KERNEL: u64 = 0x20_0000_0000;

const HALT_STRIDE: u64 = 16;
const VECTORS: u64 = 32;

/// Linux's selectors.
const KERNEL_CS: u16 = 0x10;
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;
const TSS_SELECTOR: u16 = 0x40;
const DESCRIPTORS: [u64; 7] = [
    0,
    0x00cf_9b00_0000_ffff, // 32-bit kernel code
    0x00af_9b00_0000_ffff, // kernel code
    0x00cf_9300_0000_ffff, // kernel data
    0x00cf_fb00_0000_ffff, // 32-bit user code
    0x00cf_f300_0000_ffff, // user data
    0x00af_fb00_0000_ffff, // user code
];

/// A kernel in place.
pub struct Kernel {
    cr3: u64,
}

impl Kernel {
    /// Writes the kernel into RAM; `None` if it does not fit.
    pub fn install(ram: &GuestRam) -> Option<Self> {
        let mut tables = Tables::new(ram);
        for page in (GDT..KERNEL_END).step_by(PAGE) {
            tables.map(KERNEL + page, page, PTE_W)?;
        }
        let kernel = Self { cr3: tables.root() };
        for region in std::iter::once(CODE).chain(MEMORY) {
            let rights = match region.rights {
                Rights::Code => PTE_U | PTE_W,
                Rights::Data => PTE_U | PTE_W | PTE_NX,
                Rights::ReadOnly => PTE_U | PTE_NX,
            };
            for page in (0..region.len() as u64).step_by(PAGE) {
                tables.map(region.base + page, kernel.physical(region).0 + page, rights)?;
            }
        }
        write_words(ram, GDT, &DESCRIPTORS)?;
        let tss = KERNEL + TSS;
        let low = 0x67 | (tss & 0xff_ffff) << 16 | 0x8b << 40 | (tss >> 24 & 0xff) << 56;
        write_words(ram, GDT + u64::from(TSS_SELECTOR), &[low, tss >> 32])?;
        ram.write(Gpa(TSS + 4), &(KERNEL + STACK_TOP).to_le_bytes())?;
        // No I/O permission map: its base is past the limit.
        ram.write(Gpa(TSS + 0x66), &0x68_u16.to_le_bytes())?;
        for vector in 0..VECTORS {
            gate(ram, IDT_HALT, vector, KERNEL + HALTS + vector * HALT_STRIDE)?;
            gate(ram, IDT_REPORT, vector, KERNEL + REPORT + vector * code::HANDLER_STRIDE)?;
            ram.write(Gpa(HALTS + vector * HALT_STRIDE), &[0xf4])?;
        }
        ram.write(Gpa(REPORT), code::bytes())?;
        ram.write(kernel.physical(CODE), &vec![crate::case::END; CODE.len()])?;
        Some(kernel)
    }

    /// The physical address of a region, or of pages inside [`CODE`].
    pub fn physical(&self, region: Region) -> Gpa {
        if region.base >= CODE.base && region.end() <= CODE.end() {
            return Gpa(USER_FRAMES + region.base - CODE.base);
        }
        let mut frame = USER_FRAMES + CODE.len() as u64;
        for other in MEMORY {
            if other.base == region.base {
                break;
            }
            frame += other.len() as u64;
        }
        Gpa(frame)
    }

    /// The CPU before a case: in user mode with HLT handlers, or in the kernel about to load a case.
    pub fn cpu_state(&self, entry: Entry) -> CpuState {
        use control::*;
        let segment =
            |selector: u16| Segment::from_descriptor(selector, DESCRIPTORS[usize::from(selector >> 3)]);
        let mut state = CpuState {
            cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG,
            cr3: self.cr3,
            cr4: CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE,
            efer: EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE,
            xcr0: XCR0_X87 | XCR0_SSE | XCR0_AVX,
            rflags: flags::FIXED | flags::IF,
            ..CpuState::default()
        };
        state.segments = [Segment::default(); 6];
        state.xsave = Vectors::default().0.to_vec();
        state.gdtr = TableRegister { base: KERNEL + GDT, limit: TSS_SELECTOR + 15 };
        state.tr = Segment { base: KERNEL + TSS, limit: 0x67, attributes: 0x8b, selector: TSS_SELECTOR };
        state.ldtr = Segment { base: 0, limit: 0, attributes: 0x82 & !segment::ATTR_P, selector: 0 };
        let idt = match entry {
            Entry::Restored => {
                state.segments[CS] = segment(USER_CS);
                state.segments[SS] = segment(USER_SS);
                IDT_HALT
            }
            Entry::Resumed => {
                state.segments[CS] = segment(KERNEL_CS);
                state.segments[SS] = Segment::default();
                state.rflags = flags::FIXED;
                state.rip = KERNEL + REPORT + code::load_offset();
                IDT_REPORT
            }
        };
        state.idtr = TableRegister { base: KERNEL + idt, limit: (VECTORS * 16 - 1) as u16 };
        state
    }
}

fn write_words(ram: &GuestRam, at: u64, words: &[u64]) -> Option<()> {
    for (address, word) in (at..).step_by(8).zip(words) {
        ram.write(Gpa(address), &word.to_le_bytes())?;
    }
    Some(())
}

/// An interrupt gate (SDM 3A figure 6-8); user code may use that of INT3 and of INTO, as under Linux.
fn gate(ram: &GuestRam, table: u64, vector: u64, target: u64) -> Option<()> {
    let kind = if vector == 3 || vector == 4 { 0xee } else { 0x8e };
    let low = (target & 0xffff) | u64::from(KERNEL_CS) << 16 | kind << 40 | (target & 0xffff_0000) << 32;
    write_words(ram, table + vector * 16, &[low, target >> 32])
}

/// Which vector's HLT has just been executed.
pub fn vector_of_halt(rip: u64) -> Option<u8> {
    let offset = rip.checked_sub(KERNEL + HALTS + 1)?;
    (offset % HALT_STRIDE == 0 && offset < VECTORS * HALT_STRIDE).then_some((offset / HALT_STRIDE) as u8)
}

/// Whether an exception pushes an error code (SDM 3A table 6-1).
pub fn has_error_code(vector: u8) -> bool {
    (code::WITH_ERROR_CODE >> vector) & 1 != 0
}

/// What an exception pushed.
pub struct Frame {
    /// Error code; meaningless for exceptions without.
    pub code: u64,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RSP.
    pub rsp: u64,
}

/// The exception frame on the kernel's stack.
pub fn frame(ram: &GuestRam) -> Frame {
    let word = |below_top: u64| {
        let mut bytes = [0; 8];
        ram.read(Gpa(STACK_TOP - below_top), &mut bytes);
        u64::from_le_bytes(bytes)
    };
    Frame { code: word(48), rip: word(40), rflags: word(24), rsp: word(16) }
}

impl Block {
    /// Sets what the kernel loads.
    pub fn load(&mut self, state: &UserState) {
        self.load_gpr = state.gpr;
        self.load_bases = [state.fs_base, state.gs_base];
        let rflags = state.rflags | flags::FIXED | flags::IF;
        self.load_frame =
            [state.rip, u64::from(USER_CS), rflags, state.gpr[x86::reg::RSP], u64::from(USER_SS)];
        self.load_vectors.0.copy_from_slice(&state.vectors.0);
    }
    /// Reads what the kernel saved.
    pub fn save(&self, outcome: &mut Outcome) {
        outcome.state.gpr = self.save_gpr;
        outcome.state.gpr[x86::reg::RSP] = self.save_frame[5];
        outcome.state.rip = self.save_frame[2];
        outcome.state.rflags = self.save_frame[4];
        [outcome.state.fs_base, outcome.state.gs_base] = self.save_bases;
        outcome.state.vectors = Vectors::normalized(&self.save_vectors.0);
        outcome.ending =
            Ending::exception(self.save_frame[0] as u8, self.save_frame[1] as u32, self.save_cr2);
    }
}
