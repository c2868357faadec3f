//! A disk's commands.
use std::sync::Arc;

use platform::{Buffers, DiskOperation, DiskPort, SavedError};
use serde::{Deserialize, Serialize};

use super::identify::{self, Identity};
use super::logs::{self, QueueError};
use super::registers::{Failure, Registers, Task};
use super::spec::{self, DEVICE_FUA, DEVICE_LBA, SECTOR, error, feature, op, signature};
use super::trim;
use crate::batch::Batch;

/// A disk with the ATA command set.
pub struct Drive {
    port: Arc<dyn DiskPort>,
    identity: Identity,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    write_cache: bool,
    /// Sectors of a block of READ and WRITE MULTIPLE; 0 before it was set.
    multiple: u8,
    queue_error: Option<QueueError>,
}

/// The saved form of a [`Drive`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDrive(State);

/// What a command leads to.
pub(crate) enum Step {
    /// It is done.
    Done(Registers),
    /// These bytes go to the host; then it is done.
    Data(Vec<u8>),
    /// The disk has to do this, with the carrier's buffers.
    Transfer(DiskOperation, Move),
    /// The disk has to do this.
    Batch(Batch),
}

/// What is moved through the carrier's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// So many bytes to the host.
    In(u32),
    /// So many bytes from the host.
    Out(u32),
}

impl State {
    const RESET: Self = Self { write_cache: true, multiple: 0, queue_error: None };
}

impl Drive {
    /// A drive after power-on.
    pub fn new(identity: Identity, port: Arc<dyn DiskPort>) -> Self {
        Self { port, identity, state: State::RESET }
    }
    /// Where its bytes are.
    pub fn port(&self) -> &Arc<dyn DiskPort> {
        &self.port
    }
    /// Back to the state after power-on.
    pub fn reset(&mut self) {
        self.state = State::RESET;
    }
    /// A reset by the link or by software: settings stay.
    pub(crate) fn link_reset(&mut self) {
        self.state.queue_error = None;
    }
    /// What is saved.
    pub fn save(&self) -> SavedDrive {
        SavedDrive(self.state.clone())
    }
    /// Takes what was saved.
    pub fn restore(&mut self, saved: SavedDrive) -> Result<(), SavedError> {
        if saved.0.multiple > spec::MULTIPLE_MAX {
            return Err(SavedError::Impossible("sectors of a multiple block"));
        }
        self.state = saved.0;
        Ok(())
    }
    /// A queued command failed: what READ LOG EXT will tell.
    pub(crate) fn queued_failed(&mut self, error: QueueError) {
        self.state.queue_error = Some(error);
    }
    /// Bytes of parameters that a command takes from the host before it can be executed.
    pub(crate) fn parameter_bytes(task: &Task) -> u32 {
        if task.command != op::DATA_SET_MANAGEMENT || task.count > spec::TRIM_BLOCKS_MAX {
            return 0;
        }
        u32::from(task.count) * SECTOR as u32
    }
    /// Takes a command, with as many parameter bytes as it wants.
    pub(crate) fn execute(&mut self, task: &Task, parameters: &[u8]) -> Result<Step, Failure> {
        match task.command {
            op::IDENTIFY => Ok(Step::Data(self.identify())),
            op::READ_LOG_EXT | op::READ_LOG_DMA_EXT => {
                logs::read(task, &mut self.state.queue_error).map(Step::Data)
            }
            op::SET_FEATURES => self.set_features(task),
            op::SET_MULTIPLE => self.set_multiple(task),
            op::DATA_SET_MANAGEMENT => self.trim(task, parameters),
            op::FLUSH_CACHE | op::FLUSH_CACHE_EXT => {
                let parts = vec![(DiskOperation::Flush, Buffers::none())];
                Ok(Step::Batch(Batch { parts, flush: false }))
            }
            op::CHECK_POWER_MODE => Ok(Step::Done(Registers { count: 0xff, ..Registers::good(task) })),
            op::READ_NATIVE_MAX | op::READ_NATIVE_MAX_EXT => Ok(Step::Done(self.last_sector(task))),
            op::EXECUTE_DIAGNOSTIC => {
                let found = Registers { error: 1, count: 1, lba: signature::DISK, ..Registers::good(task) };
                Ok(Step::Done(Registers { device: 0, ..found }))
            }
            op::RECALIBRATE
            | op::SEEK
            | op::INITIALIZE_PARAMETERS
            | op::STANDBY_IMMEDIATE
            | op::IDLE_IMMEDIATE
            | op::STANDBY
            | op::IDLE
            | op::SLEEP => Ok(Step::Done(Registers::good(task))),
            _ => self.sectors(task),
        }
    }

