//! Which registers and what memory an instruction uses: by a rule for common forms, which use nothing but their operands,
//! else as iced says, which takes ten times as long.
use iced_x86::{Code, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use x86::reg::RSP;

/// How instructions of a common form use their operands: all but the first are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is done to the first operand.
    first: OpAccess,
    /// All bits if the first is read; if it is written.
    reads: u16,
    writes: u16,
    /// If the second is the same register as the first, that is only written.
    may_clear: bool,
    /// What is done to the stack, if the stack pointer moves.
    stack: Option<OpAccess>,
    /// A memory operand is only an address.
    is_address: bool,
}

impl Rule {
    const READS: Self = Self {
        first: OpAccess::Read,
        reads: u16::MAX,
        writes: 0,
        may_clear: false,
        stack: None,
        is_address: false,
    };
    const WRITES: Self = Self { first: OpAccess::Write, reads: 0, writes: u16::MAX, ..Self::READS };
    const CHANGES: Self = Self { first: OpAccess::ReadWrite, writes: u16::MAX, ..Self::READS };
    const CHANGES_OR_CLEARS: Self = Self { may_clear: true, ..Self::CHANGES };
    const PUSHES: Self = Self { stack: Some(OpAccess::Write), ..Self::READS };
    const POPS: Self = Self { stack: Some(OpAccess::Read), ..Self::WRITES };
    const ADDRESS: Self = Self { is_address: true, ..Self::WRITES };
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing.
    Unused,
    /// It has one operand there.
    Once(OpAccess),
    /// It has more.
    Often,
}

/// What an instruction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// General-purpose registers whose value matters to it, as bits.
    pub reads: u16,
    /// General-purpose registers that it may change, as bits.
    pub writes: u16,
    /// General-purpose registers that are operands themselves, as bits.
    pub names: u16,
    /// AH or its like is an operand.
    pub names_high_byte: bool,
    /// Memory.
    pub memory: Memory,
}

impl Rule {
    /// The rule of a form, if there is one.
    pub fn of(code: Code) -> Option<Self> {
        use Mnemonic::*;
        match code {
            Code::Push_r64 | Code::Call_rel32_64 => return Some(Self::PUSHES),
            Code::Pop_r64 | Code::Retnq => return Some(Self::POPS),
            Code::Shl_rm32_imm8 | Code::Shr_rm32_imm8 | Code::Sar_rm32_imm8 => return Some(Self::CHANGES),
            Code::Shl_rm64_imm8 | Code::Shr_rm64_imm8 | Code::Sar_rm64_imm8 => return Some(Self::CHANGES),
            Code::Rol_rm32_imm8 | Code::Ror_rm32_imm8 | Code::Rol_rm64_imm8 => return Some(Self::CHANGES),
            Code::Imul_r32_rm32 | Code::Imul_r64_rm64 => return Some(Self::CHANGES),
            // Of segment, control and debug registers.
            _ if code.mnemonic() == Mov && code.is_privileged() => return None,
            _ => {}
        }
        if code.is_jcc_short_or_near() || code.is_jmp_short_or_near() {
            return Some(Self::READS);
        }
        Some(match code.mnemonic() {
            Cmp | Test => Self::READS,
            Mov | Movzx | Movsx | Movsxd => Self::WRITES,
            Seto | Setno | Setb | Setae | Sete | Setne | Setbe | Seta => Self::WRITES,
            Sets | Setns | Setp | Setnp | Setl | Setge | Setle | Setg => Self::WRITES,
            Add | Adc | Sbb | And | Or | Inc | Dec | Neg | Not => Self::CHANGES,
            Xor | Sub => Self::CHANGES_OR_CLEARS,
            Lea => Self::ADDRESS,
            _ => return None,
        })
    }

    #[inline]
    fn usage(&self, instruction: &Instruction) -> Usage {
        let mut usage = Usage::NONE;
        let clears = self.may_clear && names_one_twice(instruction);
        let reads = if clears { 0 } else { self.reads };
        match instruction.op0_kind() {
            OpKind::Register => {
                let part = Part::of(instruction.op0_register());
                usage.name(part);
                usage.reads = part.bit & reads | part.partial & !reads;
                usage.writes = part.bit & self.writes;
            }
            OpKind::Memory => usage.address(instruction, self.first),
            _ => {}
        }
        // None has more than two that matter.
        match instruction.op1_kind() {
            OpKind::Register if !clears => {
                let part = Part::of(instruction.op1_register());
                usage.name(part);
                usage.reads |= part.bit;
            }
            OpKind::Memory => usage.address(instruction, OpAccess::Read),
            _ => {}
        }
        if self.is_address {
            usage.memory = Memory::Unused;
        }
        if let Some(access) = self.stack {
            usage.reads |= 1 << RSP;
            usage.writes |= 1 << RSP;
            usage.memory = Memory::Once(access);
        }
        usage
    }
}

