//! System instructions that kernels use too often to leave them to the interpreter: flags, SYSCALL and SYSRET, SWAPGS,
//! the time-stamp counter, segment bases.
//!
//! Whatever is unusual about one (a trap flag, an address that is not canonical) goes to the interpreter after all, with
//! nothing changed.
use std::mem::offset_of;

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

use super::block::Lowering;
use super::cold::Cold;
use super::decode::Decoded;
use super::memory::number;
use crate::cache::blocks::CodeMode;
use crate::cache::blocks::FlagPlace;
use crate::cpu::{ATTENTION, Cpu};
use crate::emit::asm::{Asm, Mem, Reg, T0, T1, cond};
use crate::mmu::Access;
use crate::mmu::table::Ring;
use crate::runtime::thunks::{GUEST_GS_BASE, gpr, segment_base};
use x86::Segment;
use x86::flags;
use x86::reg::{R11, RAX, RCX, RDX};
use x86::segment::*;

/// A system instruction with a translation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// CLI.
    ClearInterruptFlag,
    /// STI.
    SetInterruptFlag,
    /// CLD.
    ClearDirectionFlag,
    /// STD.
    SetDirectionFlag,
    /// PUSHFQ.
    PushFlags,
    /// SWAPGS.
    SwapGs,
    /// SYSCALL.
    Call,
    /// SYSRETQ.
    Return,
    /// IRETQ.
    InterruptReturn,
    /// PAUSE.
    Pause,
    /// RDTSC.
    TimeStamp,
    /// MOV from a control register: its offset in [`Cpu`].
    ReadControl(usize),
    /// MOV from a segment register: its number.
    ReadSegment(usize),
    /// RDFSBASE, RDGSBASE: the offset of the base.
    ReadBase(usize),
    /// WRFSBASE, WRGSBASE: the offset of the base.
    WriteBase(usize),
}

impl System {
    /// The system instruction that is translated in a mode, if it is one.
    pub fn of(instruction: &Instruction, mode: CodeMode) -> Option<Self> {
        let supervisor = !mode.user;
        match instruction.mnemonic() {
            Mnemonic::Pause => Some(Self::Pause),
            Mnemonic::Cld => Some(Self::ClearDirectionFlag),
            Mnemonic::Std => Some(Self::SetDirectionFlag),
            Mnemonic::Cli if supervisor => Some(Self::ClearInterruptFlag),
            Mnemonic::Sti if supervisor => Some(Self::SetInterruptFlag),
            Mnemonic::Pushfq if supervisor => Some(Self::PushFlags),
            Mnemonic::Swapgs if supervisor => Some(Self::SwapGs),
            Mnemonic::Syscall if mode.user && mode.syscall => Some(Self::Call),
            Mnemonic::Sysretq if supervisor && mode.syscall => Some(Self::Return),
            Mnemonic::Iretq if supervisor && mode.windows => Some(Self::InterruptReturn),
            Mnemonic::Rdtsc if supervisor || mode.time_stamp => Some(Self::TimeStamp),
            Mnemonic::Rdfsbase if mode.bases => base_access(instruction, FS).map(Self::ReadBase),
            Mnemonic::Rdgsbase if mode.bases => base_access(instruction, GS).map(Self::ReadBase),
            Mnemonic::Wrfsbase if mode.bases => base_access(instruction, FS).map(Self::WriteBase),
            Mnemonic::Wrgsbase if mode.bases => base_access(instruction, GS).map(Self::WriteBase),
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => match instruction.op1_register() {
                Register::ES => Some(Self::ReadSegment(ES)),
                Register::CS => Some(Self::ReadSegment(CS)),
                Register::SS => Some(Self::ReadSegment(SS)),
                Register::DS => Some(Self::ReadSegment(DS)),
                Register::FS => Some(Self::ReadSegment(FS)),
                Register::GS => Some(Self::ReadSegment(GS)),
                _ => control_read(instruction, supervisor),
            },
            _ => None,
        }
    }

    /// Whether nothing follows it in its block.
    pub fn ends_block(self) -> bool {
        matches!(self, Self::Call | Self::Return | Self::InterruptReturn)
    }
}

fn control_read(instruction: &Instruction, supervisor: bool) -> Option<System> {
    if !supervisor || instruction.code() != Code::Mov_r64_cr {
        return None;
    }
    let field = match instruction.op1_register() {
        Register::CR0 => offset_of!(Cpu, cr0),
        Register::CR2 => offset_of!(Cpu, cr2),
        Register::CR3 => offset_of!(Cpu, cr3),
        Register::CR4 => offset_of!(Cpu, cr4),
        _ => return None,
    };
    Some(System::ReadControl(field))
}

