//! The keyboard at the other end: it answers, but nobody types.
use serde::{Deserialize, Serialize};

use super::spec::answer;

/// An MF2 keyboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keyboard {
    scan_code_set: u8,
    /// The command whose argument comes next.
    argument_of: Option<u8>,
}

impl Keyboard {
    pub(super) fn new() -> Self {
        Self { scan_code_set: 2, argument_of: None }
    }
    /// Takes a byte and answers.
    pub(super) fn write(&mut self, byte: u8, translated: bool) -> Vec<u8> {
        // Every command has its top bits set, no argument has; a command ends the wait for an argument.
        if let Some(command) = self.argument_of.take().filter(|_| byte < 0xed) {
            return self.argument(command, byte);
        }
        match byte {
            // Lamps, scan code set, repeat rate; make/break of single keys.
            0xed | 0xf0 | 0xf3 | 0xfb..=0xfd => {
                self.argument_of = Some(byte);
                vec![answer::ACK]
            }
            0xee => vec![answer::ECHO],
            0xf2 if translated => vec![answer::ACK, answer::IDENTITY[0], answer::IDENTITY_TRANSLATED],
            0xf2 => vec![answer::ACK, answer::IDENTITY[0], answer::IDENTITY[1]],
            0xf6 => {
                *self = Self::new();
                vec![answer::ACK]
            }
            // Enable, disable, and make/break of all keys.
            0xf4 | 0xf5 | 0xf7..=0xfa => vec![answer::ACK],
            0xff => {
                *self = Self::new();
                vec![answer::ACK, answer::TEST_PASSED]
            }
            _ => vec![answer::RESEND],
        }
    }
    fn argument(&mut self, command: u8, byte: u8) -> Vec<u8> {
        match (command, byte) {
            (0xf0, 0) => vec![answer::ACK, self.scan_code_set],
            (0xf0, 1..=3) => {
                self.scan_code_set = byte;
                vec![answer::ACK]
            }
            (0xf0, _) => vec![answer::RESEND],
            _ => vec![answer::ACK],
        }
    }
}
