//! Names of the PCI Local Bus Specification 3.0, chapter 6, and of the Q35's bridges.

/// Bytes of a function's configuration space; none of the board's functions has an extended one.
pub const CONFIG_BYTES: usize = 256;
/// Base address registers of an ordinary function.
pub const BARS: usize = 6;

/// Offset of the vendor's number.
pub const VENDOR_ID: usize = 0x00;
/// Offset of the vendor's number of the device.
pub const DEVICE_ID: usize = 0x02;
/// Offset of the command register.
pub const COMMAND: usize = 0x04;
/// Offset of the status register.
pub const STATUS: usize = 0x06;
/// Offset of the revision; three bytes of class code follow.
pub const REVISION_ID: usize = 0x08;
/// Offset of the cache line size, for software to keep a value in.
pub const CACHE_LINE_SIZE: usize = 0x0c;
/// Offset of the header type.
pub const HEADER_TYPE: usize = 0x0e;
/// Offset of the first base address register.
pub const BAR0: usize = 0x10;
/// Offset of the subsystem vendor's number.
pub const SUBSYSTEM_VENDOR_ID: usize = 0x2c;
/// Offset of the subsystem's number.
pub const SUBSYSTEM_ID: usize = 0x2e;
/// Offset of the pointer to the first capability.
pub const CAPABILITIES: usize = 0x34;
/// Offset of the interrupt line, for software to keep a value in.
pub const INTERRUPT_LINE: usize = 0x3c;
/// Offset of the interrupt pin: 0 for none, 1 for INTA#.
pub const INTERRUPT_PIN: usize = 0x3d;
/// Where capabilities may begin.
pub const CAPABILITIES_START: usize = 0x40;

/// Command register.
pub mod command {
    /// I/O windows answer.
    pub const IO: u16 = 1 << 0;
    /// Memory windows answer.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory and send messages.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// Parity errors count.
    pub const PARITY: u16 = 1 << 6;
    /// System errors are reported.
    pub const SERR: u16 = 1 << 8;
    /// The interrupt pin stays quiet.
    pub const INTX_DISABLE: u16 = 1 << 10;
    /// What software can change.
    pub const WRITABLE: u16 = IO | MEMORY | BUS_MASTER | PARITY | SERR | INTX_DISABLE;
}

/// Status register.
pub mod status {
    /// The function asks for an interrupt by its pin, whether or not that is disabled.
    pub const INTERRUPT: u8 = 1 << 3;
    /// There are capabilities.
    pub const CAPABILITIES: u8 = 1 << 4;
}

/// Header type: further functions may be in this slot.
pub const MULTIFUNCTION: u8 = 0x80;

/// Base address registers (§6.2.5.1).
pub mod bar {
    /// An I/O window.
    pub const IO: u32 = 1 << 0;
    /// A memory window with 64 bits of address, in two registers.
    pub const WIDE: u32 = 2 << 1;
    /// Bits of an I/O register that are no address.
    pub const IO_FLAGS: u32 = 3;
    /// Bits of a memory register that are no address.
    pub const MEMORY_FLAGS: u32 = 0xf;
}

/// Capability: MSI (§6.8.1).
pub const CAPABILITY_MSI: u8 = 0x05;

/// MSI.
pub mod msi {
    /// Message control: messages rather than the pin.
    pub const ENABLE: u16 = 1 << 0;
    /// Message control: addresses have 64 bits.
    pub const WIDE: u16 = 1 << 7;
    /// Offset of message control in the capability.
    pub const MESSAGE_CONTROL: usize = 2;
    /// Offset of the message's data in a capability with 64 bits of address.
    pub const DATA: usize = 12;
    /// Bytes after identification and pointer: control, address, data.
    pub const BODY_BYTES: usize = 12;
}

/// Capability: belongs to the vendor.
pub const CAPABILITY_VENDOR: u8 = 0x09;
/// Capability: MSI-X (§6.8.2).
pub const CAPABILITY_MSIX: u8 = 0x11;

/// MSI-X.
pub mod msix {
    /// Message control, in the capability: all vectors are masked.
    pub const FUNCTION_MASK: u16 = 1 << 14;
    /// Message control: messages rather than the pin.
    pub const ENABLE: u16 = 1 << 15;
    /// Offset of message control in the capability.
    pub const MESSAGE_CONTROL: u8 = 2;
    /// Bytes of a table entry: address, data, vector control.
    pub const ENTRY_BYTES: u64 = 16;
    /// Vector control: masked.
    pub const VECTOR_MASKED: u32 = 1 << 0;
}

/// Configuration mechanism 1 (§3.2.2.3.2).
pub mod mechanism {
    /// The address port: data accesses are configuration accesses.
    pub const ENABLE: u32 = 1 << 31;
    /// Bits of the address port that exist.
    pub const ADDRESS: u32 = 0x80ff_fffc;
    /// Offset of the address port.
    pub const ADDRESS_PORT: u64 = 0;
    /// Offset of the reset control register, inside the address port.
    pub const RESET_CONTROL: u64 = 1;
    /// Offset of the data port.
    pub const DATA_PORT: u64 = 4;
}

/// Intel.
pub const VENDOR_INTEL: u16 = 0x8086;

/// Memory controller hub of the Q35 (document 316966).
pub mod mch {
    /// Its device number.
    pub const DEVICE: u16 = 0x29c0;
    /// Its revision.
    pub const REVISION: u8 = 2;
    /// Class: host bridge.
    pub const CLASS: u32 = 0x06_00_00;
    /// Offset of the base of PCI Express configuration space, 8 bytes.
    pub const PCIEXBAR: usize = 0x60;
    /// The base counts; 256 buses.
    pub const PCIEXBAR_ENABLE: u64 = 1;
}

/// LPC bridge of the ICH9 (document 316972, chapter 13).
pub mod lpc {
    /// Its device number.
    pub const DEVICE: u16 = 0x2918;
    /// Its revision.
    pub const REVISION: u8 = 2;
    /// Class: ISA bridge.
    pub const CLASS: u32 = 0x06_01_00;
    /// Offset of the base of the power-management block.
    pub const PMBASE: usize = 0x40;
    /// The base counts as an I/O port.
    pub const PMBASE_IO: u32 = 1;
    /// Offset of ACPI control.
    pub const ACPI_CNTL: usize = 0x44;
    /// The block is there.
    pub const ACPI_ENABLE: u8 = 1 << 7;
    /// Offset of the routes of PIRQA# to PIRQD#, a byte each.
    pub const PIRQA_ROUT: usize = 0x60;
    /// Offset of the routes of PIRQE# to PIRQH#, to which nothing on this board is wired.
    pub const PIRQE_ROUT: usize = 0x68;
    /// Route: not to the 8259As.
    pub const ROUTE_DISABLED: u8 = 1 << 7;
    /// Route: the input of the 8259As.
    pub const ROUTE_IRQ: u8 = 0xf;
    /// Inputs of the 8259As that a route may name.
    pub const ROUTABLE: u16 = 0xdef8;
}
