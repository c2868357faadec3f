//! Numbers of the general-purpose registers, as instructions encode them.

/// RAX.
pub const RAX: usize = 0;
/// RCX.
pub const RCX: usize = 1;
/// RDX.
pub const RDX: usize = 2;
/// RBX.
pub const RBX: usize = 3;
/// RSP.
pub const RSP: usize = 4;
/// RBP.
pub const RBP: usize = 5;
/// RSI.
pub const RSI: usize = 6;
/// RDI.
pub const RDI: usize = 7;
/// R8.
pub const R8: usize = 8;
/// R9.
pub const R9: usize = 9;
/// R10.
pub const R10: usize = 10;
/// R11.
pub const R11: usize = 11;
/// R12.
pub const R12: usize = 12;
/// R13.
pub const R13: usize = 13;
/// R14.
pub const R14: usize = 14;
/// R15.
pub const R15: usize = 15;
