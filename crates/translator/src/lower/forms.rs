//! What is true of every instruction of one form (iced's [`Code`]): iced is asked when the first one comes, and its answers
//! are kept.
use std::sync::{LazyLock, OnceLock};

use iced_x86::{Code, CpuidFeature, FlowControl, Instruction, Mnemonic};

use super::decode::{is_bit_string, is_moffs, is_nothing, may_copy, uses_vectors};
use super::liveness::{self, Flags};
use super::system::System;
use super::usage::Rule;
use crate::cache::blocks::CodeMode;

/// What kind of instruction a form is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None at all, or one that only supervisors may use.
    Privileged,
    /// A string instruction.
    String,
    /// A jump, a call, a return or the like.
    Flow,
    /// It does nothing a guest could see.
    Nothing,
    /// It moves the stack pointer.
    Stack,
    /// LEA.
    Lea,
    /// The host may execute it itself ([`may_copy`]).
    Copied,
    /// The host may not.
    Uncopied,
}

/// What is known of a form.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What kind it is.
    pub kind: Kind,
    /// It touches x87, MMX, XMM or YMM registers.
    pub vectors: bool,
    /// The host never faults on it if it has no memory operand.
    pub is_harmless: bool,
    /// [`System::of`] may know it.
    pub system: bool,
    /// The status flags that it reads and writes, unless that depends on its operands.
    pub flags: Option<Flags>,
    /// How it uses its operands, if that is simple.
    pub rule: Option<Rule>,
    /// A memory operand of it would be encoded by ModRM.
    pub has_modrm: bool,
    /// A bit test whose register operand reaches beyond its memory operand.
    pub is_bit_string: bool,
}

/// What is known of all forms.
#[derive(Clone, Copy)]
pub struct Forms(&'static [OnceLock<Form>]);

impl Forms {
    /// The one table of them.
    pub fn all() -> Self {
        static FORMS: LazyLock<Box<[OnceLock<Form>]>> =
            LazyLock::new(|| Code::values().map(|_| OnceLock::new()).collect());
        Self(&FORMS)
    }
    /// The form of an instruction.
    #[inline]
    pub fn of(self, instruction: &Instruction) -> &'static Form {
        self.0[instruction.code() as usize].get_or_init(|| Form::new(instruction))
    }
}

impl Form {
    fn new(instruction: &Instruction) -> Self {
        Self {
            kind: kind(instruction),
            vectors: uses_vectors(instruction),
            is_harmless: is_harmless(instruction),
            system: may_be_system(instruction),
            flags: (!liveness::depends_on_operands(instruction)).then(|| Flags::new(instruction)),
            rule: Rule::of(instruction.code()),
            has_modrm: !is_moffs(instruction.code()),
            is_bit_string: is_bit_string(instruction.code()),
        }
    }

    /// The status flags that an instruction of this form reads and writes.
    pub fn flags(&self, instruction: &Instruction) -> Flags {
        self.flags.unwrap_or_else(|| Flags::new(instruction))
    }
}

fn kind(instruction: &Instruction) -> Kind {
    if instruction.is_invalid() || instruction.is_privileged() {
        Kind::Privileged
    } else if instruction.is_string_instruction() {
        Kind::String
    } else if instruction.flow_control() != FlowControl::Next {
        Kind::Flow
    } else if is_nothing(instruction) {
        Kind::Nothing
    } else if instruction.is_stack_instruction() {
        Kind::Stack
    } else if instruction.mnemonic() == Mnemonic::Lea {
        Kind::Lea
    } else if may_copy(instruction) {
        Kind::Copied
    } else {
        Kind::Uncopied
    }
}

/// Whether it is of those that work on general-purpose registers, and no division.
fn is_harmless(instruction: &Instruction) -> bool {
    use CpuidFeature::{ADX, BMI1, BMI2, CMOV, INTEL186, INTEL386, INTEL486, INTEL8086, LZCNT, POPCNT, X64};
    let basic = [INTEL8086, INTEL186, INTEL386, INTEL486, X64, CMOV, POPCNT, LZCNT, BMI1, BMI2, ADX];
    may_copy(instruction)
        && !uses_vectors(instruction)
        && !matches!(instruction.mnemonic(), Mnemonic::Div | Mnemonic::Idiv)
        && instruction.cpuid_features().iter().all(|feature| basic.contains(feature))
}

/// Whether some mode has a translation of it as a system instruction. Which register a MOV names is not the form's.
fn may_be_system(instruction: &Instruction) -> bool {
    let mode =
        CodeMode { syscall: true, time_stamp: true, bases: true, windows: true, ..CodeMode::default() };
    let known = |user| System::of(instruction, CodeMode { user, ..mode }).is_some();
    let special = instruction.mnemonic() == Mnemonic::Mov && kind(instruction) != Kind::Copied;
    special || known(false) || known(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::samples;

    #[test]
    fn what_is_kept_of_a_form_is_true_of_all_its_instructions() {
        let first = [0x66, 0xf2, 0xf3, 0x48, 0x0f, 0xc5, 0xc4, 0x4c];
        for (bytes, _, instruction) in samples::instructions(1, 400_000, first) {
            let (kept, own) = (Forms::all().of(&instruction), Form::new(&instruction));
            assert_eq!(kept.kind, own.kind, "{bytes:x?}");
            assert_eq!(kept.vectors, own.vectors, "{bytes:x?}");
            assert_eq!(kept.is_harmless, own.is_harmless, "{bytes:x?}");
            assert!(own.system <= kept.system, "{bytes:x?}");
            assert_eq!(kept.flags(&instruction), Flags::new(&instruction), "{bytes:x?}");
        }
    }
}
