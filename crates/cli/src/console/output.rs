//! What the guest says, on stdout.
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use machine::ConsoleOutput;
use rustix::event::{PollFd, PollFlags, poll};

use crate::panic_watch::PanicWatch;

/// What the output has noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The last thing said is the end of a kernel panic, or no longer.
    Panicked(bool),
    /// Nothing can be written any more; the host's error number.
    Closed(i32),
}

/// Writes to stdout, unbuffered.
pub struct Stdout {
    notices: Sender<Notice>,
    watch: PanicWatch,
    panicked: bool,
    closed: bool,
    /// Where to write; stdout, or something else in tests.
    file: Arc<dyn std::os::fd::AsFd + Send + Sync>,
}

impl Stdout {
    /// Says what it notices on `notices`.
    pub fn new(notices: Sender<Notice>) -> Self {
        Self::to(Arc::new(io::stdout()), notices)
    }

    fn to(file: Arc<dyn std::os::fd::AsFd + Send + Sync>, notices: Sender<Notice>) -> Self {
        Self { notices, watch: PanicWatch::default(), panicked: false, closed: false, file }
    }

    fn write_all(&self, mut bytes: &[u8]) -> rustix::io::Result<()> {
        let file = self.file.as_fd();
        while !bytes.is_empty() {
            match rustix::io::write(file, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(rustix::io::Errno::INTR) => {}
                // Somebody else has made our terminal non-blocking.
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)
                        .map(drop)
                        .or_else(ignore_interrupt)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The other side may be gone at the machine's end; then nobody needs to know.
    fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

fn ignore_interrupt(error: rustix::io::Errno) -> rustix::io::Result<()> {
    if error == rustix::io::Errno::INTR { Ok(()) } else { Err(error) }
}

impl ConsoleOutput for Stdout {
    fn write(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        if let Err(error) = self.write_all(bytes) {
            self.closed = true;
            self.tell(Notice::Closed(error.raw_os_error()));
            return;
        }
        let panicked = self.watch.observe(bytes);
        if panicked != self.panicked {
            self.panicked = panicked;
            self.tell(Notice::Panicked(panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::mpsc;

    #[test]
    fn a_closed_pipe_is_reported_once() {
        let (reader, writer) = io::pipe().unwrap();
        let (sender, notices) = mpsc::channel();
        let mut output = Stdout::to(Arc::new(writer), sender);
        drop(reader);
        output.write(b"one");
        output.write(b"two");
        drop(output);
        assert_eq!(notices.iter().collect::<Vec<_>>(), [Notice::Closed(libc::EPIPE)]);
    }

    #[test]
    fn bytes_arrive_and_a_panic_is_noticed() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (sender, notices) = mpsc::channel();
        let mut output = Stdout::to(Arc::new(writer), sender);
        let text = b"[ 1.0] ---[ end Kernel panic - not syncing: x ]---\n";
        output.write(text);
        output.write(b"$ ");
        drop(output);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, [&text[..], b"$ "].concat());
        assert_eq!(notices.iter().collect::<Vec<_>>(), [Notice::Panicked(true), Notice::Panicked(false)]);
    }
}
