//! The other end of the serial line.

/// Takes what the guest sends. Called with the port's lock held, one or a few bytes at a time; must not block.
pub trait SerialOutput: Send {
    /// Takes as many of `bytes` as there is room for and returns how many; the port keeps the others, tells the guest
    /// that its transmitter is busy, and tries again after [`super::Uart::output_ready`].
    fn write(&mut self, bytes: &[u8]) -> usize;
}

impl SerialOutput for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.extend_from_slice(bytes);
        bytes.len()
    }
}
