//! The first serial port's other end.

/// Takes what the guest writes to its first serial port.
pub trait ConsoleOutput: Send {
    /// Takes bytes, all of them, in order. Called on a CPU's thread; a slow taker slows the guest down, as a slow line
    /// would, and loses nothing.
    fn write(&mut self, bytes: &[u8]);
}

impl<F: FnMut(&[u8]) + Send> ConsoleOutput for F {
    fn write(&mut self, bytes: &[u8]) {
        self(bytes);
    }
}
