//! Notices that the guest's kernel has panicked.
//!
//! A PC has no wire for that; the serial console is where a stock kernel says it. Its last line is
//! `[   1.234567] ---[ end Kernel panic - not syncing: … ]---`, after which nothing ever comes. A guest that merely
//! prints such a line (an old log) goes on talking, so only silence after the line counts.
use std::time::Duration;

/// How long the guest must be silent after the line.
pub const SILENCE: Duration = Duration::from_secs(3);

const MARKER: &[u8] = b"---[ end Kernel panic - not syncing";
/// Longer lines are no kernel's.
const LINE_LIMIT: usize = 1024;

/// Reads along with the console.
#[derive(Debug, Default)]
pub struct PanicWatch {
    line: Vec<u8>,
    panicked: bool,
}

impl PanicWatch {
    /// Takes output and returns whether the last thing said so far is the end of a panic.
    pub fn observe(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' => {
                    self.panicked = ends_panic(&self.line);
                    self.line.clear();
                }
                b'\r' => {}
                _ => {
                    self.panicked = false;
                    if self.line.len() < LINE_LIMIT {
                        self.line.push(*byte);
                    }
                }
            }
        }
        self.panicked
    }
}

/// Whether a line is a time stamp and the marker.
fn ends_panic(line: &[u8]) -> bool {
    let Some(end) = line.iter().position(|byte| *byte == b']') else { return false };
    let (stamp, rest) = line.split_at(end);
    let in_stamp = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'.' | b'T' | b'C');
    stamp.first() == Some(&b'[')
        && stamp[1..].iter().all(in_stamp)
        && rest[1..].trim_ascii_start().starts_with(MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &[u8] = b"[    1.5] ---[ end Kernel panic - not syncing: VFS: no root ]---\r\n";

    #[test]
    fn the_last_line_of_a_panic_is_noticed_however_it_arrives() {
        assert!(PanicWatch::default().observe(PANIC));
        let mut watch = PanicWatch::default();
        let verdicts: Vec<_> = PANIC.iter().map(|byte| watch.observe(&[*byte])).collect();
        assert_eq!(verdicts.iter().position(|panicked| *panicked), Some(PANIC.len() - 1));
    }

    #[test]
    fn a_guest_that_goes_on_talking_has_not_panicked() {
        let mut watch = PanicWatch::default();
        watch.observe(PANIC);
        assert!(!watch.observe(b"# "));
    }

    #[test]
    fn other_lines_do_not_count() {
        for line in [
            &b"---[ end Kernel panic - not syncing\n"[..],
            b"[x] ---[ end Kernel panic - not syncing\n",
            b"\n",
        ] {
            assert!(!PanicWatch::default().observe(line));
        }
        assert!(!PanicWatch::default().observe(&vec![b'['; 1 << 20]));
    }
}
