//! Writing host code: an assembler for the glue, and the rewriting of guest instructions.

pub mod asm;
pub mod fixups;
pub mod jumps;
pub mod long_form;
pub mod piece;
pub mod rewrite;
