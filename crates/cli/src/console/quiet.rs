//! What the guest says while a command runs in it: kept back, unless something goes wrong.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use machine::ConsoleOutput;
use parking_lot::Mutex;

use super::output::Notice;
use crate::panic_watch::PanicWatch;

/// Bytes that are kept.
const KEPT: usize = 4 << 10;

/// The last of what the guest said.
#[derive(Clone, Default)]
pub struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// The whole lines of it.
    pub fn lines(&self) -> String {
        let kept = self.0.lock();
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole =
            if kept.len() < KEPT { &text[..] } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
        whole.trim_end().to_owned()
    }
}

/// Keeps the last of what the guest says.
pub struct Quiet {
    tail: Tail,
    notices: Sender<Notice>,
    watch: PanicWatch,
    panicked: bool,
}

impl Quiet {
    /// Says what it notices on `notices`.
    pub fn new(tail: Tail, notices: Sender<Notice>) -> Self {
        Self { tail, notices, watch: PanicWatch::default(), panicked: false }
    }
}

impl ConsoleOutput for Quiet {
    fn write(&mut self, bytes: &[u8]) {
        let mut kept = self.tail.0.lock();
        kept.extend(bytes);
        let beyond = kept.len().saturating_sub(KEPT);
        kept.drain(..beyond);
        drop(kept);
        let panicked = self.watch.observe(bytes);
        if panicked != self.panicked {
            self.panicked = panicked;
            // Nobody listens any more at the machine's end.
            let _ = self.notices.send(Notice::Panicked(panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let (sender, notices) = mpsc::channel();
        let tail = Tail::default();
        let mut quiet = Quiet::new(tail.clone(), sender);
        quiet.write(b"one\r\ntwo\r\n");
        assert_eq!(tail.lines(), "one\r\ntwo");
        for number in 0..1000 {
            quiet.write(format!("line {number}\n").as_bytes());
        }
        quiet.write(b"[ 1.0] ---[ end Kernel panic - not syncing: x ]---\n");
        let lines = tail.lines();
        assert!(lines.len() < KEPT && lines.starts_with("line ") && lines.ends_with("]---"), "{lines}");
        drop(quiet);
        assert_eq!(notices.iter().collect::<Vec<_>>(), [Notice::Panicked(true)]);
    }
}
