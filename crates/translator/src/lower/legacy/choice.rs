//! Which way an instruction of legacy code goes.
use iced_x86::{Code, EncodingKind, FlowControl, Instruction, Mnemonic, OpAccess, OpKind};

use crate::cache::blocks::CodeMode;
use crate::emit::long_form;
use crate::legacy::Legacy;
use crate::lower::copy::Check;
use crate::lower::decode::{Way, is_bit_string, is_nothing, may_copy};
use crate::lower::string::StringOperation;
use crate::lower::system::System;
use crate::lower::usage::Memory;
use crate::mmu::Access;

/// The way of an instruction.
pub fn choose(instruction: &Instruction, mode: CodeMode, legacy: Legacy, vectors: bool, used: Memory) -> Way {
    if let Some(system) = system(instruction, mode) {
        return Way::System(system);
    }
    let is_vex = instruction.encoding() == EncodingKind::VEX;
    if instruction.is_invalid()
        || instruction.is_privileged()
        || (vectors && !mode.vectors)
        || (is_vex && !legacy.protected)
    {
        return Way::Interpret;
    }
    if instruction.is_string_instruction() {
        return StringOperation::legacy(instruction, legacy).map_or(Way::Interpret, Way::String);
    }
    match instruction.flow_control() {
        FlowControl::Next => {}
        _ => return flow(instruction, mode, legacy),
    }
    if is_nothing(instruction) {
        return Way::Nothing;
    }
    if instruction.is_stack_instruction() {
        return stack(instruction);
    }
    match instruction.mnemonic() {
        Mnemonic::Lea => Way::Lea,
        // The host would clear the upper eight registers too.
        Mnemonic::Vzeroupper | Mnemonic::Vzeroall => Way::Interpret,
        _ if may_copy(instruction) && long_form::exists(instruction) => memory(instruction, used),
        _ => Way::Interpret,
    }
}

fn system(instruction: &Instruction, mode: CodeMode) -> Option<System> {
    use System::*;
    if matches!(instruction.mnemonic(), Mnemonic::Pushf | Mnemonic::Pushfd) {
        return Some(PushFlags);
    }
    // The others are otherwise outside 64-bit mode.
    let same = |system: &System| {
        matches!(
            system,
            ClearInterruptFlag
                | SetInterruptFlag
                | ClearDirectionFlag
                | SetDirectionFlag
                | Pause
                | TimeStamp
                | ReadSegment(_)
        )
    };
    System::of(instruction, mode).filter(same)
}

fn memory(instruction: &Instruction, used: Memory) -> Way {
    let access = match used {
        Memory::Unused => return Way::Copy,
        Memory::Once(access) => access,
        Memory::Often => return Way::Interpret,
    };
    let access = match access {
        OpAccess::None | OpAccess::NoMemAccess => return Way::Nothing,
        OpAccess::Read | OpAccess::CondRead => Access::Read,
        _ => Access::Write,
    };
    if Check::of(instruction).is_some() {
        return Way::Interpret;
    }
    let is_explicit = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    let size = instruction.memory_size().size() as u32;
    if !is_explicit || !(1..=64).contains(&size) {
        return Way::Interpret;
    }
    if is_bit_string(instruction.code()) { Way::BitString } else { Way::CopyMemory { size, access } }
}

fn flow(instruction: &Instruction, mode: CodeMode, legacy: Legacy) -> Way {
    let direct = matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32);
    // A target that is cut to 16 bits is not relative to the page.
    let is_absolute = instruction.op0_kind() == OpKind::NearBranch16 && !mode.is_pinned();
    if is_absolute || (direct && legacy.leaves_segment(instruction)) {
        return Way::Interpret;
    }
    match instruction.code() {
        Code::Jmp_rel8_16 | Code::Jmp_rel16 | Code::Jmp_rel8_32 | Code::Jmp_rel32_32 => Way::Jump,
        Code::Call_rel16 | Code::Call_rel32_32 => Way::Call,
        Code::Jmp_rm16 | Code::Jmp_rm32 => Way::JumpIndirect,
        Code::Call_rm16 | Code::Call_rm32 => Way::CallIndirect,
        Code::Retnw | Code::Retnw_imm16 | Code::Retnd | Code::Retnd_imm16 => Way::Return,
        _ if direct && instruction.is_jcc_short_or_near() => Way::JumpIf,
        _ if direct => match instruction.mnemonic() {
            Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne | Mnemonic::Jcxz | Mnemonic::Jecxz => {
                Way::CountedJump
            }
            _ => Way::Interpret,
        },
        _ => Way::Interpret,
    }
}

fn stack(instruction: &Instruction) -> Way {
    let in_register = instruction.op_count() == 1 && instruction.op0_kind() == OpKind::Register;
    let of_segment = in_register && instruction.op0_register().is_segment_register();
    match instruction.mnemonic() {
        Mnemonic::Push => Way::Push,
        Mnemonic::Pop if in_register && !of_segment => Way::Pop,
        Mnemonic::Leave => Way::Leave,
        _ => Way::Interpret,
    }
}
