//! Names of the SDM, chapters 3, 5 and 13.

/// Configuration space.
pub mod pci {
    /// Intel.
    pub const VENDOR: u16 = 0x8086;
    /// 82540EM.
    pub const DEVICE: u16 = 0x100e;
    /// Stepping.
    pub const REVISION: u8 = 2;
    /// An Ethernet controller.
    pub const CLASS: u32 = 0x02_00_00;
    /// Subsystem: the desktop adapter.
    pub const SUBSYSTEM: u16 = 0x001e;
    /// The window of the registers, and its bytes.
    pub const MEMORY_BAR: (usize, u64) = (0, 0x2_0000);
    /// The window by which registers are reached over ports, and its ports.
    pub const IO_BAR: (usize, u64) = (1, 0x40);
}

/// The ports (§13.2.2): which register, and its value.
pub mod io {
    /// Offset of the register that is meant.
    pub const ADDRESS: u64 = 0;
    /// That register.
    pub const DATA: u64 = 4;
}

/// Offsets of registers (§13.2).
pub mod register {
    /// Device control.
    pub const CTRL: u32 = 0x0000;
    /// Device status.
    pub const STATUS: u32 = 0x0008;
    /// EEPROM wires.
    pub const EECD: u32 = 0x0010;
    /// EEPROM read.
    pub const EERD: u32 = 0x0014;
    /// MDI control.
    pub const MDIC: u32 = 0x0020;
    /// Ethernet type of a VLAN tag.
    pub const VET: u32 = 0x0038;
    /// Interrupt causes; reading clears.
    pub const ICR: u32 = 0x00c0;
    /// Interrupt causes, set.
    pub const ICS: u32 = 0x00c8;
    /// Interrupt mask, set and read.
    pub const IMS: u32 = 0x00d0;
    /// Interrupt mask, clear.
    pub const IMC: u32 = 0x00d8;
    /// Receive control.
    pub const RCTL: u32 = 0x0100;
    /// Transmit control.
    pub const TCTL: u32 = 0x0400;
    /// Packet buffer allocation.
    pub const PBA: u32 = 0x1000;
    /// Receive ring: address (low, high), bytes, head, tail.
    pub const RX_RING: u32 = 0x2800;
    /// Transmit ring, the same.
    pub const TX_RING: u32 = 0x3800;
    /// Of a ring: address, low half.
    pub const RING_LOW: u32 = 0x00;
    /// Of a ring: address, high half.
    pub const RING_HIGH: u32 = 0x04;
    /// Of a ring: bytes.
    pub const RING_LENGTH: u32 = 0x08;
    /// Of a ring: next descriptor of the hardware.
    pub const RING_HEAD: u32 = 0x10;
    /// Of a ring: next descriptor of software.
    pub const RING_TAIL: u32 = 0x18;
    /// Statistics.
    pub const STATISTICS: std::ops::Range<u32> = 0x4000..0x4100;
    /// Receive checksum control.
    pub const RXCSUM: u32 = 0x5000;
    /// Multicast table.
    pub const MTA: std::ops::Range<u32> = 0x5200..0x5400;
    /// Addresses, low and high in turn.
    pub const RA: std::ops::Range<u32> = 0x5400..0x5480;
    /// VLAN table.
    pub const VFTA: std::ops::Range<u32> = 0x5600..0x5800;
    /// What software writes and reads again, and nothing follows from: CTRL_EXT, FCAL, FCAH, FCT, ITR, FCTTV, TXCW,
    /// TIPG, AIT, LEDCTL, PBA, FCRTL, FCRTH, RDTR, RXDCTL, RADV, RSRPD, TIDV, TXDCTL, TADV, TSPMT, WUC, WUFC, WUS, IPAV,
    /// MANC.
    pub const PLAIN: [u32; 26] = [
        0x0018, 0x0028, 0x002c, 0x0030, 0x00c4, 0x0170, 0x0178, 0x0410, 0x0458, 0x0e00, 0x1000, 0x2160,
        0x2168, 0x2820, 0x2828, 0x282c, 0x2c00, 0x3820, 0x3828, 0x382c, 0x3830, 0x5800, 0x5808, 0x5810,
        0x5838, 0x5820,
    ];
}

