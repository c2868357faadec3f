//! What a block needs: most blocks are spared most of what is kept for a few.
use iced_x86::Register;

use super::decode::{Decoded, Way};
use x86::reg::RSP;

/// What has to be followed through a block because some instruction in it needs it.
pub struct Needs {
    /// Some memory operand has an index ([`super::narrow`]).
    pub elements: bool,
    /// The stack pointer is moved otherwise than by pushes and pops ([`super::window`]).
    pub steps: bool,
    /// Some instruction does not fault for what the mode says.
    pub rights: bool,
}

impl Needs {
    /// Of all instructions of a block.
    pub fn of(code: &[Decoded]) -> Self {
        let elements = code.iter().any(|decoded| decoded.instruction.memory_index() != Register::None);
        let moves = |decoded: &Decoded| matches!(decoded.way, Way::Copy | Way::Lea | Way::CopyMemory { .. });
        let steps = code.iter().any(|decoded| decoded.writes & 1 << RSP != 0 && moves(decoded));
        let rights = code.iter().any(|decoded| decoded.by_rights);
        Self { elements, steps, rights }
    }
}
