//! The bare CPU beside the engines: it has the last word on 32-bit user code.
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};
use x86::exception::vector;
use x86::flags;
use x86::reg::RSP;

use super::machine::{Machine, Outcome};
use super::sequence::Case;
use super::setup::{CODE, IMAGE_BYTES, pages};
use crate::bare::BareError;
use crate::bare::legacy::BareCpu32;
use crate::state::{Ending, UserState, Vectors};

const PAGE: usize = 4096;
/// Operands that begin here may wrap.
const WRAPPING: u64 = 0xffff_ffff - 64;

/// The CPU with the image that cases start from.
pub struct Bare {
    cpu: BareCpu32,
    image: Vec<u8>,
}

impl Bare {
    /// Maps the pages.
    pub fn new() -> Result<Self, BareError> {
        Ok(Self { cpu: BareCpu32::new(&pages())?, image: Vec::new() })
    }

    /// Everything anew.
    pub fn install(&mut self, image: &[u8]) {
        self.cpu.install(CODE, image);
        self.image = image.to_vec();
    }

    /// Runs a case; what is different from how the interpreter ended it.
    pub fn differences(&mut self, case: &Case, interpreter: &Machine, end: &Outcome) -> Vec<String> {
        let now = self.cpu.memory_mut(CODE, IMAGE_BYTES);
        for (now, before) in now.chunks_mut(PAGE).zip(self.image.chunks(PAGE)) {
            if now != before {
                now.copy_from_slice(before);
            }
        }
        let start = (case.linear_start() - CODE) as usize;
        now[start..start + case.code.len()].copy_from_slice(&case.code);
        let mut state = UserState {
            gpr: case.gpr,
            rip: case.start,
            rflags: case.rflags | flags::IF,
            ..UserState::default()
        };
        state.vectors.0.copy_from_slice(&case.xsave);
        let mut outcome = crate::state::Outcome::default();
        self.cpu.run(&state, &mut outcome);
        self.compare(case, &outcome, interpreter, end)
    }

    fn compare(
        &self,
        case: &Case,
        bare: &crate::state::Outcome,
        interpreter: &Machine,
        end: &Outcome,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let (Ending::Exception { vector, cr2, .. }, Some(frame)) = (&bare.ending, end.frame) else {
            return lines;
        };
        // Of two memory operands either may fault first.
        let two = accesses_twice(case, interpreter, frame.offset);
        let is_access_fault = |vector: u8| matches!(vector, vector::GP | vector::PF | vector::SS);
        if two && is_access_fault(*vector) && is_access_fault(frame.vector) {
            return lines;
        }
        // What goes on beyond 4 GiB of a flat segment violates its limit or not (SDM 3A §5.3).
        if *vector == vector::PF && frame.vector != vector::PF && *cr2 > WRAPPING {
            return lines;
        }
        let mut add = |what: &str, a: u64, b: u64| {
            if a != b {
                lines.push(format!("{what}: {a:#x} (bare cpu), {b:#x}"));
            }
        };
        add("vector", u64::from(*vector), u64::from(frame.vector));
        add("rip", bare.state.rip, frame.offset);
        let compared = flags::STATUS | flags::DF;
        add("flags", bare.state.rflags & compared, interpreter.saved_flags(&frame) & compared);
        if *vector == vector::PF {
            add("cr2", *cr2, end.state.cr2);
        }
        for number in 0..16 {
            let value = if number == RSP { interpreter.saved_stack(&frame) } else { end.state.gpr[number] };
            add(&format!("gpr {number}"), bare.state.gpr[number], value);
        }
        let (a, b) = (self.cpu.memory(CODE, IMAGE_BYTES), &interpreter.bytes()[CODE as usize..]);
        if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
            add(&format!("memory at {:#x}", CODE + at as u64), u64::from(a[at]), u64::from(b[at]));
        }
        let (a, b) = (&bare.state.vectors, Vectors::normalized(&end.state.xsave));
        if let Some(at) = a.0.iter().zip(&b.0).position(|(a, b)| a != b) {
            add(&format!("vectors at {at}"), u64::from(a.0[at]), u64::from(b.0[at]));
        }
        lines
    }
}

fn accesses_twice(case: &Case, machine: &Machine, offset: u64) -> bool {
    let code = &machine.bytes()[(offset as usize).min(machine.bytes().len())..];
    let instruction = Decoder::new(case.bits, code, DecoderOptions::NONE).decode();
    InstructionInfoFactory::new().info(&instruction).used_memory().len() > 1
}
