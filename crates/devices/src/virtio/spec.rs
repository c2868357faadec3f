//! Names of "Virtual I/O Device (VIRTIO) Version 1.2".

/// PCI vendor of all virtio devices (§4.1.2).
pub const VENDOR: u16 = 0x1af4;
/// What is added to a device's kind to make its PCI number.
pub const DEVICE_BASE: u16 = 0x1040;
/// PCI revision of a device without legacy interface is 1 or more.
pub const REVISION: u8 = 1;
/// PCI subsystem of a device without legacy interface is 0x40 or more.
pub const SUBSYSTEM: u16 = 0x1100;

/// Feature bits that belong to queues and transport (§6).
pub mod feature {
    /// Chains may be in tables of their own.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Either side tells at which index it wants to be notified.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Not the legacy interface; has to be accepted.
    pub const VERSION_1: u64 = 1 << 32;
    /// Queues are packed ones.
    pub const RING_PACKED: u64 = 1 << 34;
    /// Queues can be reset one by one.
    pub const RING_RESET: u64 = 1 << 40;
    /// What the transport offers for every device.
    pub const TRANSPORT: u64 = INDIRECT_DESC | EVENT_IDX | VERSION_1 | RING_RESET;
}

/// Device status (§2.1).
pub mod status {
    /// The driver has accepted features.
    pub const FEATURES_OK: u8 = 1 << 3;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 1 << 2;
    /// The device gave up until it is reset.
    pub const NEEDS_RESET: u8 = 1 << 6;
    /// Bits that the driver sets: acknowledge, driver, driver ok, features ok, failed.
    pub const DRIVERS: u8 = 0x8f;
}

/// Interrupt status (§4.1.4.5).
pub mod isr {
    /// A queue has used buffers.
    pub const QUEUE: u8 = 1 << 0;
    /// The device's configuration or status changed.
    pub const CONFIG: u8 = 1 << 1;
}

/// Types of the vendor capabilities that say where registers are (§4.1.4).
pub mod capability {
    /// Common configuration.
    pub const COMMON: u8 = 1;
    /// Notifications.
    pub const NOTIFY: u8 = 2;
    /// Interrupt status.
    pub const ISR: u8 = 3;
    /// The device's own configuration.
    pub const DEVICE: u8 = 4;
    /// A way to the registers through configuration space.
    pub const PCI: u8 = 5;
    /// Bytes of one.
    pub const BYTES: u8 = 16;
    /// Offset of the window's number in one.
    pub const BAR: u16 = 4;
    /// Offset of the data of [`PCI`].
    pub const PCI_DATA: u16 = 16;
}

/// Offsets in the common configuration (§4.1.4.3).
pub mod common {
    /// Which 32 feature bits of the device show, 4 bytes.
    pub const DEVICE_FEATURE_SELECT: u64 = 0x00;
    /// Those bits.
    pub const DEVICE_FEATURE: u64 = 0x04;
    /// Which 32 feature bits of the driver show, 4 bytes.
    pub const DRIVER_FEATURE_SELECT: u64 = 0x08;
    /// Those bits.
    pub const DRIVER_FEATURE: u64 = 0x0c;
    /// Vector of configuration changes, 2 bytes.
    pub const CONFIG_MSIX_VECTOR: u64 = 0x10;
    /// Number of queues, 2 bytes.
    pub const NUM_QUEUES: u64 = 0x12;
    /// Device status, 1 byte; zero resets.
    pub const DEVICE_STATUS: u64 = 0x14;
    /// Changes with the device's configuration, 1 byte.
    pub const CONFIG_GENERATION: u64 = 0x15;
    /// Which queue shows below, 2 bytes.
    pub const QUEUE_SELECT: u64 = 0x16;
    /// Entries, 2 bytes; 0 for a queue that does not exist.
    pub const QUEUE_SIZE: u64 = 0x18;
    /// Vector of the queue, 2 bytes.
    pub const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    /// In use, 2 bytes.
    pub const QUEUE_ENABLE: u64 = 0x1c;
    /// Where to notify, in units of the multiplier, 2 bytes.
    pub const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    /// Address of the descriptor table, 8 bytes.
    pub const QUEUE_DESC: u64 = 0x20;
    /// Address of the ring of available chains, 8 bytes.
    pub const QUEUE_DRIVER: u64 = 0x28;
    /// Address of the ring of used chains, 8 bytes.
    pub const QUEUE_DEVICE: u64 = 0x30;
    /// One resets the queue, 2 bytes; before it is what notifications say, if that was negotiated.
    pub const QUEUE_RESET: u64 = 0x3a;
    /// Bytes of all that.
    pub const BYTES: usize = 0x3c;
}

/// No vector.
pub const NO_VECTOR: u16 = 0xffff;
/// Entries of the largest queue (§2.7, §2.8).
pub const QUEUE_SIZE_MAX: u16 = 1 << 15;

/// Descriptors: 8 bytes of address, 4 of length, and two halves (§2.7.5, §2.8.13).
pub mod descriptor {
    /// Bytes of one.
    pub const BYTES: u64 = 16;
    /// The chain goes on.
    pub const NEXT: u16 = 1 << 0;
    /// The device writes the buffer.
    pub const WRITE: u16 = 1 << 1;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 1 << 2;
    /// Packed: made available in the turn that this bit says.
    pub const AVAILABLE: u16 = 1 << 7;
    /// Packed: used in the turn that this bit says.
    pub const USED: u16 = 1 << 15;
    /// Packed: offset of the flags.
    pub const PACKED_FLAGS: u64 = 14;
}

/// The rings of a split queue (§2.7.6, §2.7.8): flags, index, entries, and where the other side wants to be notified.
pub mod split {
    /// Offset of the flags.
    pub const FLAGS: u64 = 0;
    /// Offset of the index.
    pub const INDEX: u64 = 2;
    /// Offset of the entries.
    pub const ENTRIES: u64 = 4;
    /// Bytes of an available entry.
    pub const AVAILABLE_BYTES: u64 = 2;
    /// Bytes of a used entry.
    pub const USED_BYTES: u64 = 8;
    /// Bytes of flags, index and event together.
    pub const OTHER_BYTES: u64 = 6;
    /// Flag: do not notify; in the available ring, do not interrupt.
    pub const QUIET: u16 = 1;
}

/// The event suppression areas of a packed queue (§2.8.14): position and flags, 16 bits each.
pub mod packed {
    /// Bytes of one.
    pub const EVENT_BYTES: u64 = 4;
    /// The bit of a position that tells the turn.
    pub const TURN: u16 = 1 << 15;
    /// Flags: always notify.
    pub const ENABLE: u16 = 0;
    /// Flags: never notify.
    pub const DISABLE: u16 = 1;
    /// Flags: notify at the position.
    pub const AT_POSITION: u16 = 2;
}
