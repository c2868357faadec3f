//! The binary translator: guest x86 to host x86, with an interpreter under it.
//!
//! [`BtVcpu`] is the whole of it for a machine. Inside, from the bottom up: [`cpu`] (the register file), [`mmu`] (page
//! walks and the tables that translated code looks up), [`emit`] (writing host code), [`lower`] (guest instruction to
//! host code), [`cache`] (blocks and their links), [`store`] (blocks that outlive it), [`interp`] (everything that is not translated), [`runtime`] (the way
//! in and out) and [`vcpu`] (the loop).

pub mod cache;
pub mod config;
pub mod cpu;
pub mod cpuid;
pub mod emit;
pub mod interp;
pub mod legacy;
pub mod light;
pub mod lower;
pub mod mmu;
pub mod runtime;
pub mod save;
pub mod store;
pub mod vcpu;

pub use cache::shared::CodeCache;
pub use config::{CodeRoom, Config, SetupError, TscModel, WindowPolicy};
pub use light::seen::ALWAYS as ALWAYS_NEW;
pub use store::Store;
pub use vcpu::BtVcpu;
