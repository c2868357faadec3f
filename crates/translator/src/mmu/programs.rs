//! Which programs run long, told by the frames of their code: what has run long is likely to do so again.
use crate::cache::blocks::WordMap;

/// Frames that are known at most, before all are forgotten.
const FRAMES_MOST: usize = 1 << 13;
/// A frame's word counts from here on.
const ENOUGH: i8 = 2;
/// No frame has a better name.
const BEST: i8 = 8;
/// What it costs a frame if an address space that had windows on its word has not run long, and its worst name.
const MISTAKE: i8 = 8;
const WORST: i8 = -64;

/// Frames of user code, and how well each speaks for the program that it belongs to.
#[derive(Default)]
pub struct Programs {
    names: WordMap<u64, i8>,
}

impl Programs {
    /// Code of a frame was found in an address space that runs long.
    pub fn note_long(&mut self, frame: u64) {
        if self.names.len() >= FRAMES_MOST {
            self.names.clear();
        }
        let name = self.names.entry(frame).or_default();
        *name = (*name + 1).min(BEST);
    }

    /// An address space that was thought to run long because of a frame did not.
    pub fn note_mistake(&mut self, frame: u64) {
        let name = self.names.entry(frame).or_default();
        *name = (*name - MISTAKE).max(WORST);
    }

    /// Whether an address space that runs code of a frame is likely to run long.
    pub fn runs_long(&self, frame: u64) -> bool {
        self.names.get(&frame).is_some_and(|name| *name >= ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_wrong_has_to_be_right_often_before_it_counts_again() {
        let mut programs = Programs::default();
        assert!(!programs.runs_long(1));
        programs.note_long(1);
        assert!(!programs.runs_long(1));
        programs.note_long(1);
        assert!(programs.runs_long(1) && !programs.runs_long(2));
        programs.note_mistake(1);
        let again = (1..10).find(|_| {
            programs.note_long(1);
            programs.runs_long(1)
        });
        assert_eq!(again, Some(8));
        (0..1000).for_each(|_| programs.note_mistake(1));
        (0..66).for_each(|_| programs.note_long(1));
        assert!(programs.runs_long(1));
    }

    #[test]
    fn frames_do_not_pile_up() {
        let mut programs = Programs::default();
        (0..3 * FRAMES_MOST as u64).for_each(|frame| programs.note_long(frame));
        assert!(programs.names.len() <= FRAMES_MOST);
    }
}
