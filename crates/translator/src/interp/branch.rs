//! Near control flow: jumps, conditional jumps, calls, returns, loops.
use iced_x86::{Code, ConditionCode, Instruction, Mnemonic, OpKind};
use x86::exception::vector;
use x86::reg::RCX;
use x86::segment::CS;
use x86::{Exception, Gva, flags};

use super::core::{Core, Fallible, gp0, mask};

impl Core<'_> {
    /// `#GP(0)` if a near branch cannot lead to `target`.
    pub fn check_target(&self, target: u64) -> Fallible {
        let fine = if self.is_64() {
            Gva(target).is_canonical()
        } else {
            target <= u64::from(self.cpu.segments[CS].limit)
        };
        if fine { Ok(()) } else { Err(gp0()) }
    }
    /// Whether a condition holds.
    pub fn condition(&self, code: ConditionCode) -> bool {
        let status = self.status();
        let is = |flag: u64| status & flag != 0;
        match code {
            ConditionCode::None => true,
            ConditionCode::o => is(flags::OF),
            ConditionCode::no => !is(flags::OF),
            ConditionCode::b => is(flags::CF),
            ConditionCode::ae => !is(flags::CF),
            ConditionCode::e => is(flags::ZF),
            ConditionCode::ne => !is(flags::ZF),
            ConditionCode::be => is(flags::CF | flags::ZF),
            ConditionCode::a => !is(flags::CF | flags::ZF),
            ConditionCode::s => is(flags::SF),
            ConditionCode::ns => !is(flags::SF),
            ConditionCode::p => is(flags::PF),
            ConditionCode::np => !is(flags::PF),
            ConditionCode::l => is(flags::SF) != is(flags::OF),
            ConditionCode::ge => is(flags::SF) == is(flags::OF),
            ConditionCode::le => is(flags::ZF) || is(flags::SF) != is(flags::OF),
            ConditionCode::g => !is(flags::ZF) && is(flags::SF) == is(flags::OF),
        }
    }
    fn jump_to(&mut self, target: u64) -> Fallible {
        self.check_target(target)?;
        self.next_rip = target;
        Ok(())
    }
    fn jump_if(&mut self, instruction: &Instruction, taken: bool) -> Fallible {
        if taken { self.jump_to(self.branch_target(instruction)) } else { Ok(()) }
    }
    /// Target and operand size of a near JMP or CALL.
    fn near_target(&mut self, instruction: &Instruction) -> Fallible<(u64, usize)> {
        match instruction.op0_kind() {
            OpKind::NearBranch16 => Ok((self.branch_target(instruction), 2)),
            OpKind::NearBranch32 => Ok((self.branch_target(instruction), 4)),
            OpKind::NearBranch64 => Ok((self.branch_target(instruction), 8)),
            _ => {
                let size = super::operand::operand_size(instruction, 0);
                Ok((self.read_operand(instruction, 0, size)?, size))
            }
        }
    }
    fn near_call(&mut self, instruction: &Instruction) -> Fallible {
        let (target, size) = self.near_target(instruction)?;
        // The return address is in memory before the target is looked at, other than the SDM's pseudo-code has it.
        let mut cursor = self.stack();
        self.push_on(&mut cursor, size, self.next_rip)?;
        self.check_target(target)?;
        self.commit_stack(&cursor);
        self.next_rip = target;
        Ok(())
    }
    fn near_return(&mut self, instruction: &Instruction) -> Fallible {
        let size = match instruction.code() {
            Code::Retnw | Code::Retnw_imm16 => 2,
            Code::Retnd | Code::Retnd_imm16 => 4,
            _ => 8,
        };
        let mut cursor = self.stack();
        let target = self.pop_from(&mut cursor, size)?;
        self.check_target(target)?;
        if instruction.op_count() == 1 {
            let released = u64::from(instruction.immediate16());
            cursor.pointer = cursor.pointer.wrapping_add(released) & mask(cursor.width);
        }
        self.commit_stack(&cursor);
        self.next_rip = target;
        Ok(())
    }
    fn loop_while(&mut self, instruction: &Instruction) -> Fallible {
        use Code::*;
        let size = match instruction.code() {
            Loop_rel8_16_CX | Loop_rel8_32_CX | Loope_rel8_16_CX | Loope_rel8_32_CX | Loopne_rel8_16_CX
            | Loopne_rel8_32_CX => 2,
            Loop_rel8_16_RCX | Loop_rel8_64_RCX | Loope_rel8_16_RCX | Loope_rel8_64_RCX
            | Loopne_rel8_16_RCX | Loopne_rel8_64_RCX => 8,
            _ => 4,
        };
        let count = self.gpr(RCX, size).wrapping_sub(1) & mask(size);
        let zero = self.status() & flags::ZF != 0;
        let goes_on = match instruction.mnemonic() {
            Mnemonic::Loope => zero,
            Mnemonic::Loopne => !zero,
            _ => true,
        };
        self.jump_if(instruction, count != 0 && goes_on)?;
        self.set_pointer(RCX, size, count);
        Ok(())
    }

    /// Control flow by mnemonic; `None` if the instruction is something else.
    pub fn branch_instruction(&mut self, instruction: &Instruction) -> Option<Fallible> {
        if instruction.is_jcc_short_or_near() {
            let taken = self.condition(instruction.condition_code());
            return Some(self.jump_if(instruction, taken));
        }
        let far = instruction.is_jmp_far()
            || instruction.is_jmp_far_indirect()
            || instruction.is_call_far()
            || instruction.is_call_far_indirect();
        Some(match instruction.mnemonic() {
            Mnemonic::Jmp | Mnemonic::Call if far => self.far_branch(instruction),
            Mnemonic::Jmp => match self.near_target(instruction) {
                Ok((target, _)) => self.jump_to(target),
                Err(exception) => Err(exception),
            },
            Mnemonic::Call => self.near_call(instruction),
            Mnemonic::Ret => self.near_return(instruction),
            Mnemonic::Retf => self.far_return(instruction),
            Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne => self.loop_while(instruction),
            Mnemonic::Jcxz => self.jump_if(instruction, self.gpr(RCX, 2) == 0),
            Mnemonic::Jecxz => self.jump_if(instruction, self.gpr(RCX, 4) == 0),
            Mnemonic::Jrcxz => self.jump_if(instruction, self.gpr(RCX, 8) == 0),
            Mnemonic::Int => {
                if self.cpu.is_virtual_8086() && self.iopl() < 3 {
                    return Some(Err(gp0()));
                }
                self.software_interrupt(instruction.immediate8())
            }
            Mnemonic::Int3 => self.software_interrupt(vector::BP),
            Mnemonic::Into if self.status() & flags::OF != 0 => self.software_interrupt(vector::OF),
            Mnemonic::Into => Ok(()),
            Mnemonic::Int1 => {
                self.cpu.rip = self.next_rip;
                self.cpu.other_flags &= !flags::RF;
                Err(Exception::plain(vector::DB))
            }
            Mnemonic::Iret => self.interrupt_return(2),
            Mnemonic::Iretd => self.interrupt_return(4),
            Mnemonic::Iretq => self.interrupt_return(8),
            Mnemonic::Syscall => self.syscall(),
            Mnemonic::Sysret => self.sysret(false),
            Mnemonic::Sysretq => self.sysret(true),
            Mnemonic::Sysenter => self.sysenter(),
            Mnemonic::Sysexit => self.sysexit(false),
            Mnemonic::Sysexitq => self.sysexit(true),
            _ => return None,
        })
    }
}
