//! Status flags that a case may not count on (`docs/known-divergences.md`): those that an instruction leaves undefined, and
//! those that were dead for code that was overwritten, where what is there now reads them.
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use x86::segment::{CS, SS};
use x86::{CpuState, flags};

use super::machine::{Machine, Outcome};
use super::sequence::Case;
use super::setup::World;
use crate::row::parse::{flag_effects, from_iced};

/// Bytes of the longest instruction.
const LONGEST: usize = 15;
/// Instructions and repetitions to follow a case for.
const STEPS: usize = 2000;

/// Flags that are dead at an offset in a case (as [`crate::compare`] has it), in some contents of memory.
pub fn dead_flags(case: &Case, memory: &[u8], offset: u64) -> u64 {
    let base = case.segments[CS].base;
    let (mut dead, mut live) = (0, 0);
    let mut next = offset;
    for _ in 0..64 {
        let code = code_at(memory, (base + next) & 0xffff_ffff);
        let mut instruction = Decoder::with_ip(case.bits, &code, next, DecoderOptions::NONE).decode();
        if !instruction.is_string_instruction() {
            // A prefix without effect.
            instruction.set_has_rep_prefix(false);
            instruction.set_has_repne_prefix(false);
        }
        live |= from_iced(instruction.rflags_read()) & !dead;
        let (undefined, defined) = flag_effects(&instruction);
        dead |= (undefined | defined) & !live;
        next = match instruction.flow_control() {
            FlowControl::Next => instruction.next_ip(),
            FlowControl::UnconditionalBranch | FlowControl::Call => instruction.near_branch_target(),
            _ => break,
        };
    }
    dead & flags::STATUS
}

fn code_at(memory: &[u8], linear: u64) -> [u8; LONGEST] {
    let mut code = [0; LONGEST];
    let rest = memory.get(linear as usize..).unwrap_or_default();
    let known = rest.len().min(LONGEST);
    code[..known].copy_from_slice(&rest[..known]);
    code
}

/// Whether the case reads flags that it may not count on: undefined ones, which an exception reads too, or ones that were
/// dead by code ahead of an instruction that overwrote it. The case runs again, one instruction at a time.
pub fn reads_open_flags(case: &Case, machine: &mut Machine) -> bool {
    let mut state = machine.prepare(case);
    let mut undefined = 0;
    for _ in 0..STEPS {
        let before = machine.bytes().to_vec();
        let code = code_at(&before, (state.segments[CS].base + state.rip) & 0xffff_ffff);
        let instruction = Decoder::new(case.bits, &code, DecoderOptions::NONE).decode();
        if undefined & read_flags(&instruction) != 0 {
            return true;
        }
        state.rflags |= flags::TF;
        let Some(next) = step(machine, &state, &before) else { return undefined != 0 };
        let dead = |memory: &[u8]| dead_flags(case, memory, next.rip);
        if dead(&before) & !dead(machine.bytes()) != 0 {
            return true;
        }
        let (open, defined) = flag_effects(&instruction);
        undefined = undefined & !defined | open;
        state = next;
    }
    false
}

/// Flags that an instruction reads.
fn read_flags(instruction: &Instruction) -> u64 {
    match instruction.mnemonic() {
        Mnemonic::Pushf | Mnemonic::Pushfd => flags::STATUS,
        _ => from_iced(instruction.rflags_read()),
    }
}

/// The state after one instruction; `None` if it was the last one.
fn step(machine: &mut Machine, state: &CpuState, before: &[u8]) -> Option<CpuState> {
    let end = machine.go(state);
    let frame = end.frame.filter(|frame| frame.vector == x86::exception::vector::DB)?;
    let mut next = CpuState { rip: frame.offset, ..end.state.clone() };
    next.segments[CS] = state.segments[CS];
    next.rflags = machine.saved_flags(&frame) & !flags::TF;
    if machine.world().is_user() {
        next.segments[SS] = state.segments[SS];
        next.gpr[4] = machine.saved_stack(&frame);
    } else {
        leave_stack(machine, &end, &mut next, before);
    }
    Some(next)
}

/// Takes the frame off the stack of code that shares it with its handlers, and what it has overwritten back.
fn leave_stack(machine: &mut Machine, end: &Outcome, next: &mut CpuState, before: &[u8]) {
    let bytes = if machine.world() == World::Real { 6 } else { 12 };
    let stack = end.state.segments[SS];
    let mask = if stack.is_32() { 0xffff_ffff } else { 0xffff };
    let pointer = next.gpr[4];
    for at in 0..bytes {
        let place = ((stack.base + (pointer.wrapping_add(at) & mask)) & 0xffff_ffff) as usize;
        if let (Some(now), Some(then)) = (machine.memory().get_mut(place), before.get(place)) {
            *now = *then;
        }
    }
    next.gpr[4] = pointer & !mask | pointer.wrapping_add(bytes) & mask;
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::engine::Kind;
    use crate::legacy::{sequence, setup};

    fn reads_open(code: impl Fn(u32) -> Vec<u8>) -> bool {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut machine = Machine::new(Kind::Interpreter, World::Flat32).unwrap();
        machine.install(&setup::image(&mut rng));
        let mut case = sequence::make(&mut rng, World::Flat32);
        case.code = code(case.start as u32);
        reads_open_flags(&case, &mut machine)
    }

    /// Whether flags revive where the opcode of `add eax, 1` is overwritten by another.
    fn with_opcode(opcode: u8) -> bool {
        // mov byte [place], opcode; place: add eax, 1
        reads_open(|start| {
            let place = (start + 7).to_le_bytes();
            [&[0xc6, 0x05][..], &place, &[opcode], &[0x05, 1, 0, 0, 0]].concat()
        })
    }

    #[test]
    fn carry_that_add_overwrites_revives_for_adc_only() {
        assert!(with_opcode(0x15));
        assert!(!with_opcode(0x2d));
        assert!(!with_opcode(0x05));
    }
    #[test]
    fn undefined_flags_are_open_until_they_are_defined() {
        // mov eax, 1; mul eax leaves ZF undefined, and defines CF
        let multiply = [0xb8, 1, 0, 0, 0, 0xf7, 0xe0];
        // setz al; setc al; cmp eax, ecx
        let after = |code: &[u8]| reads_open(|_| [&multiply, code].concat());
        assert!(after(&[0x0f, 0x94, 0xc0, 0x39, 0xc8]));
        assert!(!after(&[0x0f, 0x92, 0xc0, 0x39, 0xc8]));
        assert!(!after(&[0x39, 0xc8, 0x0f, 0x94, 0xc0]));
        // ud2
        assert!(after(&[0x0f, 0x0b]));
        assert!(!after(&[0x39, 0xc8, 0x0f, 0x0b]));
    }
}
