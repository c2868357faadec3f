//! Names of PCI 3.0 chapter 6 and of the ICH9's LPC bridge.

/// Bytes of a function's conventional configuration space.
pub const CONFIG_BYTES: usize = 256;
/// Bytes that ECAM gives each function.
pub const ECAM_BYTES: u64 = 4096;
/// Base address registers of a function.
pub const BARS: usize = 6;

/// Offsets in configuration space.
pub mod offset {
    pub const VENDOR: usize = 0x00;
    pub const DEVICE: usize = 0x02;
    pub const COMMAND: usize = 0x04;
    pub const STATUS: usize = 0x06;
    pub const REVISION: usize = 0x08;
    pub const HEADER_TYPE: usize = 0x0e;
    pub const BAR0: usize = 0x10;
    pub const SUBSYSTEM_VENDOR: usize = 0x2c;
    pub const SUBSYSTEM: usize = 0x2e;
    pub const CAPABILITIES: usize = 0x34;
    pub const INTERRUPT_LINE: usize = 0x3c;
    pub const INTERRUPT_PIN: usize = 0x3d;
    /// The first byte that is a device's own.
    pub const DEVICE_SPECIFIC: usize = 0x40;
}

/// Command register.
pub mod command {
    pub const IO: u16 = 1 << 0;
    pub const MEMORY: u16 = 1 << 1;
    pub const MASTER: u16 = 1 << 2;
    pub const INTX_DISABLE: u16 = 1 << 10;
    /// What can be written: also parity and SERR, which do nothing here.
    pub const WRITABLE: u16 = 0x0547;
}

/// Status: INTx is asserted.
pub const STATUS_INTERRUPT: u8 = 1 << 3;
/// Status: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u8 = 1 << 4;
/// Header type: more functions than 0.
pub const HEADER_MULTIFUNCTION: u8 = 1 << 7;

/// BAR: ports rather than memory.
pub const BAR_IO: u32 = 1 << 0;
/// BAR: 64 bits wide.
pub const BAR_64: u32 = 1 << 2;

/// Capability: MSI-X.
pub const CAPABILITY_MSIX: u8 = 0x11;

/// Configuration address port: the access is to configuration space.
pub const ADDRESS_ENABLE: u32 = 1 << 31;

/// Reset control port 0xcf9 (ICH9 §13.7.5).
pub mod reset {
    /// The rise of this bit resets.
    pub const RESET_CPU: u8 = 1 << 2;
    /// What is kept.
    pub const WRITABLE: u8 = 0x0e;
}

/// LPC bridge (ICH9 §13.1).
pub mod lpc {
    /// Routing of PIRQA to D; E to H follow at [`PIRQ_E`].
    pub const PIRQ_A: usize = 0x60;
    /// Routing of PIRQE to H.
    pub const PIRQ_E: usize = 0x68;
    /// Routing: not to the 8259A.
    pub const PIRQ_DISABLED: u8 = 1 << 7;
}
