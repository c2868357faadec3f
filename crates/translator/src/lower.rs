//! Lowering: from guest instructions to host code, one block at a time, in a single pass.
//!
//! Registers live in themselves; most instructions are copied with their memory operand redirected. Where the status
//! flags are live across a look-up they are put aside once and taken back when somebody needs them.

pub mod block;
pub mod cold;
pub mod copy;
pub mod decode;
pub mod flow;
pub mod forms;
pub mod interrupt_return;
pub mod legacy;
pub mod liveness;
pub mod memory;
pub mod moving;
pub mod narrow;
pub mod needs;
pub mod portable;
#[cfg(test)]
mod samples;
pub mod scratch;
pub mod sites;
pub mod stack;
pub mod string;
pub mod system;
pub mod usage;
pub mod window;
