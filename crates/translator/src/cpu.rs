//! One guest CPU as translated code sees it: the first bytes of every *view* (see [`crate::runtime::view`]), reached
//! through GS. Field order is layout; offsets are taken with `offset_of!`, never written by hand.
use std::sync::atomic::{AtomicU32, Ordering};

use x86::control::{CR0_PE, CR0_PG, EFER_LMA};
use x86::flags;
use x86::segment::{CS, SS, Segment};
use x86::state::TableRegister;

/// Bytes for x87, SSE and AVX in the standard XSAVE format: 512 legacy, 64 header, 256 upper YMM halves.
pub const XSAVE_BYTES: usize = 832;

/// The value of [`Cpu::attention`] that is not 0.
pub const ATTENTION: u32 = crate::mmu::table::ATTENTION_PLACE;

/// The XSAVE area of the guest.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct XsaveArea(pub [u8; XSAVE_BYTES]);

/// The registers of one guest CPU, and what its translated code needs beside them.
///
/// While translated code runs, the general-purpose registers (all but R10 and R11, whose host registers are scratch),
/// the status flags and, if [`Cpu::vectors_loaded`], the vector and x87 registers live in the host's own registers;
/// everywhere else they live here.
#[repr(C, align(64))]
pub struct Cpu {
    /// General-purpose registers in encoding order.
    pub gpr: [u64; 16],
    /// Instruction pointer (an offset in CS; CS has base 0 in 64-bit mode).
    pub rip: u64,
    /// CF, PF, AF, ZF, SF and OF at their places in RFLAGS; all other bits zero.
    pub status_flags: u64,
    /// RFLAGS.IF at its place, all other bits zero.
    pub interrupt_flag: u64,
    /// RFLAGS.DF at its place, all other bits zero.
    pub direction_flag: u64,
    /// The rest of RFLAGS (TF, IOPL, NT, RF, VM, AC, VIF, VIP, ID), [`flags::FIXED`] not included.
    pub other_flags: u64,
    /// [`ATTENTION`] if anybody wants the CPU to leave translated code at the next jump through a table or the next jump
    /// back, else 0.
    pub attention: AtomicU32,
    /// 1 while an interrupt waits for RFLAGS.IF: whoever sets IF must then raise [`Cpu::attention`].
    pub interrupt_waiting: u32,
    /// 1 while the guest's x87, SSE and AVX registers are in the host's; 0 while they are in [`Cpu::xsave`].
    pub vectors_loaded: u32,
    /// Not zero: the next instruction is shielded from interrupts and single-step traps.
    pub interrupt_shadow: u32,
    /// Linear address of the page that the running position-independent block lies in, tagged if it is not 64-bit code
    /// ([`crate::legacy::TAG`]).
    pub code_page: u64,
    /// The delta of the window that RSP lies in, while code runs that reaches memory through windows.
    pub stack_window: u64,
    /// What was added to RDI and RSI while a repeated string instruction runs on host addresses.
    pub string_deltas: [u64; 2],
    /// Scratch of the thunk that follows a miss: registers and flags.
    pub miss_registers: [u64; 4],
    /// Scratch for emitted code: registers that it must put aside.
    pub spill: [u64; 4],
    /// Status flags that emitted code put aside (AH and AL of LAHF and SETO).
    pub spilled_flags: u64,
    /// What an exit hands to the runtime: its reason.
    pub exit_reason: u64,
    /// What an exit hands to the runtime: its argument (a linear address, a target).
    pub exit_argument: u64,
    /// Where translated code goes on after a helper.
    pub resume: u64,
    /// Where the host raised an exception.
    pub fault_place: u64,
    /// The host's stack pointer while translated code runs.
    pub host_rsp: u64,
    /// The host's MXCSR, loaded whenever translated code is left.
    pub host_mxcsr: u32,
    /// PAUSE instructions until the runtime looks whether the guest waits in a loop.
    pub pauses_left: u32,
    /// 1 after NMI delivery until IRET.
    pub nmi_blocked: u32,
    /// What is added to the host's time-stamp counter to make the guest's.
    pub tsc_offset: u64,
    /// ES, CS, SS, DS, FS, GS.
    pub segments: [Segment; 6],
    /// Local descriptor table.
    pub ldtr: Segment,
    /// Task register.
    pub tr: Segment,
    /// Global descriptor table.
    pub gdtr: TableRegister,
    /// Interrupt descriptor table.
    pub idtr: TableRegister,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// DR0 to DR7 (4 and 5 unused).
    pub dr: [u64; 8],
    /// XCR0.
    pub xcr0: u64,
    /// EFER.
    pub efer: u64,
    /// STAR.
    pub star: u64,
    /// LSTAR.
    pub lstar: u64,
    /// CSTAR.
    pub cstar: u64,
    /// SFMASK.
    pub sfmask: u64,
    /// What SWAPGS exchanges with the GS base.
    pub kernel_gs_base: u64,
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u64,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_PAT.
    pub pat: u64,
    /// IA32_TSC_AUX.
    pub tsc_aux: u64,
    /// IA32_TSC_ADJUST.
    pub tsc_adjust: u64,
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// IA32_SPEC_CTRL: kept, without effect.
    pub spec_ctrl: u64,
    /// MTRR state: kept, without effect (variable bases and masks, fixed ranges, default type).
    pub mtrr: [u64; 28],
    /// By segment register, for code that is not 64-bit: one past the last offset that may be read, and that may be
    /// written ([`crate::legacy`]).
    pub segment_ends: [[u64; 2]; 6],
    /// x87, SSE and AVX while [`Cpu::vectors_loaded`] is 0.
    pub xsave: XsaveArea,
}

