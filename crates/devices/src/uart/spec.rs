//! Names of the PC16550D data sheet (table II).

/// Bytes in each FIFO.
pub const FIFO_BYTES: usize = 16;
/// Bits a second at divisor 1, as a PC's crystal makes it.
pub const BASE_RATE: u64 = 115_200;
/// Bits on the line for one character: start, eight data bits, stop.
pub const BITS_PER_CHARACTER: u64 = 10;
/// Character times without traffic after which a FIFO below its trigger level interrupts.
pub const TIMEOUT_CHARACTERS: u64 = 4;

/// Register offsets.
pub mod register {
    /// Receiver buffer, transmitter holding; low divisor byte with DLAB.
    pub const DATA: u64 = 0;
    /// Interrupt enable; high divisor byte with DLAB.
    pub const IER: u64 = 1;
    /// Interrupt identification on reads, FIFO control on writes.
    pub const IIR_FCR: u64 = 2;
    /// Line control.
    pub const LCR: u64 = 3;
    /// Modem control.
    pub const MCR: u64 = 4;
    /// Line status.
    pub const LSR: u64 = 5;
    /// Modem status.
    pub const MSR: u64 = 6;
    /// Scratch.
    pub const SCR: u64 = 7;
}

/// Interrupt enable register.
pub mod ier {
    /// Received data available, and the timeout.
    pub const RECEIVED: u8 = 1 << 0;
    /// Transmitter holding register empty.
    pub const TRANSMITTER: u8 = 1 << 1;
    /// Receiver line status.
    pub const LINE: u8 = 1 << 2;
    /// Modem status.
    pub const MODEM: u8 = 1 << 3;
    /// What can be written.
    pub const WRITABLE: u8 = 0x0f;
}

/// Interrupt identification register.
pub mod iir {
    /// Nothing is pending.
    pub const NONE: u8 = 0x01;
    /// Receiver line status.
    pub const LINE: u8 = 0x06;
    /// Received data available.
    pub const RECEIVED: u8 = 0x04;
    /// Characters wait below the trigger level.
    pub const TIMEOUT: u8 = 0x0c;
    /// Transmitter holding register empty.
    pub const TRANSMITTER: u8 = 0x02;
    /// Modem status.
    pub const MODEM: u8 = 0x00;
    /// The FIFOs are on.
    pub const FIFOS: u8 = 0xc0;
}

/// FIFO control register.
pub mod fcr {
    /// FIFOs on.
    pub const ENABLE: u8 = 1 << 0;
    /// Empty the receiver's.
    pub const CLEAR_RECEIVER: u8 = 1 << 1;
    /// Empty the transmitter's.
    pub const CLEAR_TRANSMITTER: u8 = 1 << 2;
    /// Trigger levels by bits 7:6.
    pub const TRIGGER_LEVELS: [usize; 4] = [1, 4, 8, 14];
}

/// Line control: divisor latch access.
pub const LCR_DLAB: u8 = 1 << 7;

/// Modem control register.
pub mod mcr {
    /// Data terminal ready.
    pub const DTR: u8 = 1 << 0;
    /// Request to send.
    pub const RTS: u8 = 1 << 1;
    /// First output.
    pub const OUT1: u8 = 1 << 2;
    /// Second output; an interrupt gate on real PCs, which this port leaves open, as other machine models do.
    pub const OUT2: u8 = 1 << 3;
    /// Loopback.
    pub const LOOP: u8 = 1 << 4;
    /// What can be written.
    pub const WRITABLE: u8 = 0x1f;
}

/// Line status register.
pub mod lsr {
    /// Data ready.
    pub const DATA_READY: u8 = 1 << 0;
    /// A character was lost.
    pub const OVERRUN: u8 = 1 << 1;
    /// Transmitter holding register empty.
    pub const HOLDING_EMPTY: u8 = 1 << 5;
    /// Transmitter empty.
    pub const TRANSMITTER_EMPTY: u8 = 1 << 6;
}

/// Modem status register.
pub mod msr {
    /// Ring indicator went off.
    pub const TRAILING_RING: u8 = 1 << 2;
    /// Changes since the last read.
    pub const DELTAS: u8 = 0x0f;
    /// Clear to send.
    pub const CTS: u8 = 1 << 4;
    /// Data set ready.
    pub const DSR: u8 = 1 << 5;
    /// Ring indicator.
    pub const RING: u8 = 1 << 6;
    /// Carrier.
    pub const CARRIER: u8 = 1 << 7;
    /// Somebody is there: what a port with a terminal reads.
    pub const CONNECTED: u8 = CTS | DSR | CARRIER;
}
