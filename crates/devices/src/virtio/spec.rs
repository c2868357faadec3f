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
    /// What the transport offers for every device.
    pub const TRANSPORT: u64 = INDIRECT_DESC | EVENT_IDX | VERSION_1;
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
    /// Bytes of all that.
    pub const BYTES: usize = 0x38;
}

/// No vector.
pub const NO_VECTOR: u16 = 0xffff;
/// Available ring, first word: the driver wants no interrupt (§2.7.6).
pub const AVAIL_NO_INTERRUPT: u16 = 1;