/// How the CPU interprets instructions, from CR0, EFER and CS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Real or virtual-8086 mode, or protected mode with a 16-bit code segment.
    Bits16,
    /// Protected or compatibility mode with a 32-bit code segment.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

impl Cpu {
    /// RFLAGS, put together.
    pub fn rflags(&self) -> u64 {
        self.status_flags | self.interrupt_flag | self.direction_flag | self.other_flags | flags::FIXED
    }
    /// Takes RFLAGS apart; undefined bits are dropped.
    pub fn set_rflags(&mut self, value: u64) {
        self.status_flags = value & flags::STATUS;
        self.interrupt_flag = value & flags::IF;
        self.direction_flag = value & flags::DF;
        self.other_flags = value & flags::DEFINED & !(flags::STATUS | flags::IF | flags::DF | flags::FIXED);
        if self.interrupt_flag != 0 && self.interrupt_waiting != 0 {
            self.attention.store(ATTENTION, Ordering::Relaxed);
        }
    }
    /// The status flags from what [`Cpu::spilled_flags`] holds: OF from AL, the others from AH.
    pub fn unpack_flags(spilled: u64) -> u64 {
        ((spilled & 1) << 11 | spilled >> 8 & 0xff) & flags::STATUS
    }
    /// Current privilege level: the DPL of SS (0 in real mode, 3 in virtual-8086 mode).
    pub fn cpl(&self) -> u8 {
        if self.cr0 & CR0_PE == 0 {
            0
        } else if self.is_virtual_8086() {
            3
        } else {
            self.segments[SS].dpl()
        }
    }
    /// Whether EFER.LMA is set: 64-bit or compatibility mode.
    pub fn is_long_mode(&self) -> bool {
        self.efer & EFER_LMA != 0
    }
    /// Whether the CPU runs a virtual-8086 task.
    pub fn is_virtual_8086(&self) -> bool {
        self.other_flags & flags::VM != 0
    }
    /// Whether segments come from descriptor tables.
    pub fn is_protected(&self) -> bool {
        self.cr0 & CR0_PE != 0 && !self.is_virtual_8086()
    }
    /// Whether linear addresses go through page tables.
    pub fn is_paging(&self) -> bool {
        self.cr0 & CR0_PG != 0
    }
    /// Default operand and address size.
    pub fn mode(&self) -> Mode {
        if self.is_long_mode() && self.segments[CS].is_long() {
            Mode::Bits64
        } else if self.is_protected() && self.segments[CS].is_32() {
            Mode::Bits32
        } else {
            Mode::Bits16
        }
    }
}
