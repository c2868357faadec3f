//! The engine contract: what runs a virtual CPU, and what such a CPU may ask of its machine.
//!
//! Accesses to ports, MMIO and machine-owned MSRs are callbacks ([`CpuIo`]), so that an engine need not unwind in the
//! middle of an instruction. Nothing here names a technique: binary translation and hardware assistance fit alike.
use std::sync::Arc;
use x86::{CpuState, Gpa};

/// An I/O port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u16);

/// What a virtual CPU asks of the machine around it. Called on the CPU's own thread; must not block for long.
pub trait CpuIo: Send + Sync {
    /// Reads 1, 2 or 4 bytes from a port. Nobody there: all ones.
    fn port_read(&self, port: Port, data: &mut [u8]);
    /// Writes 1, 2 or 4 bytes to a port. Nobody there: ignored.
    fn port_write(&self, port: Port, data: &[u8]);
    /// Reads 1 to 8 bytes at a guest-physical address that is not RAM. Nobody there: all ones.
    fn mmio_read(&self, address: Gpa, data: &mut [u8]);
    /// Writes 1 to 8 bytes at a guest-physical address that is not RAM. Nobody there: ignored.
    fn mmio_write(&self, address: Gpa, data: &[u8]);
    /// Reads an MSR that belongs to the machine (APIC base, x2APIC, TSC deadline); `None` raises `#GP(0)`.
    fn msr_read(&self, msr: u32) -> Option<u64>;
    /// Writes an MSR that belongs to the machine; `None` raises `#GP(0)`.
    fn msr_write(&self, msr: u32, value: u64) -> Option<()>;
    /// The task priority, bits 7:4 of the APIC's TPR (what CR8 reads).
    fn task_priority(&self) -> u8;
    /// Sets the task priority (what MOV CR8 writes).
    fn set_task_priority(&self, priority: u8);
    /// Whether an external interrupt could be taken now if RFLAGS.IF were set.
    fn interrupt_pending(&self) -> bool;
    /// Takes the most urgent external interrupt: its vector, now in service. `None` if it went away meanwhile.
    fn acknowledge_interrupt(&self) -> Option<u8>;
    /// Takes a pending NMI, if there is one.
    fn take_nmi(&self) -> bool;
    /// Whether [`Vcpu::run`] shall return with [`Stop::Requested`] at the next boundary between instructions.
    fn stop_requested(&self) -> bool;
}

/// A handle by which other threads get a running CPU to look at [`CpuIo`] again: new interrupts, NMIs, stop requests.
pub trait Attention: Send + Sync {
    /// Asks for attention. Cheap, callable from any thread, never lost: if the CPU is not inside [`Vcpu::run`], the
    /// next call of it looks first.
    fn raise(&self);
}

/// Why [`Vcpu::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// HLT: run again once an interrupt or NMI is pending. With `interrupts_enabled` unset only an NMI can wake it.
    Halted {
        /// RFLAGS.IF at the HLT.
        interrupts_enabled: bool,
    },
    /// [`CpuIo::stop_requested`] said so.
    Requested,
    /// The CPU shut down; only a reset leaves this state.
    Shutdown(ShutdownCause),
}

/// Why a CPU shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownCause {
    /// An exception while a double fault was being delivered.
    TripleFault {
        /// The instruction pointer at that moment.
        rip: u64,
        /// The first exception vector of the three.
        vector: u8,
    },
    /// The engine met something that it cannot execute; the text is in the log.
    EngineError {
        /// The instruction pointer at that moment.
        rip: u64,
    },
}

/// A saved state that this engine cannot take.
#[derive(Debug, thiserror::Error)]
#[error("the saved CPU state cannot be restored: {0}")]
pub struct RestoreError(pub String);

/// One virtual CPU, whichever technique runs it.
pub trait Vcpu: Send {
    /// Runs guest code until something needs the caller.
    fn run(&mut self, io: &dyn CpuIo) -> Stop;
    /// A handle that makes [`Vcpu::run`] look at its [`CpuIo`] again.
    fn attention(&self) -> Arc<dyn Attention>;
    /// The CPU between two instructions.
    fn save(&self) -> CpuState;
    /// Replaces the CPU's state: reset, boot entry points, snapshots. Memory is not looked at: who writes guest RAM meanwhile
    /// does so as a device, so that translations follow ([`crate::GuestRam::write`], [`crate::GuestRam::clear`]).
    fn restore(&mut self, state: &CpuState) -> Result<(), RestoreError>;
    /// Changes how the machine's time-stamp counter is made from the host's: `guest = host + offset` (wrapping). What the
    /// guest itself added to it stays. Without effect if that is the offset already.
    fn set_tsc_offset(&mut self, offset: u64);
    /// The engine's counters as rows of name and value, in the order in which to print them.
    fn statistics(&self) -> Vec<(&'static str, u64)>;
}
