//! `Ctrl-]`: the way out of a console that takes every key.

/// Ctrl-].
pub const ESCAPE: u8 = 0x1d;

/// What the help command shows.
pub const MENU: &str = "\
gasang: Ctrl-] then
  q  turn the guest off and quit
  r  reset the guest
  s  show the engine's counters
  ?  this menu
  Ctrl-]  send Ctrl-] to the guest
";

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Quit,
    Reset,
    Statistics,
    Help,
}

/// A piece of what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// For the guest.
    Bytes(Vec<u8>),
    /// For us.
    Command(Command),
}

/// Tells keys for the guest from commands.
#[derive(Debug, Default)]
pub struct Escape {
    /// The last key was Ctrl-].
    pending: bool,
}

impl Escape {
    /// Splits what was typed, in order.
    pub fn split(&mut self, typed: &[u8]) -> Vec<Typed> {
        let mut parts = Vec::new();
        let mut bytes = Vec::new();
        for byte in typed {
            if !std::mem::take(&mut self.pending) {
                match *byte {
                    ESCAPE => self.pending = true,
                    byte => bytes.push(byte),
                }
                continue;
            }
            let command = match *byte {
                ESCAPE => {
                    bytes.push(ESCAPE);
                    continue;
                }
                b'q' | b'Q' => Command::Quit,
                b'r' | b'R' => Command::Reset,
                b's' | b'S' => Command::Statistics,
                _ => Command::Help,
            };
            if !bytes.is_empty() {
                parts.push(Typed::Bytes(std::mem::take(&mut bytes)));
            }
            parts.push(Typed::Command(command));
        }
        if !bytes.is_empty() {
            parts.push(Typed::Bytes(bytes));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_keys_pass() {
        assert_eq!(
            Escape::default().split("ls é\r".as_bytes()),
            [Typed::Bytes("ls é\r".as_bytes().to_vec())]
        );
        assert_eq!(Escape::default().split(b""), []);
    }

    #[test]
    fn a_command_may_come_in_two_reads() {
        let mut escape = Escape::default();
        assert_eq!(escape.split(b"a\x1d"), [Typed::Bytes(b"a".to_vec())]);
        assert_eq!(escape.split(b"qb"), [Typed::Command(Command::Quit), Typed::Bytes(b"b".to_vec())]);
    }

    #[test]
    fn twice_sends_it_once() {
        assert_eq!(Escape::default().split(b"\x1d\x1d"), [Typed::Bytes(vec![ESCAPE])]);
    }

    #[test]
    fn anything_else_helps() {
        assert_eq!(Escape::default().split(b"\x1dx"), [Typed::Command(Command::Help)]);
    }
}