fn base_access(instruction: &Instruction, segment: usize) -> Option<usize> {
    let wide = instruction.op0_kind() == OpKind::Register && instruction.op0_register().size() == 8;
    wide.then_some(segment_base(segment))
}

const SPILLED: usize = offset_of!(Cpu, spilled_flags);
/// Limit and attributes of a flat segment as the second half of a [`Segment`]; the selector goes above.
const fn flat(attributes: u16) -> u64 {
    0xffff_ffff | (attributes as u64) << 32
}
pub(super) const CODE_64: u16 = ATTR_P | ATTR_S | ATTR_CODE | ATTR_RW | ATTR_ACCESSED | ATTR_L | ATTR_G;
pub(super) const STACK: u16 = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | ATTR_DB | ATTR_G;
pub(super) const DPL_3: u16 = 3 << ATTR_DPL_SHIFT;
/// What [`Cpu::other_flags`] holds.
const OTHER: u64 = flags::DEFINED & !(flags::STATUS | flags::IF | flags::DF | flags::FIXED);

pub(super) const fn segment(number: usize) -> usize {
    offset_of!(Cpu, segments) + number * size_of::<Segment>()
}

impl Lowering {
    pub(super) fn system(&mut self, decoded: &Decoded, what: System) {
        match what {
            System::ClearInterruptFlag => self.asm.store_imm(Mem::gs(offset_of!(Cpu, interrupt_flag)), 0),
            System::SetInterruptFlag => self.set_interrupt_flag(decoded),
            System::ClearDirectionFlag => self.asm.store_imm(Mem::gs(offset_of!(Cpu, direction_flag)), 0),
            System::SetDirectionFlag => {
                self.asm.store_imm(Mem::gs(offset_of!(Cpu, direction_flag)), flags::DF as i32);
            }
            System::PushFlags => self.push_flags(decoded),
            System::SwapGs => {
                let (active, inactive) = (Mem::gs(GUEST_GS_BASE), Mem::gs(offset_of!(Cpu, kernel_gs_base)));
                self.asm.load(T0, active);
                self.asm.load(T1, inactive);
                self.asm.store(active, T1);
                self.asm.store(inactive, T0);
            }
            System::Call => self.system_call(decoded),
            System::Return => self.system_return(),
            System::InterruptReturn => self.interrupt_return(),
            System::Pause => self.pause(decoded),
            System::TimeStamp => self.time_stamp(),
            System::ReadControl(field) | System::ReadBase(field) => {
                let to = number(decoded.instruction.op0_register());
                self.asm.load(to, Mem::gs(field));
                if to == T0 || to == T1 {
                    self.asm.store(Self::home(to), to);
                }
            }
            System::ReadSegment(number) => self.read_segment(decoded, number),
            System::WriteBase(field) => self.write_base(decoded, field),
        }
    }

    /// A selector to a register (16 bits merged, wider ones zero-extended) or to memory (always 16 bits).
    fn read_segment(&mut self, decoded: &Decoded, which: usize) {
        let selector = Mem::gs(segment(which) + offset_of!(Segment, selector));
        let instruction = &decoded.instruction;
        if instruction.op0_kind() == OpKind::Memory {
            self.reach_operand(decoded, 2, Access::Write, T0);
            self.asm.op_mem(0, false, &[0x0f, 0xb7], T1, selector); // movzx
            self.asm.op_mem(0x66, false, &[0x89], T1, Mem::base(T0, 0));
            return;
        }
        let to = number(instruction.op0_register());
        let home = to == T0 || to == T1;
        if home {
            self.asm.load(to, Self::home(to));
        }
        if instruction.op0_register().size() == 2 {
            self.asm.op_mem(0x66, false, &[0x8b], to, selector);
        } else {
            self.asm.op_mem(0, false, &[0x0f, 0xb7], to, selector);
        }
        if home {
            self.asm.store(Self::home(to), to);
        }
    }

    /// STI: the block goes on for one instruction more, which is shielded, and then looks for attention.
    fn set_interrupt_flag(&mut self, decoded: &Decoded) {
        self.asm.store_imm(Mem::gs(offset_of!(Cpu, interrupt_flag)), flags::IF as i32);
        self.spill_if_live(decoded);
        self.call_for_attention();
        self.wants_attention = true;
    }

