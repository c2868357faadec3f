//! Comparing how two runners ended.
use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, InstructionInfoFactory, Mnemonic, OpKind,
};

use crate::case::{CODE_WINDOW, Case, Runner};
use crate::layout::{self, CODE, MEMORY, PAGE, Region, Rights};
use crate::row::parse::{flag_effects, from_iced};
use crate::row::print;
use crate::state::{COMPARED_FLAGS, Ending, Outcome};

/// The flags that a case's outcomes must agree on.
pub fn compared_flags(case: &Case) -> u64 {
    COMPARED_FLAGS & !case.undefined_flags
}

/// Flags that are dead where a case ended: what follows overwrites them before it reads any. The block translator need
/// not know them when an instruction faults; whoever restarts the instruction cannot tell.
fn dead_flags(runner: &dyn Runner, rip: u64) -> u64 {
    let (mut dead, mut live) = (0, 0);
    let mut next = rip;
    // Jumps may lead to what earlier cases have left.
    let code = runner.memory(CODE);
    // Longer than any sequence, so that an endless loop ends.
    for _ in 0..64 {
        let Some(rest) = CODE.offset(next, 1).and_then(|at| code.get(at..)) else { break };
        let instruction = Decoder::with_ip(64, rest, next, DecoderOptions::NONE).decode();
        next = match instruction.flow_control() {
            FlowControl::Next => instruction.next_ip(),
            FlowControl::UnconditionalBranch | FlowControl::Call => instruction.near_branch_target(),
            _ => break,
        };
        live |= from_iced(instruction.rflags_read()) & !dead;
        let (undefined, defined) = flag_effects(&instruction);
        dead |= (undefined | defined) & !live;
    }
    dead
}

/// What may differ where a case ended in a fault, because the architecture leaves it open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tolerance {
    /// Flags that need not agree.
    flags: u64,
    /// Of two memory accesses either may fault first, and the other one may have happened.
    order: bool,
    /// x87 and MMX: tags, TOP and part of the operand may be written before the fault.
    x87: bool,
    /// Any address of the operand inside the page may be reported.
    place: bool,
    /// What lies at the address of a page fault is the host's own: it may be present there.
    present: bool,
}

/// What may differ between the first outcome of a case and that of `runner`.
pub fn tolerance(case: &Case, first: &Outcome, runner: &dyn Runner) -> Tolerance {
    let rip = first.state.rip;
    let flags = match runner.forgets_dead_flags() {
        // Flags were dead for the code that was there before.
        true if overwrites_itself(case, runner) => COMPARED_FLAGS,
        true => dead_flags(runner, rip),
        false => 0,
    };
    let present = match first.ending {
        Ending::Exception { vector: x86::exception::vector::PF, cr2, .. } => {
            std::iter::once(CODE).chain(MEMORY).all(|region| region.offset(cr2, 1).is_none())
        }
        _ => false,
    };
    let rest = usize::try_from(rip.wrapping_sub(case.state.rip)).ok().and_then(|at| case.code.get(at..));
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        return Tolerance { flags, present, ..Tolerance::default() };
    };
    let instruction = Decoder::with_ip(64, rest, rip, DecoderOptions::NONE).decode();
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(&instruction);
    let mmx = info.used_registers().iter().any(|used| used.register().is_mm() || used.register().is_st());
    let x87 = mmx || instruction.cpuid_features().contains(&CpuidFeature::FPU);
    let place = matches!(
        instruction.mnemonic(),
        Mnemonic::Vmaskmovps | Mnemonic::Vmaskmovpd | Mnemonic::Vpmaskmovd | Mnemonic::Vpmaskmovq
    );
    Tolerance { flags, order: info.used_memory().len() > 1, x87, place, present }
}

fn overwrites_itself(case: &Case, runner: &dyn Runner) -> bool {
    let mut window = [0; CODE_WINDOW * PAGE];
    case.fill_window(&mut window);
    runner.memory(case.window()) != window
}

/// Whether registers and endings agree, as far as they must.
pub fn registers_agree(case: &Case, one: &Outcome, other: &Outcome, tolerance: Tolerance) -> bool {
    let (a, b) = (&one.state, &other.state);
    let either_order = tolerance.order && is_access_fault(one) && is_access_fault(other);
    (one.ending == other.ending || either_order || tolerance.same_fault(&one.ending, &other.ending))
        && a.gpr == b.gpr
        && a.rip == b.rip
        && (a.rflags ^ b.rflags) & compared_flags(case) & !tolerance.flags == 0
        && a.fs_base == b.fs_base
        && a.gs_base == b.gs_base
        && (a.vectors == b.vectors || (tolerance.x87 && a.vectors.without_tags() == b.vectors.without_tags()))
}

impl Tolerance {
    /// Whether two endings are one exception, but for where exactly and for what else lies there.
    fn same_fault(&self, one: &Ending, other: &Ending) -> bool {
        let place = |cr2: u64| if self.place { cr2 >> 12 } else { cr2 };
        let code = |code: u32| if self.present { code & !1 } else { code };
        let both = [one, other].map(|ending| match *ending {
            Ending::Exception { vector, code: given, cr2 } => Some((vector, code(given), place(cr2))),
            _ => None,
        });
        both[0].is_some() && both[0] == both[1]
    }
}

