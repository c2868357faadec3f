//! Between the first serial port and whoever shows what it says.
//!
//! The port must not block, a terminal may: output goes through a bounded buffer that a thread of its own empties.
//! Nothing is lost; a full buffer makes the guest's transmitter busy. Lock order: port, then buffer.
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use devices::uart::{SerialOutput, Uart};
use parking_lot::{Condvar, Mutex};

/// Takes what the guest writes to its console.
pub trait ConsoleOutput: Send {
    /// Takes bytes, all of them, in order. May block: called on a thread of its own.
    fn write(&mut self, bytes: &[u8]);
}

impl<F: FnMut(&[u8]) + Send> ConsoleOutput for F {
    fn write(&mut self, bytes: &[u8]) {
        self(bytes);
    }
}

/// Output that waits for a slow taker, in bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// How long the thread collects before it writes again, so that a guest that prints does not wake it for each byte.
const LINGER: Duration = Duration::from_micros(500);

/// Output on its way.
#[derive(Default)]
pub struct OutputBuffer {
    state: Mutex<State>,
    changed: Condvar,
    /// There is room again.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The port still has bytes that did not fit.
    refused: bool,
    /// The machine has ended: what is here is all.
    closed: bool,
    /// The thread waits to be woken.
    asleep: bool,
}

/// The port's end of a buffer.
pub struct BufferedOutput(pub Arc<OutputBuffer>);

impl SerialOutput for BufferedOutput {
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.0.push(bytes)
    }
}

/// What the thread finds.
enum Found {
    Bytes { bytes: Vec<u8>, refused: bool },
    End,
}

impl OutputBuffer {
    /// Takes what there is room for, and returns how many bytes that is.
    pub fn push(&self, bytes: &[u8]) -> usize {
        let mut state = self.state.lock();
        let taken = bytes.len().min(BUFFER_BYTES - state.bytes.len());
        state.bytes.extend(&bytes[..taken]);
        state.refused |= taken < bytes.len();
        if state.asleep {
            state.asleep = false;
            self.changed.notify_one();
        }
        taken
    }

    /// Takes everything; blocks while there is no room.
    pub fn push_all(&self, mut bytes: &[u8]) {
        loop {
            bytes = &bytes[self.push(bytes)..];
            if bytes.is_empty() {
                return;
            }
            let mut state = self.state.lock();
            while state.bytes.len() == BUFFER_BYTES && !state.closed {
                self.emptied.wait(&mut state);
            }
            if state.closed {
                return;
            }
        }
    }

    /// No more output comes.
    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
        self.emptied.notify_all();
    }

    /// Waits for output or the end.
    fn next(&self) -> Found {
        let mut state = self.state.lock();
        loop {
            if !state.bytes.is_empty() {
                let bytes = std::mem::take(&mut state.bytes).into();
                self.emptied.notify_all();
                return Found::Bytes { bytes, refused: std::mem::take(&mut state.refused) };
            }
            if state.closed {
                return Found::End;
            }
            state.asleep = true;
            self.changed.wait(&mut state);
            state.asleep = false;
        }
    }

    /// Waits a moment for more, unless the end has come.
    fn linger(&self) {
        let mut state = self.state.lock();
        if !state.closed {
            self.changed.wait_for(&mut state, LINGER);
        }
    }
}

/// The thread that writes a port's output. It ends, with everything written, when dropped or finished.
pub struct Writer {
    buffer: Arc<OutputBuffer>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts writing what comes through `buffer` from `port`.
    pub fn start(
        buffer: Arc<OutputBuffer>,
        port: Arc<Mutex<Uart>>,
        mut output: Box<dyn ConsoleOutput>,
    ) -> std::io::Result<Self> {
        let source = Arc::clone(&buffer);
        let body = move || {
            while let Found::Bytes { bytes, refused } = source.next() {
                output.write(&bytes);
                if refused {
                    port.lock().output_ready();
                }
                source.linger();
            }
        };
        let thread = std::thread::Builder::new().name("console".into()).spawn(body)?;
        Ok(Self { buffer, thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.buffer.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the console's output panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devices::uart::Uart;
    use platform::{Device, IrqLine, ManualClock, Region};
    use std::sync::mpsc;

    fn port(buffer: &Arc<OutputBuffer>) -> Arc<Mutex<Uart>> {
        let output = Box::new(BufferedOutput(Arc::clone(buffer)));
        Uart::new(Arc::new(ManualClock::default()), IrqLine::unconnected(), output, Arc::new(|| {}))
    }

    #[test]
    fn a_full_buffer_refuses_and_remembers() {
        let buffer = OutputBuffer::default();
        assert_eq!(buffer.push(&vec![1; BUFFER_BYTES - 1]), BUFFER_BYTES - 1);
        assert_eq!(buffer.push(b"ab"), 1);
        let Found::Bytes { bytes, refused } = buffer.next() else { panic!("no bytes") };
        assert_eq!((bytes.len(), refused), (BUFFER_BYTES, true));
    }

    #[test]
    fn nothing_is_lost_to_a_slow_taker() {
        let buffer = Arc::<OutputBuffer>::default();
        let port = port(&buffer);
        let sent: Vec<u8> = (0..BUFFER_BYTES * 2).map(|n| (n % 253) as u8).collect();
        let (sender, taken) = mpsc::channel();
        let (gate, opened) = mpsc::channel::<()>();
        let taker = move |bytes: &[u8]| {
            // Slow: stops until the port is full.
            let _ = opened.recv();
            sender.send(bytes.to_vec()).unwrap();
        };
        let writer = Writer::start(Arc::clone(&buffer), Arc::clone(&port), Box::new(taker)).unwrap();
        let mut gate = Some(gate);
        for byte in &sent {
            loop {
                let mut status = [0];
                port.lock().read(Region(0), 5, &mut status);
                if status[0] & 0x20 != 0 {
                    break;
                }
                gate = None;
                std::thread::yield_now();
            }
            port.lock().write(Region(0), 0, &[*byte]);
        }
        drop(gate);
        drop(writer);
        let taken: Vec<u8> = taken.iter().flatten().collect();
        assert!(taken == sent, "{} of {} bytes", taken.len(), sent.len());
    }
}