    /// An interrupt that waited for IF is looked for at the next jump. Clobbers the flags.
    pub(super) fn call_for_attention(&mut self) {
        self.asm.cmp_zero32(Mem::gs(offset_of!(Cpu, interrupt_waiting)));
        let none = self.asm.jcc(cond::E);
        self.asm.store_imm32(Mem::gs(offset_of!(Cpu, attention)), ATTENTION);
        self.asm.bind(none);
    }

    /// T1 = RFLAGS, from flags that were put aside. Clobbers the flags.
    pub(super) fn gather_flags(asm: &mut Asm) {
        asm.op_mem(0, false, &[0x0f, 0xb6], T1, Mem::gs(SPILLED)); // movzx r11d, byte: OF
        asm.raw(&[0x41, 0xc1, 0xe3, 11]); // shl r11d, 11
        asm.op_mem(0, false, &[0x0a], T1, Mem::gs(SPILLED + 1)); // or r11b, byte: the rest
        for field in
            [offset_of!(Cpu, interrupt_flag), offset_of!(Cpu, direction_flag), offset_of!(Cpu, other_flags)]
        {
            asm.op_mem(0, true, &[0x0b], T1, Mem::gs(field)); // or
        }
    }

    /// RFLAGS = T1, with the status flags put aside; clobbers T0, T1 and the flags.
    pub(super) fn scatter_flags(asm: &mut Asm) {
        for (field, mask) in [
            (offset_of!(Cpu, interrupt_flag), flags::IF),
            (offset_of!(Cpu, direction_flag), flags::DF),
            (offset_of!(Cpu, other_flags), OTHER),
        ] {
            asm.mov(T0, T1);
            asm.and_imm32(T0, mask as u32);
            asm.store(Mem::gs(field), T0);
        }
        asm.mov(T0, T1);
        asm.raw(&[0x41, 0xc1, 0xea, 11]); // shr r10d, 11
        asm.and_imm32(T0, 1);
        // AL (OF) in the low byte, AH (the rest) above.
        asm.and_imm32(T1, 0xff);
        asm.raw(&[0x41, 0xc1, 0xe3, 8]); // shl r11d, 8
        asm.op_reg(false, &[0x09], T0, T1); // or r11d, r10d
        asm.store32(Mem::gs(SPILLED), T1);
    }

    fn push_flags(&mut self, decoded: &Decoded) {
        self.spill_for_table();
        if let Some(legacy) = self.mode.legacy {
            return self.push_legacy_flags(decoded, legacy);
        }
        let slot = self.reach_push(decoded);
        Self::gather_flags(&mut self.asm);
        self.asm.store(slot, T1);
        self.move_stack(-8);
    }

    /// SYSCALL (SDM 2B): RCX and R11 take RIP and RFLAGS, selectors come from STAR, the target from LSTAR.
    fn system_call(&mut self, decoded: &Decoded) {
        self.spill_for_table();
        self.code_address(T0, decoded.instruction.next_ip());
        let asm = &mut self.asm;
        asm.mov(RCX as Reg, T0);
        Self::gather_flags(asm);
        asm.store(Mem::gs(gpr(R11)), T1);
        asm.load(T0, Mem::gs(offset_of!(Cpu, sfmask)));
        asm.raw(&[0x49, 0xf7, 0xd2]); // not r10
        asm.op_reg(true, &[0x21], T0, T1); // and r11, r10
        asm.raw(&[0x41, 0x81, 0xe3]); // and r11d, …
        asm.raw(&(!(flags::RF | flags::VM) as u32).to_le_bytes());
        Self::scatter_flags(asm);
        asm.load(T0, Mem::gs(offset_of!(Cpu, star)));
        asm.raw(&[0x49, 0xc1, 0xea, 32]); // shr r10, 32
        asm.and_imm32(T0, 0xfffc);
        Self::load_flat(asm, CODE_64, STACK, 8);
        self.renew_stack_window_for(Ring::Supervisor);
        self.asm.load(T0, Mem::gs(offset_of!(Cpu, lstar)));
        self.flags = FlagPlace::Spilled;
        self.go_to(Ring::Supervisor);
    }

