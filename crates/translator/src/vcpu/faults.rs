//! Host exceptions in translated code: which instruction of the guest it was, and in which state it was interrupted.
use platform::{CpuIo, ShutdownCause, Stop};
use x86::reg::{RDI, RSI, RSP};

use super::{BtVcpu, Next};
use crate::cache::blocks::{FlagPlace, Pointers};
use crate::cache::shared::Spot;
use crate::cpu::Cpu;
use crate::runtime::flow_thunks::Calls;

impl BtVcpu {
    /// A copied instruction raised an exception on the host. The interpreter finds out which one it is for the guest.
    pub(super) fn host_fault(&mut self, io: &dyn CpuIo) -> Next {
        let place = self.cpu().fault_place;
        if self.thunks.calls.faulted(place) {
            return self.call_fault(io);
        }
        if self.thunks.holds(place) && !self.thunks.returns.iter().any(|returns| returns.faulted(place)) {
            return self.engine_error("a thunk faulted");
        }
        self.locate();
        self.take_interrupted_state();
        if self.left_by_window() {
            return self.interpret_beside_windows(io);
        }
        if self.cpu().exit_argument == u64::from(x86::exception::vector::PF) {
            return self.engine_error("translated code touched host memory that is not there");
        }
        Next::Interpret
    }

    /// The thunk of calls could not store the return address.
    fn call_fault(&mut self, io: &dyn CpuIo) -> Next {
        let cpu = self.cpu();
        cpu.rip = cpu.resume.wrapping_sub(Calls::LENGTH);
        // No block: pushes always go by window.
        cpu.resume = cpu.fault_place;
        cpu.status_flags = Cpu::unpack_flags(cpu.spilled_flags);
        cpu.gpr[RSP] = cpu.gpr[RSP].wrapping_sub(cpu.stack_window);
        self.interpret_beside_windows(io)
    }

    fn engine_error(&mut self, what: &str) -> Next {
        let rip = self.cpu().rip;
        tracing::error!(rip = format_args!("{rip:#x}"), what);
        Next::Leave(Stop::Shutdown(ShutdownCause::EngineError { rip }))
    }

    /// Flags and registers of an instruction that was interrupted by a host exception, wherever they are.
    fn take_interrupted_state(&mut self) {
        let resume = self.cpu().resume;
        let Some(Spot { mark, .. }) = self.code.spot(resume) else { return };
        let cpu = self.cpu();
        if mark.flags == FlagPlace::Spilled {
            cpu.status_flags = Cpu::unpack_flags(cpu.spilled_flags);
        }
        let [target, source] = cpu.string_deltas;
        if mark.pointers != Pointers::Guest {
            cpu.gpr[RDI] = cpu.gpr[RDI].wrapping_sub(target);
        }
        if mark.pointers == Pointers::HostBoth {
            cpu.gpr[RSI] = cpu.gpr[RSI].wrapping_sub(source);
        }
    }
}
