//! A command's registers, and those that a device gives back.
use platform::DiskError;
use serde::{Deserialize, Serialize};

use super::spec::{self, DEVICE_LBA, HEADS, SECTORS_PER_TRACK, error, is_queued, op, status};

/// What the host asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) command: u8,
    pub(crate) features: u16,
    pub(crate) count: u16,
    /// 48 bits.
    pub(crate) lba: u64,
    pub(crate) device: u8,
}

/// What the host sees afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registers {
    pub(crate) status: u8,
    pub(crate) error: u8,
    pub(crate) count: u16,
    pub(crate) lba: u64,
    pub(crate) device: u8,
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) error: u8,
}

/// Where a command has its address and number of sectors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 28 and 8 bits.
    Short,
    /// 48 and 16 bits.
    Long,
    /// 48 bits, and the number where others have features.
    Queued,
}

impl Task {
    /// First sector and number of sectors.
    pub(super) fn sectors(&self) -> (u64, u64) {
        let (count, whole) = match self.form() {
            Form::Short => (self.count & 0xff, 0x100),
            Form::Long => (self.count, spec::SECTORS_MAX),
            Form::Queued => (self.features, spec::SECTORS_MAX),
        };
        (self.sector(), if count == 0 { whole } else { count.into() })
    }
    /// A queued command's number.
    pub(crate) fn tag(&self) -> u8 {
        (self.count >> 3 & 0x1f) as u8
    }

    fn form(&self) -> Form {
        match self.command {
            command if is_queued(command) => Form::Queued,
            op::READ_SECTORS_EXT
            | op::READ_DMA_EXT
            | op::READ_MULTIPLE_EXT
            | op::READ_VERIFY_EXT
            | op::WRITE_SECTORS_EXT
            | op::WRITE_DMA_EXT
            | op::WRITE_MULTIPLE_EXT
            | op::WRITE_DMA_FUA_EXT
            | op::WRITE_MULTIPLE_FUA_EXT => Form::Long,
            _ => Form::Short,
        }
    }
    fn sector(&self) -> u64 {
        let head = u64::from(self.device & 0xf);
        if self.form() != Form::Short {
            self.lba
        } else if self.device & DEVICE_LBA != 0 {
            self.lba & 0xff_ffff | head << 24
        } else {
            // Cylinder, head, and sector from 1.
            let track = (self.lba >> 8 & 0xffff) * HEADS + head;
            match self.lba & 0xff {
                0 => u64::MAX,
                sector => track * SECTORS_PER_TRACK + sector - 1,
            }
        }
    }
}

impl Registers {
    /// After a command that was done.
    pub(crate) fn good(task: &Task) -> Self {
        Self { status: status::GOOD, error: 0, count: task.count, lba: task.lba, device: task.device }
    }
    /// After a command that was not done.
    pub(crate) fn failed(task: &Task, failure: Failure) -> Self {
        let Failure { status, error } = failure;
        Self { status, error, ..Self::good(task) }
    }
}

impl Failure {
    pub(super) const fn new(error: u8) -> Self {
        Self { status: status::GOOD | status::ERROR, error }
    }
    /// Not known or not possible.
    pub(crate) const fn aborted() -> Self {
        Self::new(error::ABORT)
    }
    /// What a disk's error is called (ACS-3 §6.3).
    pub(crate) fn of_error(cause: &DiskError, writes: bool) -> Self {
        match cause {
            DiskError::ReadOnly => Self::new(error::ABORT | error::WRITE_PROTECTED),
            DiskError::OutOfRange { .. } => Self::new(error::NO_SECTOR),
            DiskError::NoSpace(_) => Self::new(error::UNCORRECTABLE),
            DiskError::Damaged(_) | DiskError::Host(_) if writes => {
                Self { status: status::GOOD | status::FAULT | status::ERROR, error: error::ABORT }
            }
            DiskError::Damaged(_) | DiskError::Host(_) => Self::new(error::UNCORRECTABLE),
        }
    }
}
