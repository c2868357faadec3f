//! Code that overwrites itself just ahead: flags that were dead for the code that was there are lost, and what is there now
//! may read them (`docs/known-divergences.md`).
use iced_x86::{Decoder, DecoderOptions, FlowControl};
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

/// Flags that are dead at an offset in a case ([`crate::compare::dead_flags`]), in some contents of memory.
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

/// Whether an instruction of the case overwrote code ahead of it by which flags were dead, and by what is there now they
/// are not. The case runs again, one instruction at a time.
pub fn revives_flags(case: &Case, machine: &mut Machine) -> bool {
    let mut state = machine.prepare(case);
    for _ in 0..STEPS {
        let before = machine.bytes().to_vec();
        state.rflags |= flags::TF;
        let Some(next) = step(machine, &state, &before) else { return false };
        let dead = |memory: &[u8]| dead_flags(case, memory, next.rip);
        if dead(&before) & !dead(machine.bytes()) != 0 {
            return true;
        }
        state = next;
    }
    false
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

    /// Whether flags revive where the opcode of `add eax, 1` is overwritten by another.
    fn with_opcode(opcode: u8) -> bool {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut machine = Machine::new(Kind::Interpreter, World::Flat32).unwrap();
        machine.install(&setup::image(&mut rng));
        let mut case = sequence::make(&mut rng, World::Flat32);
        let place = (case.start as u32 + 7).to_le_bytes();
        // mov byte [place], opcode; place: add eax, 1
        case.code = [&[0xc6, 0x05][..], &place, &[opcode], &[0x05, 1, 0, 0, 0]].concat();
        revives_flags(&case, &mut machine)
    }

    #[test]
    fn carry_that_add_overwrites_revives_for_adc_only() {
        assert!(with_opcode(0x15));
        assert!(!with_opcode(0x2d));
        assert!(!with_opcode(0x05));
    }
}
