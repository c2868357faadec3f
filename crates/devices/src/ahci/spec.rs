//! Names of the AHCI specification 1.3.1, and of the frames of Serial ATA 3.0.

/// Ports of the controller.
pub const PORTS: usize = 6;
/// Commands that a port's list holds.
pub const SLOTS: u8 = 32;
/// Bytes of the register window.
pub const WINDOW_BYTES: u64 = 0x1000;
/// The window's base address register (§2.1.11).
pub const WINDOW_BAR: usize = 5;

/// The ICH9's SATA controller as a PCI function (document 316972, chapter 15).
pub mod pci {
    /// Intel.
    pub const VENDOR: u16 = 0x8086;
    /// Its number in AHCI mode.
    pub const DEVICE: u16 = 0x2922;
    /// Its revision.
    pub const REVISION: u8 = 2;
    /// Class: SATA controller, AHCI.
    pub const CLASS: u32 = 0x01_06_01;
}

/// Generic registers (§3.1).
pub mod generic {
    /// Capabilities.
    pub const CAP: u64 = 0x00;
    /// Global control.
    pub const GHC: u64 = 0x04;
    /// Which ports interrupt.
    pub const IS: u64 = 0x08;
    /// Which ports there are.
    pub const PI: u64 = 0x0c;
    /// Version.
    pub const VS: u64 = 0x10;
    /// First port's registers.
    pub const PORTS: u64 = 0x100;
    /// Bytes of a port's registers.
    pub const PORT_BYTES: u64 = 0x80;
}

/// Version 1.3.1.
pub const VERSION: u32 = 0x0001_0301;
/// Capabilities: 64-bit addresses, queueing, command list override, third generation, AHCI only, PIO of many blocks,
/// 32 slots, partial and slumber states, 6 ports.
pub const CAPABILITIES: u32 = 1 << 31
    | 1 << 30
    | 1 << 24
    | 3 << 20
    | 1 << 18
    | 1 << 15
    | 1 << 14
    | 1 << 13
    | 31 << 8
    | (PORTS as u32 - 1);

/// Global control (§3.1.2).
pub mod ghc {
    /// Resets the controller.
    pub const RESET: u32 = 1 << 0;
    /// Interrupts are on.
    pub const INTERRUPTS: u32 = 1 << 1;
    /// AHCI rather than old registers: always.
    pub const AHCI: u32 = 1 << 31;
}

/// A port's registers (§3.3).
pub mod register {
    /// Command list, low half.
    pub const CLB: u64 = 0x00;
    /// Command list, high half.
    pub const CLBU: u64 = 0x04;
    /// Received frames, low half.
    pub const FB: u64 = 0x08;
    /// Received frames, high half.
    pub const FBU: u64 = 0x0c;
    /// Interrupt status.
    pub const IS: u64 = 0x10;
    /// Interrupt enable.
    pub const IE: u64 = 0x14;
    /// Command and status.
    pub const CMD: u64 = 0x18;
    /// Task file: status and error of the device.
    pub const TFD: u64 = 0x20;
    /// Signature of the device.
    pub const SIG: u64 = 0x24;
    /// State of the link.
    pub const SSTS: u64 = 0x28;
    /// Control of the link.
    pub const SCTL: u64 = 0x2c;
    /// Errors of the link.
    pub const SERR: u64 = 0x30;
    /// Queued commands on their way.
    pub const SACT: u64 = 0x34;
    /// Commands on their way.
    pub const CI: u64 = 0x38;
}

/// Interrupts of a port (§3.3.5).
pub mod interrupt {
    /// A register frame came.
    pub const REGISTERS: u32 = 1 << 0;
    /// A PIO setup frame came.
    pub const PIO_SETUP: u32 = 1 << 1;
    /// A set device bits frame came.
    pub const DEVICE_BITS: u32 = 1 << 3;
    /// A descriptor that asks for it was done.
    pub const DESCRIPTOR: u32 = 1 << 5;
    /// Somebody was connected; follows PxSERR.DIAG.X.
    pub const CONNECT: u32 = 1 << 6;
    /// The link came or went; follows PxSERR.DIAG.N.
    pub const PHY_READY: u32 = 1 << 22;
    /// The device sent more than there was room for.
    pub const OVERFLOW: u32 = 1 << 24;
    /// Memory that is not there.
    pub const HOST_BUS_FATAL: u32 = 1 << 29;
    /// The device reported an error.
    pub const TASK_FILE: u32 = 1 << 30;
    /// What clears by writing ones.
    pub const STICKY: u32 =
        REGISTERS | PIO_SETUP | DEVICE_BITS | DESCRIPTOR | OVERFLOW | HOST_BUS_FATAL | TASK_FILE;
    /// What can be enabled.
    pub const ENABLES: u32 = 0xfdc0_00ff;
}

