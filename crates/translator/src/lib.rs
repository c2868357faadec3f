//! The binary translator: guest x86 to host x86, with an interpreter under it.

pub mod cpu;
pub mod mmu;
