//! Names of VirtIO 1.2 §5.6.

/// Number of the kind of device.
pub const KIND: u16 = 8;
/// PCI class: SCSI host.
pub const CLASS: u32 = 0x01_00_00;

/// Queues (§5.6.2).
pub mod queue {
    /// Task management and asynchronous notification.
    pub const CONTROL: usize = 0;
    /// Events.
    pub const EVENT: usize = 1;
    /// The first one of those that carry commands.
    pub const REQUEST: usize = 2;
}

/// Feature bits (§5.6.3).
pub mod feature {
    /// Targets come and go, and events tell.
    pub const HOTPLUG: u64 = 1 << 1;
    /// Events tell of changed parameters.
    pub const CHANGE: u64 = 1 << 2;
}

/// Offsets in the configuration (§5.6.4), 4 bytes each unless said otherwise.
pub mod config {
    /// Number of queues that carry commands.
    pub const NUM_QUEUES: usize = 0;
    /// Buffers of a command.
    pub const SEG_MAX: usize = 4;
    /// Sectors of a command.
    pub const MAX_SECTORS: usize = 8;
    /// Commands of a unit.
    pub const CMD_PER_LUN: usize = 12;
    /// Bytes of an event.
    pub const EVENT_INFO_SIZE: usize = 16;
    /// Bytes of sense data; the driver may write it.
    pub const SENSE_SIZE: usize = 20;
    /// Bytes of a command block; the driver may write it.
    pub const CDB_SIZE: usize = 24;
    /// Largest target, 2 bytes; before it is the largest channel, 2 bytes.
    pub const MAX_TARGET: usize = 30;
    /// Largest unit.
    pub const MAX_LUN: usize = 32;
    /// Bytes of all that.
    pub const BYTES: usize = 36;
    /// Bytes of sense data after reset.
    pub const SENSE_SIZE_DEFAULT: u32 = 96;
    /// Bytes of a command block after reset.
    pub const CDB_SIZE_DEFAULT: u32 = 32;
}

/// Commands (§5.6.6.1): address, tag, attribute, priority and reference number, then the command block.
pub mod request {
    /// Bytes before the command block.
    pub const HEADER_BYTES: u32 = 19;
    /// Offset of the tag, 8 bytes.
    pub const TAG: usize = 8;
    /// Bytes of a response before the sense data: length of the sense data, residual count, qualifier, status, response.
    pub const RESPONSE_BYTES: u32 = 12;
    /// Offset of the status in the response.
    pub const STATUS: usize = 10;
    /// Offset of the response's own byte.
    pub const RESPONSE: usize = 11;
}

/// What a response says.
pub mod response {
    /// The unit has taken the command; or a function is complete.
    pub const OK: u8 = 0;
    /// The buffers are too short.
    pub const OVERRUN: u8 = 1;
    /// Given up by a task management function.
    pub const ABORTED: u8 = 2;
    /// There is no such target.
    pub const BAD_TARGET: u8 = 3;
    /// Given up by a reset.
    pub const RESET: u8 = 4;
    /// A queried task is there.
    pub const FUNCTION_SUCCEEDED: u8 = 10;
    /// There is no such function.
    pub const FUNCTION_REJECTED: u8 = 11;
    /// The target has no such unit.
    pub const INCORRECT_LUN: u8 = 12;
}

/// Control requests (§5.6.6.2).
pub mod control {
    /// Type: task management.
    pub const TMF: u32 = 0;
    /// Type: which notifications are possible.
    pub const AN_QUERY: u32 = 1;
    /// Type: ask for notifications.
    pub const AN_SUBSCRIBE: u32 = 2;
    /// Bytes of a task management request: type, subtype, address, tag.
    pub const TMF_BYTES: usize = 24;
    /// Bytes of the answer to a request for notifications: which are there, and a response.
    pub const AN_ANSWER_BYTES: usize = 5;

    /// Give up one command.
    pub const ABORT_TASK: u32 = 0;
    /// Give up a unit's commands.
    pub const ABORT_TASK_SET: u32 = 1;
    /// Give up a unit's commands, whoever sent them.
    pub const CLEAR_TASK_SET: u32 = 3;
    /// Start a target over.
    pub const NEXUS_RESET: u32 = 4;
    /// Start a unit over.
    pub const UNIT_RESET: u32 = 5;
    /// Whether a command is on its way.
    pub const QUERY_TASK: u32 = 6;
    /// Whether any command of a unit is.
    pub const QUERY_TASK_SET: u32 = 7;
}

/// Events (§5.6.6.3): kind, address, reason.
pub mod event {
    /// Bytes of one.
    pub const BYTES: u32 = 16;
    /// Bit of the kind: others were lost.
    pub const MISSED: u32 = 1 << 31;
    /// Nothing but that bit.
    pub const NONE: u32 = 0;
    /// A target came, went, or was reset.
    pub const TRANSPORT_RESET: u32 = 1;
    /// A unit's parameters changed; the reason is its additional sense code and qualifier.
    pub const PARAM_CHANGE: u32 = 3;
    /// Reason: look for units.
    pub const RESCAN: u32 = 1;
    /// Reason: the unit is gone.
    pub const REMOVED: u32 = 2;
    /// Reason: the capacity changed (SPC-4: 2Ah, 09h).
    pub const CAPACITY_CHANGED: u32 = 0x092a;
}