/// Device control (§13.4.1).
pub mod ctrl {
    /// Full duplex.
    pub const FULL_DUPLEX: u32 = 1 << 0;
    /// Start over; reads as zero.
    pub const RESET: u32 = 1 << 26;
    /// VLAN tags are taken off and put in.
    pub const VLAN_MODE: u32 = 1 << 30;
    /// The PHY starts over.
    pub const PHY_RESET: u32 = 1 << 31;
}

/// Device status (§13.4.2).
pub mod status {
    /// The link is up.
    pub const LINK_UP: u32 = 1 << 1;
    /// Full duplex, 1000 Mbit/s by the PHY's word.
    pub const FIXED: u32 = 1 << 0 | 2 << 6 | 2 << 8;
}

/// EEPROM wires (§13.4.3).
pub mod eecd {
    /// Clock.
    pub const CLOCK: u32 = 1 << 0;
    /// Chip select.
    pub const SELECT: u32 = 1 << 1;
    /// Data to the EEPROM.
    pub const IN: u32 = 1 << 2;
    /// Data from it.
    pub const OUT: u32 = 1 << 3;
    /// What software writes: the wires but the last, flash write enable, and the request.
    pub const WRITABLE: u32 = 0x77;
    /// The request is granted; an EEPROM is there.
    pub const FIXED: u32 = 1 << 7 | 1 << 8;
}

/// EEPROM read (§13.4.4).
pub mod eerd {
    /// Read.
    pub const START: u32 = 1 << 0;
    /// It is done.
    pub const DONE: u32 = 1 << 4;
}

/// MDI control (§13.4.6).
pub mod mdic {
    /// Operation: write.
    pub const WRITE: u32 = 1 << 26;
    /// Operation: read.
    pub const READ: u32 = 2 << 26;
    /// It is done.
    pub const READY: u32 = 1 << 28;
    /// Interrupt when it is.
    pub const INTERRUPT: u32 = 1 << 29;
    /// There is no such PHY.
    pub const ERROR: u32 = 1 << 30;
    /// The PHY's number.
    pub const PHY: u32 = 1;
}

/// Interrupt causes (§13.4.17).
pub mod cause {
    /// Descriptors were written back.
    pub const TX_WRITTEN: u32 = 1 << 0;
    /// The transmit ring is empty.
    pub const TX_EMPTY: u32 = 1 << 1;
    /// The link went up or down.
    pub const LINK: u32 = 1 << 2;
    /// Few receive descriptors are left.
    pub const RX_LOW: u32 = 1 << 4;
    /// A frame was received.
    pub const RX_FRAME: u32 = 1 << 7;
    /// The PHY is done.
    pub const MDI: u32 = 1 << 9;
    /// All causes that exist.
    pub const ALL: u32 = 0x1_ffff;
}

/// Receive control (§13.4.22).
pub mod rctl {
    /// Frames are received.
    pub const ENABLE: u32 = 1 << 1;
    /// All of one station.
    pub const ALL_STATIONS: u32 = 1 << 3;
    /// All of groups.
    pub const ALL_GROUPS: u32 = 1 << 4;
    /// Frames of more than 1522 bytes.
    pub const LONG: u32 = 1 << 5;
    /// Shift of the part of the ring below which few descriptors are left: a half, a quarter, an eighth.
    pub const LOW_SHIFT: u32 = 8;
    /// Shift of which bits of a group's address choose.
    pub const GROUP_SHIFT: u32 = 12;
    /// Frames to all.
    pub const BROADCAST: u32 = 1 << 15;
    /// Shift of the bytes of a buffer: 2048, 1024, 512, 256.
    pub const BUFFER_SHIFT: u32 = 16;
    /// Only chosen VLANs.
    pub const VLAN_FILTER: u32 = 1 << 18;
    /// Buffers are sixteen times as long.
    pub const BUFFER_LONG: u32 = 1 << 25;
    /// The check sequence is left out.
    pub const NO_FCS: u32 = 1 << 26;
}

