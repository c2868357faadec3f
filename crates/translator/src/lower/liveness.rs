//! Which status flags are live where: one backward pass over a block.
use iced_x86::{Instruction, Mnemonic, OpKind};

use super::decode::{Decoded, STATUS};

/// What an instruction does to the status flags, as iced's bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Those that it reads.
    pub reads: u8,
    /// Those that it may write.
    pub writes: u8,
    /// Those that it gives a new value whatever happens.
    pub kills: u8,
}

impl Flags {
    /// Of an instruction.
    pub fn new(instruction: &Instruction) -> Self {
        let writes = instruction.rflags_modified() as u8 & STATUS;
        let kills = if may_leave_flags(instruction) { 0 } else { writes };
        Self { reads: reads(instruction), writes, kills }
    }
}

/// Fills `live_before` and `live_after`; `at_end` are the flags that are live after the last instruction.
pub fn analyse(block: &mut [Decoded], at_end: u8) {
    let mut live = at_end;
    for decoded in block.iter_mut().rev() {
        if decoded.way.may_leave() {
            // Nothing is known of its target.
            live = STATUS;
        }
        decoded.live_after = live;
        live = (live & !decoded.flags.kills) | decoded.flags.reads;
        decoded.live_before = live;
    }
}

/// Status flags that an instruction reads.
fn reads(instruction: &Instruction) -> u8 {
    match instruction.mnemonic() {
        // These save RFLAGS as a whole; the last ones may fault, and then their handler sees them.
        Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => STATUS,
        Mnemonic::Syscall => STATUS,
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => STATUS,
        Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => STATUS,
        // They may write over what follows, which then wants other flags; several elements at once, so that it is worth
        // the few instructions.
        _ if is_bulk_store(instruction) => STATUS,
        _ => instruction.rflags_read() as u8 & STATUS,
    }
}

fn is_bulk_store(instruction: &Instruction) -> bool {
    use Mnemonic::{Movsb, Movsd, Movsq, Movsw, Stosb, Stosd, Stosq, Stosw};
    let stores = [Movsb, Movsw, Movsd, Movsq, Stosb, Stosw, Stosd, Stosq];
    instruction.is_string_instruction() && stores.contains(&instruction.mnemonic())
}

/// Whether instructions of one form may differ in what they do to the flags.
pub(super) fn depends_on_operands(instruction: &Instruction) -> bool {
    instruction.is_string_instruction() || is_shift(instruction)
}

/// Shifts and rotations by nothing leave the flags as they are, and so do repetitions of no element.
fn may_leave_flags(instruction: &Instruction) -> bool {
    if instruction.is_string_instruction() {
        return instruction.has_rep_prefix() || instruction.has_repne_prefix();
    }
    if !is_shift(instruction) {
        return false;
    }
    let last = instruction.op_count() - 1;
    match instruction.op_kind(last) {
        OpKind::Immediate8 => instruction.immediate(last) & 0x1f == 0,
        _ => true,
    }
}

fn is_shift(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(instruction.mnemonic(), Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd)
}

/// The flags that code reads before it writes them, as far as a look at its first instructions tells.
pub fn needed_by(code: &[Decoded]) -> u8 {
    let (mut needed, mut open) = (0, STATUS);
    for decoded in code {
        let reads = decoded.flags.reads;
        if decoded.way.ends_block() && reads == 0 {
            break;
        }
        needed |= reads & open;
        if decoded.way.may_leave() {
            break;
        }
        open &= !decoded.flags.kills;
        if open == 0 {
            return needed;
        }
    }
    needed | open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::blocks::CodeMode;
    use crate::lower::decode::decode;

    fn block(bytes: &[u8]) -> Vec<Decoded> {
        let mut out = Vec::new();
        decode(bytes, 0x1000, CodeMode { user: true, vectors: true, ..CodeMode::default() }, &mut out);
        out
    }

    #[test]
    fn flags_die_where_they_are_overwritten() {
        // add rax, rbx; mov rcx, [rdx]; cmp rax, rcx; jz +0
        let mut code = block(&[0x48, 0x01, 0xd8, 0x48, 0x8b, 0x0a, 0x48, 0x39, 0xc8, 0x74, 0x00]);
        analyse(&mut code, STATUS);
        assert_eq!(code[1].live_before, 0);
        assert_eq!(code[3].live_before, STATUS);
    }

    #[test]
    fn a_shift_by_cl_kills_nothing() {
        // shl rax, cl; ret
        let mut code = block(&[0x48, 0xd3, 0xe0, 0xc3]);
        analyse(&mut code, STATUS);
        assert_eq!(code[0].live_before, STATUS);
    }

    #[test]
    fn inc_keeps_carry_alive() {
        // inc rax; adc rbx, 0; ret
        let code = block(&[0x48, 0xff, 0xc0, 0x48, 0x83, 0xd3, 0x00, 0xc3]);
        assert_eq!(u32::from(needed_by(&code)), iced_x86::RflagsBits::CF);
    }
}
