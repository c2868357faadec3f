//! Names of VirtIO 1.2 §5.1.

/// Number of the kind of device.
pub const KIND: u16 = 1;
/// PCI class: an Ethernet controller.
pub const CLASS: u32 = 0x02_00_00;

/// Queues of a device with one pair (§5.1.2).
pub mod queue {
    /// Buffers for frames to the driver.
    pub const RECEIVE: usize = 0;
    /// Frames of the driver.
    pub const TRANSMIT: usize = 1;
}

/// Feature bits (§5.1.3).
pub mod feature {
    /// The device completes checksums.
    pub const CSUM: u64 = 1 << 0;
    /// The driver takes frames with partial checksums.
    pub const GUEST_CSUM: u64 = 1 << 1;
    /// The driver can change its offloads later.
    pub const CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
    /// The configuration has the largest packet.
    pub const MTU: u64 = 1 << 3;
    /// The configuration has the address.
    pub const MAC: u64 = 1 << 5;
    /// The driver takes TCP over IPv4 unsegmented.
    pub const GUEST_TSO4: u64 = 1 << 7;
    /// The driver takes TCP over IPv6 unsegmented.
    pub const GUEST_TSO6: u64 = 1 << 8;
    /// The driver takes such TCP with ECN.
    pub const GUEST_ECN: u64 = 1 << 9;
    /// The device takes TCP over IPv4 unsegmented.
    pub const HOST_TSO4: u64 = 1 << 11;
    /// The device takes TCP over IPv6 unsegmented.
    pub const HOST_TSO6: u64 = 1 << 12;
    /// The device takes such TCP with ECN.
    pub const HOST_ECN: u64 = 1 << 13;
    /// A frame may take several of the driver's buffers.
    pub const MRG_RXBUF: u64 = 1 << 15;
    /// The configuration has the state of the link.
    pub const STATUS: u64 = 1 << 16;
    /// There is a queue for commands.
    pub const CTRL_VQ: u64 = 1 << 17;
    /// Commands choose which frames are received.
    pub const CTRL_RX: u64 = 1 << 18;
    /// Commands choose VLANs.
    pub const CTRL_VLAN: u64 = 1 << 19;
    /// There are more commands that choose frames.
    pub const CTRL_RX_EXTRA: u64 = 1 << 20;
    /// The driver announces itself when asked to.
    pub const GUEST_ANNOUNCE: u64 = 1 << 21;
    /// A command sets the address.
    pub const CTRL_MAC_ADDR: u64 = 1 << 23;

    /// What the driver takes off the network's hands.
    pub const GUEST_OFFLOADS: u64 = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN;
    /// What is always on offer.
    pub const OFFERED: u64 = CSUM
        | CTRL_GUEST_OFFLOADS
        | MTU
        | MAC
        | HOST_TSO4
        | HOST_TSO6
        | HOST_ECN
        | MRG_RXBUF
        | STATUS
        | CTRL_VQ
        | CTRL_RX
        | CTRL_VLAN
        | CTRL_RX_EXTRA
        | GUEST_ANNOUNCE
        | CTRL_MAC_ADDR
        | GUEST_OFFLOADS;
}

/// Offsets in the configuration (§5.1.4).
pub mod config {
    /// Address, 6 bytes.
    pub const MAC: usize = 0;
    /// State, 2 bytes.
    pub const STATUS: usize = 6;
    /// Pairs of queues, 2 bytes.
    pub const QUEUE_PAIRS: usize = 8;
    /// Largest packet, 2 bytes.
    pub const MTU: usize = 10;
    /// Bytes of all that.
    pub const BYTES: usize = 12;
}

/// The state in the configuration.
pub mod status {
    /// The link is up.
    pub const LINK_UP: u16 = 1;
    /// The driver is asked to announce itself.
    pub const ANNOUNCE: u16 = 2;
}

/// Commands (§5.1.6.5): class and command.
pub mod command {
    /// Take all frames; all with a group's address; those to one station; none to groups; none to one station; none to
    /// all. Each with a byte, on or off.
    pub const RX: u8 = 0;
    /// Of [`RX`].
    pub const RX_PROMISC: u8 = 0;
    /// Of [`RX`].
    pub const RX_ALLMULTI: u8 = 1;
    /// Of [`RX`].
    pub const RX_ALLUNI: u8 = 2;
    /// Of [`RX`].
    pub const RX_NOMULTI: u8 = 3;
    /// Of [`RX`].
    pub const RX_NOUNI: u8 = 4;
    /// Of [`RX`].
    pub const RX_NOBCAST: u8 = 5;
    /// Addresses.
    pub const MAC: u8 = 1;
    /// Two tables, each with its length in 4 bytes before it: of stations, and of groups.
    pub const MAC_TABLE_SET: u8 = 0;
    /// The device's own.
    pub const MAC_ADDR_SET: u8 = 1;
    /// VLANs: a number of 2 bytes.
    pub const VLAN: u8 = 2;
    /// Of [`VLAN`].
    pub const VLAN_ADD: u8 = 0;
    /// Of [`VLAN`].
    pub const VLAN_DEL: u8 = 1;
    /// Announcements.
    pub const ANNOUNCE: u8 = 3;
    /// The driver announces itself.
    pub const ANNOUNCE_ACK: u8 = 0;
    /// Offloads: feature bits in 8 bytes.
    pub const OFFLOADS: u8 = 5;
    /// Of [`OFFLOADS`].
    pub const OFFLOADS_SET: u8 = 0;

    /// Answer: done.
    pub const OK: u8 = 0;
    /// Answer: not done.
    pub const ERR: u8 = 1;
}
