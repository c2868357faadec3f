//! Which registers and what memory an instruction uses: by a rule for common forms, which use nothing but their operands,
//! else as iced says, which takes ten times as long.
use iced_x86::{Code, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use x86::reg::RSP;

/// How instructions of a common form use their operands: all but the first are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The first is read.
    Reads,
    /// The first is written.
    Writes,
    /// The first is read and written.
    Changes,
    /// The first is read and written; if the second is the same register, only written.
    ChangesOrClears,
    /// The first is read, and the stack pointer moves.
    Pushes,
    /// The first is written, and the stack pointer moves.
    Pops,
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
            Code::Push_r64 | Code::Call_rel32_64 => return Some(Self::Pushes),
            Code::Pop_r64 | Code::Retnq => return Some(Self::Pops),
            // Of segment, control and debug registers.
            _ if code.mnemonic() == Mov && code.is_privileged() => return None,
            _ => {}
        }
        if code.is_jcc_short_or_near() || code.is_jmp_short_or_near() {
            return Some(Self::Reads);
        }
        Some(match code.mnemonic() {
            Cmp | Test => Self::Reads,
            Mov | Movzx | Movsx | Movsxd => Self::Writes,
            Seto | Setno | Setb | Setae | Sete | Setne | Setbe | Seta => Self::Writes,
            Sets | Setns | Setp | Setnp | Setl | Setge | Setle | Setg => Self::Writes,
            Add | Adc | Sbb | And | Or | Inc | Dec | Neg | Not => Self::Changes,
            Xor | Sub => Self::ChangesOrClears,
            _ => return None,
        })
    }

    fn first(self) -> OpAccess {
        match self {
            Self::Reads | Self::Pushes => OpAccess::Read,
            Self::Writes | Self::Pops => OpAccess::Write,
            Self::Changes | Self::ChangesOrClears => OpAccess::ReadWrite,
        }
    }

    fn usage(self, instruction: &Instruction) -> Usage {
        let mut usage = Usage::with(Memory::Unused);
        let mut access = match self {
            Self::ChangesOrClears if names_one_twice(instruction) => OpAccess::Write,
            _ => self.first(),
        };
        // None has more than two.
        let operands = [
            (instruction.op0_kind(), instruction.op0_register()),
            (instruction.op1_kind(), instruction.op1_register()),
        ];
        for (kind, register) in operands {
            match kind {
                OpKind::Register => {
                    usage.register(register, access);
                    usage.name(register);
                }
                OpKind::Memory => {
                    usage.memory = Memory::Once(access);
                    usage.register(instruction.memory_base(), OpAccess::Read);
                    usage.register(instruction.memory_index(), OpAccess::Read);
                }
                _ => {}
            }
            access = if access == OpAccess::Write && self == Self::ChangesOrClears {
                access
            } else {
                OpAccess::Read
            };
        }
        if matches!(self, Self::Pushes | Self::Pops) {
            usage.register(Register::RSP, OpAccess::ReadWrite);
            usage.memory = Memory::Once(if self == Self::Pushes { OpAccess::Write } else { OpAccess::Read });
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
    pub fn of(
        instruction: &Instruction,
        rule: Option<Rule>,
        factory: &mut Option<InstructionInfoFactory>,
    ) -> Self {
        match rule {
            Some(rule) => rule.usage(instruction),
            None => Self::told(instruction, factory.get_or_insert_with(InstructionInfoFactory::new)),
        }
    }

    fn with(memory: Memory) -> Self {
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
                usage.name(instruction.op_register(index));
            }
        }
        usage
    }

    fn name(&mut self, register: Register) {
        let part = Part::of(register);
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
