//! A CPUID table: leaves as data, so that a CPU model can be built, printed and compared.
use serde::{Deserialize, Serialize};

/// What one leaf returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The value of EAX that selects it.
    pub function: u32,
    /// The value of ECX that selects it, or `None` where ECX does not matter.
    pub index: Option<u32>,
    /// What it returns.
    pub registers: Registers,
}
