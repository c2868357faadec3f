//! What a CPU keeps between two look-ups in the directory of blocks.
use super::block::CodeMode;

/// Modes that a CPU is in by turns.
const MODES: usize = 4;

/// One CPU's own.
#[derive(Default)]
pub struct Finder {
    /// The modes looked for last, and their numbers.
    modes: [Option<(CodeMode, u32)>; MODES],
    /// Which of them is replaced next.
    next: usize,
    /// The beginning that the numbers are good for.
    beginning: u64,
}

impl Finder {
    /// The number of a mode since some beginning; `ask` knows it if blocks were made for the mode.
    pub fn number(
        &mut self,
        mode: CodeMode,
        beginning: u64,
        ask: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        if self.beginning != beginning {
            (self.modes, self.beginning) = ([None; MODES], beginning);
        }
        let known = self.modes.iter().flatten().find(|(known, _)| *known == mode);
        if let Some((_, number)) = known {
            return Some(*number);
        }
        let number = ask()?;
        self.modes[self.next] = Some((mode, number));
        self.next = (self.next + 1) % MODES;
        Some(number)
    }
}
