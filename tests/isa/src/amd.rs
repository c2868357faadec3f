//! Where AMD's CPUs do otherwise than Intel's, and so than the engines, whose guest sees an Intel CPU. Nothing else may
//! differ from the bare CPU, whoever made it. Found by random sequences on a Zen 3.
//!
//! | instruction | here | Intel, and the engines |
//! |---|---|---|
//! | `0F 0D` with a register | `#UD`: it is PREFETCH (APM 3) | a reserved NOP (SDM 2, table A-3) |
//! | MOVSXD with 16 bits | reads 32 bits of memory | reads 16 (SDM 2, MOVSXD; its use is discouraged) |
//! | LDMXCSR with bit 17 | it is MM (APM 1 §4.2.2) | `#GP(0)`: it is reserved (SDM 1 §10.2.3) |
//! | SHA with a misaligned operand | is done | `#GP(0)` (SDM 2, exceptions type 4) |
//! | REP SCAS and CMPS that fault | the flags of the last comparison | the flags from before (SDM 2, REP) |
//! | MMX that faults | TOP is left | TOP is 0 already (no manual says which) |
//! | VCVTPS2PH that faults | MXCSR is left | its flags are set, or `#XM` (SDM 3 §7.9 leaves the order open) |
//! | x87 store of what cannot be stored to where nothing is | the fault | the numeric exception (SDM 3 §7.9 leaves it open) |
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
};

use crate::case::{Case, Runner};
use crate::compare;
use crate::layout::MEMORY;
use crate::state::{Ending, Outcome, UserState};

/// Whether this CPU is one of AMD's.
pub fn is_here() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

/// Forms that are something else altogether.
pub fn is_other(code: Code) -> bool {
    matches!(
        code,
        Code::Reservednop_rm16_r16_0F0D
            | Code::Reservednop_rm32_r32_0F0D
            | Code::Reservednop_rm64_r64_0F0D
            | Code::Movsxd_r16_rm16
    )
}

/// Whether an engine's outcome differs from the bare CPU's only as it has to.
pub fn excuses(case: &Case, bare: (&dyn Runner, &Outcome), engine: (&dyn Runner, &Outcome)) -> bool {
    let at_bare = instruction(case, bare.1.state.rip);
    let at_engine = instruction(case, engine.1.state.rip);
    if at_engine.is_some_and(|it| checks_more(&it, engine))
        || at_bare.is_some_and(|it| faults_first(&it, bare.1))
    {
        return true;
    }
    let Some(instruction) = at_bare.filter(|_| compare::is_access_fault(bare.1)) else { return false };
    let mut same = engine.1.clone();
    if instruction.is_string_instruction() && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
    {
        same.state.rflags = bare.1.state.rflags;
    }
    if uses_mmx(&instruction) && physical(&same.state) == physical(&bare.1.state) {
        same.state.vectors.0[..160].copy_from_slice(&bare.1.state.vectors.0[..160]);
    }
    if instruction.mnemonic() == Mnemonic::Vcvtps2ph {
        same.state.vectors.set_mxcsr(bare.1.state.vectors.mxcsr());
        if matches!(same.ending, Ending::Exception { vector: x86::exception::vector::XM, .. }) {
            same.ending = bare.1.ending.clone();
        }
    }
    same != *engine.1 && compare::agree(case, bare, (engine.0, &same))
}

/// An instruction of a case.
fn instruction(case: &Case, rip: u64) -> Option<Instruction> {
    let at = usize::try_from(rip.wrapping_sub(case.state.rip)).ok()?;
    let rest = case.code.get(at..).filter(|rest| !rest.is_empty())?;
    Some(Decoder::with_ip(64, rest, rip, DecoderOptions::NONE).decode())
}

/// An engine refuses an operand that the bare CPU takes.
fn checks_more(instruction: &Instruction, (engine, outcome): (&dyn Runner, &Outcome)) -> bool {
    let Ending::Exception { vector: x86::exception::vector::GP, .. } = outcome.ending else { return false };
    let Some(address) = address(instruction, &outcome.state) else { return false };
    let sha = instruction.cpuid_features().contains(&CpuidFeature::SHA);
    let loads = matches!(instruction.mnemonic(), Mnemonic::Ldmxcsr | Mnemonic::Vldmxcsr);
    let mm = || {
        let third = address.wrapping_add(2);
        let region = MEMORY.into_iter().find_map(|region| Some((region, region.offset(third, 1)?)));
        region.is_some_and(|(region, at)| engine.memory(region)[at] & 2 != 0)
    };
    (sha && address % 16 != 0) || (loads && mm())
}

/// The address of the memory operand, if there is one.
fn address(instruction: &Instruction, state: &UserState) -> Option<u64> {
    let operand = (0..instruction.op_count()).find(|i| instruction.op_kind(*i) == OpKind::Memory)?;
    instruction.virtual_address(operand, 0, |register, _, _| {
        use iced_x86::Register as R;
        match register {
            R::FS => Some(state.fs_base),
            R::GS => Some(state.gs_base),
            R::CS | R::DS | R::ES | R::SS => Some(0),
            _ => {
                let value = *state.gpr.get(register.full_register() as usize - R::RAX as usize)?;
                Some(if register.size() == 4 { value & 0xffff_ffff } else { value })
            }
        }
    })
}

/// The bare CPU looks at memory before it looks at a number.
fn faults_first(instruction: &Instruction, outcome: &Outcome) -> bool {
    let stores = matches!(
        instruction.mnemonic(),
        Mnemonic::Fst
            | Mnemonic::Fstp
            | Mnemonic::Fist
            | Mnemonic::Fistp
            | Mnemonic::Fisttp
            | Mnemonic::Fbstp
    );
    stores && instruction.op0_kind() == OpKind::Memory && compare::is_access_fault(outcome)
}

fn uses_mmx(instruction: &Instruction) -> bool {
    let mut factory = InstructionInfoFactory::new();
    factory.info(instruction).used_registers().iter().any(|used| used.register().is_mm())
}

/// x87 registers by their own numbers.
fn physical(state: &UserState) -> [u128; 8] {
    let top = usize::from(state.vectors.fsw() >> 11 & 7);
    std::array::from_fn(|number| state.vectors.st((number + 8 - top) % 8))
}