/// A port's command and status register (§3.3.7).
pub mod cmd {
    /// The list is processed.
    pub const START: u32 = 1 << 0;
    /// Spun up, and powered: always.
    pub const SPUN_UP_AND_POWERED: u32 = 1 << 1 | 1 << 2;
    /// Clears busy and data request.
    pub const OVERRIDE: u32 = 1 << 3;
    /// Frames are received.
    pub const RECEIVE: u32 = 1 << 4;
    /// Where the current slot is.
    pub const SLOT_SHIFT: u32 = 8;
    /// The receiver runs.
    pub const RECEIVING: u32 = 1 << 14;
    /// The list runs.
    pub const RUNNING: u32 = 1 << 15;
    /// The device is a packet device: drives an LED, for software to set.
    pub const ATAPI: u32 = 1 << 24;
    /// The LED counts packet commands too.
    pub const LED: u32 = 1 << 25;
    /// What software sets and finds again.
    pub const KEPT: u32 = START | RECEIVE | ATAPI | LED;
}

/// State of the link (§3.3.10): a device, third generation, active.
pub const LINK_UP: u32 = 0x133;
/// The link was turned off.
pub const LINK_OFF: u32 = 0x004;

/// Control of the link (§3.3.11).
pub mod sctl {
    /// What is to be done with the link.
    pub const DETECT: u32 = 0xf;
    /// A reset, as long as this is set.
    pub const RESET: u32 = 1;
    /// Off.
    pub const OFF: u32 = 4;
    /// What software sets and finds again.
    pub const KEPT: u32 = 0xfff;
}

/// Errors of the link (§3.3.12).
pub mod serr {
    /// The link came or went.
    pub const PHY_CHANGED: u32 = 1 << 16;
    /// Somebody was connected.
    pub const EXCHANGED: u32 = 1 << 26;
}

/// Task file of a port without a device.
pub const TASK_FILE_NOBODY: u32 = 0x7f;
/// Task file until the device has said who it is.
pub const TASK_FILE_BUSY: u32 = 0x80;
/// Signature before the device has said who it is.
pub const SIGNATURE_NONE: u32 = 0xffff_ffff;

/// Command header (§4.2.2).
pub mod header {
    /// Bytes.
    pub const BYTES: u64 = 32;
    /// Offset of the number of bytes moved.
    pub const MOVED: u64 = 4;
    /// Length of the frame, in double words.
    pub const FRAME_LENGTH: u32 = 0x1f;
    /// The frame is followed by a packet.
    pub const PACKET: u32 = 1 << 5;
    /// Data goes to the device.
    pub const WRITE: u32 = 1 << 6;
    /// Where the number of descriptors is.
    pub const DESCRIPTORS_SHIFT: u32 = 16;
    /// Where a list may begin.
    pub const LIST_ALIGNMENT: u64 = 1024;
    /// Where a table may begin.
    pub const TABLE_ALIGNMENT: u64 = 128;
}

/// Command table (§4.2.3).
pub mod table {
    /// Bytes of a frame that a host sends.
    pub const FRAME_BYTES: usize = 20;
    /// Offset of the packet.
    pub const PACKET: u64 = 0x40;
    /// Bytes of a packet.
    pub const PACKET_BYTES: usize = 16;
    /// Offset of the descriptors.
    pub const DESCRIPTORS: u64 = 0x80;
    /// Bytes of a descriptor.
    pub const DESCRIPTOR_BYTES: usize = 16;
    /// Descriptor: its length, less one.
    pub const LENGTH: u32 = 0x3f_ffff;
    /// Descriptor: interrupt once it is done.
    pub const INTERRUPT: u32 = 1 << 31;
}

/// Where received frames go (§4.2.1).
pub mod received {
    /// Where the area may begin.
    pub const ALIGNMENT: u64 = 256;
    /// PIO setup.
    pub const PIO_SETUP: u64 = 0x20;
    /// Registers.
    pub const REGISTERS: u64 = 0x40;
    /// Set device bits.
    pub const DEVICE_BITS: u64 = 0x58;
}

/// Frames (Serial ATA 3.0 §10.3).
pub mod frame {
    /// Registers, to the device.
    pub const TO_DEVICE: u8 = 0x27;
    /// Registers, to the host.
    pub const TO_HOST: u8 = 0x34;
    /// Set device bits.
    pub const DEVICE_BITS: u8 = 0xa1;
    /// PIO setup.
    pub const PIO_SETUP: u8 = 0x5f;
    /// To the device, byte 1: a command rather than control.
    pub const COMMAND: u8 = 1 << 7;
    /// To the device, byte 15: reset.
    pub const SOFT_RESET: u8 = 1 << 2;
    /// To the host, byte 1: interrupt.
    pub const INTERRUPT: u8 = 1 << 6;
    /// PIO setup, byte 1: data goes to the host.
    pub const TO_MEMORY: u8 = 1 << 5;
    /// Registers after a packet's end: a command's status, of which data went to the host.
    pub const REASON_STATUS: u16 = 3;
}
