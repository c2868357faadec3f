//! Stage S0: the interpreter. It executes every instruction that the CPU model offers, in every mode, one at a time, and
//! delivers exceptions and interrupts; it is the oracle of the translator and the home of what is rare or privileged.
//!
//! Control flow, privilege, segments and state are plain Rust ([`branch`], [`far`], [`system`], …). All other
//! instructions run as themselves on the host ([`host`]), with registers and memory operand redirected.

mod address;
mod bits;
mod branch;
mod class;
mod core;
mod debug;
mod decimal;
mod deliver;
mod far;
mod fast_calls;
mod fetch;
mod float_state;
mod host;
mod host_code;
mod masked;
pub(crate) mod msr;
mod operand;
mod port;
mod segment;
mod simple;
mod stack;
mod string;
mod system;
mod task;
#[cfg(test)]
mod tests;

use std::sync::atomic::{Ordering, fence};

use platform::CpuIo;
use x86::exception::vector;
use x86::{Exception, flags};

use self::class::Family;
use self::core::{Core, Fallible};
use self::fetch::{Decoded, Decodings};
use self::host::HostExecution;
use crate::cpu::{Cpu, Mode};
use crate::cpuid::CpuidModel;
use crate::mmu::Mmu;
use crate::{Config, SetupError};

pub use self::deliver::{InterruptKind, TripleFault};
pub(crate) use self::float_state::MXCSR_DEFINED;

/// [`Cpu::interrupt_shadow`] after STI.
pub(crate) const SHADOW_INTERRUPTS: u32 = 1;
/// [`Cpu::interrupt_shadow`] after MOV SS and POP SS, which hold back debug traps too.
const SHADOW_STACK_SEGMENT: u32 = 2;

/// What an instruction works on. [`Cpu::vectors_loaded`] must be 0.
pub struct Env<'a> {
    /// The register file.
    pub cpu: &'a mut Cpu,
    /// Memory.
    pub mmu: &'a mut Mmu,
    /// The machine.
    pub io: &'a dyn CpuIo,
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on at [`Cpu::rip`].
    Next,
    /// HLT was executed; [`Cpu::rip`] is past it.
    Halt,
}

/// The interpreter of one CPU.
pub struct Interpreter {
    model: CpuidModel,
    host: HostExecution,
    decodings: Decodings,
    machine_tsc_offset: u64,
    /// DR6 bits of breakpoints that MOV SS or POP SS met: they trap after the next instruction.
    held_back: u64,
}

/// The host's time-stamp counter.
#[expect(unsafe_code, reason = "reads the time-stamp counter")]
pub(crate) fn host_tsc() -> u64 {
    // SAFETY: RDTSC has no preconditions.
    unsafe { std::arch::x86_64::_rdtsc() }
}

impl Interpreter {
    /// An interpreter for a CPU model.
    pub fn new(model: CpuidModel, config: &Config) -> Result<Self, SetupError> {
        let host = HostExecution::new().map_err(SetupError::CodeCache)?;
        Ok(Self {
            model,
            host,
            decodings: Decodings::new(),
            machine_tsc_offset: config.tsc.offset,
            held_back: 0,
        })
    }

    /// The CPU model.
    pub fn model(&self) -> &CpuidModel {
        &self.model
    }

    /// The machine's own TSC offset has changed; the CPU's is the caller's to change.
    pub fn set_machine_tsc_offset(&mut self, offset: u64) {
        self.machine_tsc_offset = offset;
    }