/// Transmit control (§13.4.33).
pub mod tctl {
    /// Frames are sent.
    pub const ENABLE: u32 = 1 << 1;
}

/// Receive checksum control (§13.4.75).
pub mod rxcsum {
    /// Checksums of IP are checked.
    pub const IP: u32 = 1 << 8;
    /// Checksums of TCP and UDP are checked.
    pub const TCP: u32 = 1 << 9;
}

/// High half of an address.
pub const ADDRESS_VALID: u32 = 1 << 31;

/// Descriptors (§3.2.3, §3.3.3 to §3.3.7).
pub mod descriptor {
    /// Bytes of one.
    pub const BYTES: u64 = 16;
    /// Offset of a transmit descriptor's status.
    pub const TX_STATUS: u64 = 12;
    /// Offset of what a receive descriptor gets.
    pub const RX_RESULT: u64 = 8;
    /// Transmit command: last of a frame.
    pub const END: u8 = 1 << 0;
    /// Legacy: put a checksum in. (Context: TCP, not UDP.)
    pub const INSERT_CHECKSUM: u8 = 1 << 2;
    /// Context: the packet is TCP.
    pub const TCP: u8 = 1 << 0;
    /// Context: the packet is IPv4, not IPv6.
    pub const IPV4: u8 = 1 << 1;
    /// Data: the frame is to be cut.
    pub const SEGMENT: u8 = 1 << 2;
    /// Write back when done.
    pub const REPORT: u8 = 1 << 3;
    /// Not legacy.
    pub const EXTENDED: u8 = 1 << 5;
    /// Put a VLAN tag in.
    pub const VLAN: u8 = 1 << 6;
    /// Kind of an extended one: data; otherwise context.
    pub const KIND_DATA: u8 = 1;
    /// Option: put the checksum of IP in.
    pub const IP_CHECKSUM: u8 = 1 << 0;
    /// Option: put the checksum of TCP or UDP in.
    pub const TCP_CHECKSUM: u8 = 1 << 1;
    /// Status: done.
    pub const DONE: u8 = 1 << 0;
    /// Receive status: last of a frame.
    pub const RX_END: u8 = 1 << 1;
    /// Receive status: checksums were not looked at.
    pub const RX_NO_CHECKSUM: u8 = 1 << 2;
    /// Receive status: a VLAN tag was taken off.
    pub const RX_VLAN: u8 = 1 << 3;
    /// Receive status: the checksum of TCP or UDP was checked.
    pub const RX_TCP: u8 = 1 << 5;
    /// Receive status: the checksum of IP was checked.
    pub const RX_IP: u8 = 1 << 6;
    /// Receive status: the address is not the card's own.
    pub const RX_INEXACT: u8 = 1 << 7;
}

/// Registers of the PHY (IEEE 802.3 clause 22, and Marvell's own).
pub mod phy {
    /// Control.
    pub const CONTROL: usize = 0;
    /// Status.
    pub const STATUS: usize = 1;
    /// Identification, high half.
    pub const ID_HIGH: usize = 2;
    /// Identification, low half.
    pub const ID_LOW: usize = 3;
    /// What is advertised.
    pub const ADVERTISED: usize = 4;
    /// What the partner can.
    pub const PARTNER: usize = 5;
    /// About negotiation.
    pub const EXPANSION: usize = 6;
    /// 1000BASE-T control.
    pub const GIGABIT_CONTROL: usize = 9;
    /// 1000BASE-T status.
    pub const GIGABIT_STATUS: usize = 10;
    /// Extended status.
    pub const EXTENDED_STATUS: usize = 15;
    /// Marvell's control.
    pub const SPECIFIC_CONTROL: usize = 16;
    /// Marvell's status.
    pub const SPECIFIC_STATUS: usize = 17;
    /// Marvell's extended control.
    pub const EXTENDED_CONTROL: usize = 20;
}
