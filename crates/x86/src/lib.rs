//! The vocabulary of the x86-64 architecture: registers, flags, faults, descriptor and paging formats, CPUID and MSR
//! names, and [`CpuState`], the only saved form of a CPU.
//!
//! Nothing here executes anything. Section numbers are those of the Intel SDM unless said otherwise.
#![forbid(unsafe_code)]

pub mod address;
pub mod control;
pub mod cpuid;
pub mod exception;
pub mod flags;
pub mod msr;
pub mod paging;
pub mod reg;
pub mod segment;
pub mod state;

pub use address::{Gpa, Gva};
pub use exception::Exception;
pub use segment::Segment;
pub use state::CpuState;