    /// SYSRETQ: the way back. A target that is not canonical, and flags that only the interpreter follows, are its own.
    fn system_return(&mut self) {
        let asm = &mut self.asm;
        asm.load(T1, Mem::gs(gpr(R11)));
        asm.raw(&[0x41, 0xf7, 0xc3]); // test r11d, …
        asm.raw(&((flags::TF | flags::AC | flags::RF) as u32).to_le_bytes());
        let unusual = asm.jcc(cond::NE);
        asm.mov(T0, RCX as Reg);
        asm.raw(&[0x49, 0xc1, 0xea, 47]); // shr r10, 47
        let not_user = asm.jcc(cond::NE);
        asm.raw(&[0x41, 0x81, 0xe3]); // and r11d, …
        asm.raw(&0x003c_7fd7_u32.to_le_bytes());
        Self::scatter_flags(asm);
        asm.load(T0, Mem::gs(offset_of!(Cpu, star)));
        asm.raw(&[0x49, 0xc1, 0xea, 48]); // shr r10, 48
        asm.lea32(T0, Mem::base(T0, 16));
        asm.raw(&[0x41, 0x83, 0xca, 3]); // or r10d, 3
        Self::load_flat(asm, CODE_64 | DPL_3, STACK | DPL_3, -8);
        self.call_for_attention();
        self.renew_stack_window_for(Ring::User);
        self.asm.mov(T0, RCX as Reg);
        self.flags = FlagPlace::Spilled;
        self.go_to(Ring::User);
        for from in [unusual, not_user] {
            self.cold.push(Cold::Unusual { from, start: self.start, flags: FlagPlace::Eflags });
        }
    }

    /// CS = the selector in T0, flat; SS = `distance` beyond it. Clobbers T0 and T1.
    pub(super) fn load_flat(asm: &mut Asm, code: u16, stack: u16, distance: i64) {
        asm.raw(&[0x49, 0xc1, 0xe2, 48]); // shl r10, 48
        asm.mov_imm(T1, flat(code));
        asm.lea(T0, Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false });
        asm.store(Mem::gs(segment(CS) + 8), T0);
        let step = flat(stack).wrapping_sub(flat(code)).wrapping_add((distance as u64) << 48);
        asm.mov_imm(T1, step);
        asm.lea(T0, Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false });
        asm.store(Mem::gs(segment(SS) + 8), T0);
        asm.store_imm(Mem::gs(segment(CS)), 0);
        asm.store_imm(Mem::gs(segment(SS)), 0);
    }

    /// PAUSE, counted: the last one of a ration leaves translated code, so that loops that wait for another CPU can make
    /// room for it.
    fn pause(&mut self, decoded: &Decoded) {
        self.spill_if_live(decoded);
        self.asm.raw(&[0xf3, 0x90]); // pause
        self.asm.op_mem(0, false, &[0x83], 5, Mem::gs(offset_of!(Cpu, pauses_left))); // sub dword, …
        self.asm.raw(&[1]);
        let from = self.asm.jcc(cond::E);
        self.unusual(from);
    }

    fn time_stamp(&mut self) {
        let asm = &mut self.asm;
        asm.raw(&[0x0f, 0x31]); // rdtsc
        asm.rorx(T0, RDX as Reg, 32);
        asm.lea(T0, Mem { base: Some(T0), index: Some((RAX as Reg, 0)), disp: 0, gs: false });
        asm.load(T1, Mem::gs(offset_of!(Cpu, tsc_offset)));
        asm.lea(T0, Mem { base: Some(T0), index: Some((T1, 0)), disp: 0, gs: false });
        asm.mov32(RAX as Reg, T0);
        asm.rorx(RDX as Reg, T0, 32);
        asm.mov32(RDX as Reg, RDX as Reg);
    }

    /// WRFSBASE and WRGSBASE: an address that is not canonical is the interpreter's to refuse.
    fn write_base(&mut self, decoded: &Decoded, field: usize) {
        self.spill_if_live(decoded);
        let from = number(decoded.instruction.op0_register());
        if from == T0 || from == T1 {
            self.asm.load(T0, Self::home(from));
        } else {
            self.asm.mov(T0, from);
        }
        let asm = &mut self.asm;
        asm.mov(T1, T0);
        asm.raw(&[0x49, 0xc1, 0xe3, 16]); // shl r11, 16
        asm.raw(&[0x49, 0xc1, 0xfb, 16]); // sar r11, 16
        asm.op_reg(true, &[0x39], T0, T1); // cmp r11, r10
        let not_canonical = asm.jcc(cond::NE);
        asm.store(Mem::gs(field), T0);
        let (start, flags) = (self.start, self.flags);
        self.cold.push(Cold::Unusual { from: not_canonical, start, flags });
    }
}