/// Whether a case ended by touching memory.
pub fn is_access_fault(outcome: &Outcome) -> bool {
    use x86::exception::vector::{GP, PF, SS};
    matches!(outcome.ending, Ending::Exception { vector: GP | PF | SS, .. })
}

/// Whether everything agrees that the architecture defines.
pub fn agree_exactly(case: &Case, one: (&dyn Runner, &Outcome), other: (&dyn Runner, &Outcome)) -> bool {
    registers_agree(case, one.1, other.1, Tolerance::default()) && memory_agrees(case, one.0, other.0)
}

/// Whether everything agrees, as far as it must.
pub fn agree(case: &Case, one: (&dyn Runner, &Outcome), other: (&dyn Runner, &Outcome)) -> bool {
    if agree_exactly(case, one, other) {
        return true;
    }
    if other.1.ending == Ending::TimedOut && overwrites_itself(case, one.0) {
        // Code that writes over what it will run next costs a translation for each instruction.
        return true;
    }
    let tolerance = tolerance(case, one.1, other.0);
    let memory_counts = !(tolerance.order || tolerance.x87) || !is_access_fault(one.1);
    let agree = registers_agree(case, one.1, other.1, tolerance)
        && (!memory_counts || memory_agrees(case, one.0, other.0));
    agree || [one.0, other.0].into_iter().any(|runner| wrote_over_a_repetition(case, runner))
}

/// Whether a REP STOS or REP MOVS of a case was written over. An engine notices after the element that does, and goes on
/// with what is there now; fast string operations of a CPU go on for a while.
pub fn wrote_over_a_repetition(case: &Case, runner: &dyn Runner) -> bool {
    let window = case.window();
    let now = runner.memory(window);
    let mut decoder = Decoder::with_ip(64, &case.code, case.state.rip, DecoderOptions::NONE);
    decoder.iter().any(|instruction| {
        let stores = instruction.is_string_instruction()
            && instruction.op0_kind() != OpKind::Register
            && instruction.has_rep_prefix();
        let at = (instruction.ip() - case.state.rip) as usize;
        let was = &case.code[at..at + instruction.len()];
        let is = window.offset(instruction.ip(), was.len()).map(|at| &now[at..at + was.len()]);
        stores && is.is_some_and(|is| is != was)
    })
}

/// The regions that a case may have written: its code window and all writable data.
pub fn written_regions(case: &Case) -> impl Iterator<Item = Region> {
    let writable = MEMORY.into_iter().filter(|region| region.rights != Rights::ReadOnly);
    std::iter::once(case.window()).chain(writable)
}

/// Whether two runners' memory agrees after the same case.
pub fn memory_agrees(case: &Case, one: &dyn Runner, other: &dyn Runner) -> bool {
    written_regions(case).all(|region| one.memory(region) == other.memory(region))
}

/// One line for each difference, as `what: one, other`.
pub fn differences(case: &Case, one: (&dyn Runner, &Outcome), other: (&dyn Runner, &Outcome)) -> Vec<String> {
    let mut lines = Vec::new();
    let (a, b) = (&one.1.state, &other.1.state);
    let mut add = |what: &str, left: String, right: String| {
        if left != right {
            lines.push(format!("{what}: {left} ({}), {right} ({})", one.0.name(), other.0.name()));
        }
    };
    add("ending", one.1.ending.to_string(), other.1.ending.to_string());
    for (index, name) in print::GPR_NAMES.into_iter().enumerate() {
        add(name, print::value(a.gpr[index]), print::value(b.gpr[index]));
    }
    add("rip", print::value(a.rip), print::value(b.rip));
    let mask = compared_flags(case) & !tolerance(case, one.1, other.0).flags;
    add("flags", print::flags(a.rflags & mask), print::flags(b.rflags & mask));
    add("fsbase", print::value(a.fs_base), print::value(b.fs_base));
    add("gsbase", print::value(a.gs_base), print::value(b.gs_base));
    for ((name, left), (_, right)) in print::vectors(&a.vectors).into_iter().zip(print::vectors(&b.vectors)) {
        add(&name, left, right);
    }
    for region in written_regions(case) {
        let (left, right) = (one.0.memory(region), other.0.memory(region));
        let Some(first) = left.iter().zip(right).position(|(l, r)| l != r) else { continue };
        let shown = first..(first + 16).min(left.len());
        let place = print::value(region.base + first as u64);
        add(&format!("mem[{place}]"), print::bytes(&left[shown.clone()]), print::bytes(&right[shown]));
    }
    lines
}

/// The bytes of data that a case changed: linear address and new bytes, one entry for each run.
pub fn changed_memory(case: &Case, runner: &dyn Runner) -> Vec<(u64, Vec<u8>)> {
    let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut index = 0;
    for (region, before) in case.memory.regions() {
        for (old, new) in before.iter().zip(runner.memory(region)) {
            if old != new {
                let address = layout::address_of(index);
                match runs.last_mut() {
                    Some((start, bytes)) if *start + bytes.len() as u64 == address => bytes.push(*new),
                    _ => runs.push((address, vec![*new])),
                }
            }
            index += 1;
        }
    }
    runs
}