fn names_one_twice(instruction: &Instruction) -> bool {
    instruction.op1_kind() == OpKind::Register
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

impl Usage {
    /// What an instruction uses, by its form's rule or by iced.
    #[inline]
    pub fn of(
        instruction: &Instruction,
        rule: Option<&Rule>,
        factory: &mut Option<InstructionInfoFactory>,
    ) -> Self {
        match rule {
            Some(rule) => rule.usage(instruction),
            None => Self::told(instruction, factory.get_or_insert_with(InstructionInfoFactory::new)),
        }
    }

    /// Nothing.
    pub const NONE: Self = Self::with(Memory::Unused);

    const fn with(memory: Memory) -> Self {
        Self { reads: 0, writes: 0, names: 0, names_high_byte: false, memory }
    }

    fn told(instruction: &Instruction, factory: &mut InstructionInfoFactory) -> Self {
        let info = factory.info(instruction);
        let memory = match info.used_memory() {
            [] => Memory::Unused,
            [only] => Memory::Once(only.access()),
            _ => Memory::Often,
        };
        let mut usage = Self::with(memory);
        for used in info.used_registers() {
            usage.register(used.register(), used.access());
        }
        for index in 0..instruction.op_count() {
            if instruction.op_kind(index) == OpKind::Register {
                usage.name(Part::of(instruction.op_register(index)));
            }
        }
        usage
    }

    /// It has one operand in memory.
    fn address(&mut self, instruction: &Instruction, access: OpAccess) {
        self.memory = Memory::Once(access);
        self.reads |= Part::of(instruction.memory_base()).bit | Part::of(instruction.memory_index()).bit;
    }

    fn name(&mut self, part: Part) {
        self.names |= part.bit;
        self.names_high_byte |= part.high;
    }

    fn register(&mut self, register: Register, access: OpAccess) {
        let part = Part::of(register);
        let reads = !matches!(access, OpAccess::Write | OpAccess::NoMemAccess | OpAccess::None);
        let only_reads = matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::None);
        // Part of a register, or under a condition: the rest stays.
        self.reads |= if reads { part.bit } else { part.partial };
        self.writes |= if only_reads { 0 } else { part.bit };
    }
}

/// A register, as far as it is a general-purpose one or a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    /// The general-purpose register as a bit; 0 of others.
    bit: u16,
    /// As well, if a write to this leaves something of it as it was.
    partial: u16,
    /// AH or its like.
    high: bool,
}

static PARTS: [Part; 256] = parts();

impl Part {
    fn of(register: Register) -> Self {
        PARTS[register as u8 as usize]
    }
}

const fn parts() -> [Part; 256] {
    const HIGH: usize = Register::AH as usize;
    const REX: usize = Register::SPL as usize;
    const WORD: usize = Register::AX as usize;
    const DOUBLE: usize = Register::EAX as usize;
    let mut parts = [Part { bit: 0, partial: 0, high: false }; 256];
    let mut register = Register::AL as usize;
    while register <= Register::R15 as usize {
        let number = match register {
            ..HIGH => register - 1,
            HIGH..REX => register - HIGH,
            REX..WORD => register - REX + RSP,
            _ => (register - WORD) % 16,
        };
        let bit = 1 << number;
        let partial = if register < DOUBLE { bit } else { 0 };
        parts[register] = Part { bit, partial, high: register >= HIGH && register < REX };
        register += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::samples;

    #[test]
    fn registers_have_the_numbers_that_iced_gives_them() {
        for register in Register::values() {
            let bit = if register.is_gpr() { 1 << register.full_register().number() } else { 0 };
            let partial = if register.size() < 4 { bit } else { 0 };
            let high = matches!(register, Register::AH | Register::BH | Register::CH | Register::DH);
            assert_eq!(Part::of(register), Part { bit, partial, high }, "{register:?}");
        }
    }

    #[test]
    fn rules_say_what_iced_says() {
        let mut factory = InstructionInfoFactory::new();
        let mut ruled = 0;
        let first = [0x66, 0x41, 0xf0, 0x48, 0x0f, 0x65, 0x67, 0x4c];
        for (bytes, bits, instruction) in samples::instructions(7, 1_000_000, first) {
            let Some(rule) = Rule::of(instruction.code()) else { continue };
            let (by_rule, told) = (rule.usage(&instruction), Usage::told(&instruction, &mut factory));
            assert_eq!(by_rule, told, "{bits} {:?} {bytes:x?}", instruction.code());
            ruled += 1;
        }
        assert!(ruled > 100_000);
    }
}