    /// Executes one instruction at CS:RIP, or one batch of a repeated string instruction (then RIP stays).
    ///
    /// On an error RIP is where the exception's handler is to return to, and nothing else of the instruction is
    /// committed but what the architecture says; [`Interpreter::deliver_exception`] is to follow.
    pub fn step(&mut self, env: &mut Env<'_>) -> Result<Step, Exception> {
        debug_assert_eq!(env.cpu.vectors_loaded, 0);
        let after_stack_switch = std::mem::take(&mut env.cpu.interrupt_shadow) == SHADOW_STACK_SEGMENT;
        let held_back = std::mem::take(&mut self.held_back);
        let before = env.cpu.other_flags;
        let decoded = self.decodings.fetch(env, &self.model, !after_stack_switch)?;
        let mut core = Self::core(&self.model, &mut self.host, self.machine_tsc_offset, env);
        core.next_rip = core.cpu.rip.wrapping_add(decoded.instruction.len() as u64);
        if core.cpu.mode() != Mode::Bits64 {
            core.next_rip &= 0xffff_ffff;
        }
        let family = decoded.family;
        if let Err(exception) = core.execute(decoded) {
            if exception.vector == vector::DB {
                // INT1 and the guard of the debug registers report breakpoints that waited, too.
                core.cpu.dr[6] |= held_back;
            }
            return Err(exception);
        }
        if matches!(family, Family::Nothing | Family::System | Family::Branch | Family::Move) {
            // Among these are the fences, the serializing instructions and MOV to control registers, which other CPUs
            // rely on to order stores of this one before its later loads.
            fence(Ordering::SeqCst);
        }
        core.cpu.rip = core.next_rip;
        if !core.keeps_resume_flag {
            core.cpu.other_flags &= !flags::RF;
        }
        let mut hits = core.debug_hits | held_back;
        if before & flags::TF != 0 && !core.suppresses_trap {
            hits |= debug::DR6_SINGLE_STEP;
        }
        let halts = core.halts;
        if env.cpu.interrupt_shadow == SHADOW_STACK_SEGMENT {
            // MOV SS holds breakpoints back until after the next instruction and loses its trap (SDM 3A §6.8.3).
            self.held_back = hits & debug::DR6_HITS;
            return Ok(Step::Next);
        }
        if hits != 0 {
            return Err(debug::trap(env.cpu, hits));
        }
        Ok(if halts { Step::Halt } else { Step::Next })
    }

    /// Delivers an exception, with RIP at the instruction that raised it. Exceptions on the way become a double fault.
    pub fn deliver_exception(&mut self, env: &mut Env<'_>, exception: Exception) -> Result<(), TripleFault> {
        Self::core(&self.model, &mut self.host, self.machine_tsc_offset, env).deliver_exception(exception)
    }

    /// Delivers an interrupt between two instructions. A fault on the way is delivered instead.
    pub fn deliver_interrupt(
        &mut self,
        env: &mut Env<'_>,
        vector: u8,
        kind: InterruptKind,
    ) -> Result<(), TripleFault> {
        Self::core(&self.model, &mut self.host, self.machine_tsc_offset, env).deliver_interrupt(vector, kind)
    }

    fn core<'a>(
        model: &'a CpuidModel,
        host: &'a mut HostExecution,
        machine_tsc_offset: u64,
        env: &'a mut Env<'_>,
    ) -> Core<'a> {
        Core {
            next_rip: env.cpu.rip,
            cpu: env.cpu,
            mmu: env.mmu,
            io: env.io,
            model,
            host,
            machine_tsc_offset,
            keeps_resume_flag: false,
            suppresses_trap: false,
            halts: false,
            debug_hits: 0,
        }
    }
}

impl Core<'_> {
    fn execute(&mut self, decoded: &mut Decoded) -> Fallible {
        let instruction = decoded.instruction;
        self.check_class(decoded.class)?;
        let handled = match decoded.family {
            Family::Invalid => None,
            Family::Nothing => Some(Ok(())),
            Family::Simple => Some(self.simple_instruction(&instruction)),
            Family::Move => {
                Some(self.special_move(&instruction).unwrap_or_else(|| self.plain_move(&instruction)))
            }
            Family::Branch => self.branch_instruction(&instruction),
            Family::Stack => self.stack_instruction(&instruction),
            Family::Segment => self.segment_instruction(&instruction),
            Family::PopSegment => Some(self.pop_segment(&instruction)),
            Family::String => self.string_instruction(&instruction),
            Family::System => self.system_instruction(&instruction),
            Family::FloatState => Some(self.float_state(&instruction)),
            Family::Decimal => Some(self.decimal_instruction(&instruction)),
            Family::BitString => Some(self.bit_string(&instruction)),
            Family::Masked => {
                let stub = self.stub_of(decoded);
                Some(self.masked_instruction(&instruction, stub.as_ref()))
            }
            Family::Divide => {
                self.check_division(&instruction)?;
                self.execute_on_host(decoded)
            }
            Family::Host => self.execute_on_host(decoded),
        };
        handled.unwrap_or(Err(Exception::invalid_opcode()))
    }

    fn stub_of(&mut self, decoded: &mut Decoded) -> Option<host::Stub> {
        if let Some(stub) = decoded.stub
            && self.host.is_current(&stub)
        {
            return Some(stub);
        }
        decoded.stub = self.host.prepare(&decoded.instruction);
        decoded.stub
    }
    fn execute_on_host(&mut self, decoded: &mut Decoded) -> Option<Fallible> {
        let Some(stub) = self.stub_of(decoded) else {
            tracing::warn!(code = ?decoded.instruction.code(), "no way to execute this instruction");
            return None;
        };
        Some(self.run_on_host(&decoded.instruction, &stub))
    }
}