    /// Commands about a range of sectors.
    fn sectors(&self, task: &Task) -> Result<Step, Failure> {
        let is_multiple = matches!(
            task.command,
            op::READ_MULTIPLE
                | op::READ_MULTIPLE_EXT
                | op::WRITE_MULTIPLE
                | op::WRITE_MULTIPLE_EXT
                | op::WRITE_MULTIPLE_FUA_EXT
        );
        if is_multiple && self.state.multiple == 0 {
            return Err(Failure::aborted());
        }
        match task.command {
            op::READ_SECTORS
            | op::READ_SECTORS_ONCE
            | op::READ_SECTORS_EXT
            | op::READ_MULTIPLE
            | op::READ_MULTIPLE_EXT
            | op::READ_DMA
            | op::READ_DMA_ONCE
            | op::READ_DMA_EXT
            | op::READ_FPDMA_QUEUED => {
                let (offset, bytes) = self.range(task)?;
                Ok(Step::Transfer(DiskOperation::Read { offset }, Move::In(bytes)))
            }
            op::WRITE_SECTORS
            | op::WRITE_SECTORS_ONCE
            | op::WRITE_SECTORS_EXT
            | op::WRITE_MULTIPLE
            | op::WRITE_MULTIPLE_EXT
            | op::WRITE_DMA
            | op::WRITE_DMA_ONCE
            | op::WRITE_DMA_EXT => self.write(task, false),
            op::WRITE_DMA_FUA_EXT | op::WRITE_MULTIPLE_FUA_EXT => self.write(task, true),
            op::WRITE_FPDMA_QUEUED => self.write(task, task.device & DEVICE_FUA != 0),
            op::READ_VERIFY | op::READ_VERIFY_ONCE | op::READ_VERIFY_EXT => {
                self.range(task).map(|_| Step::Done(Registers::good(task)))
            }
            _ => Err(Failure::aborted()),
        }
    }
    fn write(&self, task: &Task, durable: bool) -> Result<Step, Failure> {
        if self.port.shape().read_only {
            return Err(Failure::new(error::ABORT | error::WRITE_PROTECTED));
        }
        let (offset, bytes) = self.range(task)?;
        let durable = durable || !self.state.write_cache;
        Ok(Step::Transfer(DiskOperation::Write { offset, durable }, Move::Out(bytes)))
    }
    /// Offset and length of a command's sectors, all of which are on the disk.
    fn range(&self, task: &Task) -> Result<(u64, u32), Failure> {
        let (sector, sectors) = task.sectors();
        let offset = sector.checked_mul(SECTOR).ok_or(Failure::new(error::NO_SECTOR))?;
        let length = sectors * SECTOR;
        self.port.shape().check(offset, length).map_err(|_| Failure::new(error::NO_SECTOR))?;
        // At most 65536 sectors.
        Ok((offset, length as u32))
    }
    fn identify(&self) -> Vec<u8> {
        let State { write_cache, multiple, .. } = self.state;
        identify::identify(&self.identity, &self.port.shape(), write_cache, multiple)
    }
    fn set_features(&mut self, task: &Task) -> Result<Step, Failure> {
        match task.features & 0xff {
            feature::WRITE_CACHE_ON => self.state.write_cache = true,
            feature::WRITE_CACHE_OFF => {
                self.state.write_cache = false;
                // What is in the cache goes out of it.
                let parts = vec![(DiskOperation::Flush, Buffers::none())];
                return Ok(Step::Batch(Batch { parts, flush: false }));
            }
            feature::TRANSFER_MODE
            | feature::LOOK_AHEAD_ON
            | feature::LOOK_AHEAD_OFF
            | feature::KEEP_SETTINGS
            | feature::LOSE_SETTINGS => {}
            _ => return Err(Failure::aborted()),
        }
        Ok(Step::Done(Registers::good(task)))
    }
    fn set_multiple(&mut self, task: &Task) -> Result<Step, Failure> {
        let sectors = task.count as u8;
        if sectors > spec::MULTIPLE_MAX || !(sectors == 0 || sectors.is_power_of_two()) {
            return Err(Failure::aborted());
        }
        self.state.multiple = sectors;
        Ok(Step::Done(Registers::good(task)))
    }
    fn trim(&self, task: &Task, parameters: &[u8]) -> Result<Step, Failure> {
        let shape = self.port.shape();
        if shape.discard_unit.is_none() || task.features & 0xff != feature::TRIM || parameters.is_empty() {
            return Err(Failure::aborted());
        }
        if shape.read_only {
            return Err(Failure::new(error::ABORT | error::WRITE_PROTECTED));
        }
        let batch = trim::trim(&shape, parameters)?;
        if batch.parts.is_empty() {
            return Ok(Step::Done(Registers::good(task)));
        }
        Ok(Step::Batch(Batch { flush: !self.state.write_cache, ..batch }))
    }
    fn last_sector(&self, task: &Task) -> Registers {
        let last = (self.port.shape().length / SECTOR).saturating_sub(1);
        let registers = Registers::good(task);
        if task.command == op::READ_NATIVE_MAX_EXT {
            return Registers { lba: last, ..registers };
        }
        let last = last.min(0x0fff_ffff);
        let device = task.device & !0xf | DEVICE_LBA | (last >> 24) as u8;
        Registers { lba: last & 0xff_ffff, device, ..registers }
    }
}
