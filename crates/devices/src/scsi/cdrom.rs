//! Commands of CD-ROM drives, and their media coming and going (MMC-6).
use std::sync::Arc;

use platform::{DiskOperation, DiskPort};

use super::cdb::Cdb;
use super::sense::Sense;
use super::spec::{CDROM_BLOCK, bit, code, media_event, op};
use super::transfer::{Data, Step, Work};
use super::unit::Unit;

/// Blocks that one command reads at most: 32 MiB.
const BLOCKS_PER_TRANSFER: u64 = 0x4000;
/// READ CD, byte 9: which parts of a sector are wanted.
const USER_DATA: u8 = 0x10;
/// START STOP UNIT, byte 4: a power condition is meant.
const POWER_CONDITION: u8 = 0xf0;

impl Unit {
    /// Puts a medium into a drive, and closes its tray. The medium that was there goes.
    pub fn insert(&mut self, medium: Arc<dyn DiskPort>) {
        self.take_out();
        self.medium = Some(medium);
        self.loaded();
    }
    /// Takes the medium out of a drive, locked or not. Nothing of it is read any more once this returns.
    pub fn take_out(&mut self) -> Option<Arc<dyn DiskPort>> {
        let medium = self.medium.take()?;
        medium.drain();
        self.state.media_event = media_event::REMOVED;
        Some(medium)
    }
    /// Somebody presses the button: the tray opens, unless the guest has locked it; then the guest is asked. Returns
    /// whether it is open.
    pub fn press_eject(&mut self) -> bool {
        if self.state.locked {
            self.state.media_event = media_event::EJECT_REQUEST;
        } else {
            self.open_tray();
        }
        self.state.tray_open
    }
    /// Whether the tray is open. A medium in it comes back when the guest closes it.
    pub fn is_tray_open(&self) -> bool {
        self.state.tray_open
    }
    /// Whether the guest wants the medium to stay.
    pub fn is_locked(&self) -> bool {
        self.state.locked
    }

    pub(super) fn cdrom_command(&mut self, cdb: &Cdb) -> Result<Step, Sense> {
        match cdb.opcode() {
            op::READ_10 | op::READ_12 => self.read_blocks(cdb.blocks()),
            op::READ_CD => self.read_cd(cdb),
            op::READ_CAPACITY_10 => self.disc_capacity(),
            op::READ_TOC => self.read_toc(cdb),
            op::READ_SUBCHANNEL => self.read_subchannel(cdb),
            op::READ_DISC_INFORMATION => self.read_disc_information(cdb),
            op::READ_TRACK_INFORMATION => self.read_track_information(cdb),
            op::GET_CONFIGURATION => Ok(self.get_configuration(cdb)),
            op::MECHANISM_STATUS => Ok(self.mechanism_status(cdb)),
            op::START_STOP_UNIT => self.start_stop(cdb),
            op::SEEK_10 => self.check_blocks(cdb.number(2, 4), 0).map(|()| Step::good()),
            op::SET_CD_SPEED | op::SYNCHRONIZE_CACHE_10 => Ok(Step::good()),
            _ => Err(Sense::opcode()),
        }
    }
    /// Whole blocks of the medium.
    pub(super) fn disc_blocks(&self) -> Result<u64, Sense> {
        Ok(self.ready()?.shape().length / CDROM_BLOCK)
    }
    /// GET EVENT STATUS NOTIFICATION (MMC-6 §6.6).
    pub(super) fn get_event_status(&mut self, cdb: &Cdb) -> Result<Step, Sense> {
        // Who asks without polling wants to wait, which needs queueing that drives do not have.
        if !cdb.has(1, bit::POLLED) {
            return Err(Sense::field(1));
        }
        let supported = 1 << media_event::CLASS;
        let mut bytes = vec![0, 2, 0x80, supported];
        if cdb.has(4, supported) {
            let event = std::mem::replace(&mut self.state.media_event, media_event::NONE);
            let present = if self.medium.is_some() && !self.state.tray_open { 2 } else { 0 };
            let status = u8::from(self.state.tray_open) | present;
            bytes = vec![0, 6, media_event::CLASS, supported, event, status, 0, 0];
        }
        Ok(Step::data(bytes, cdb.number(7, 2)))
    }

    fn loaded(&mut self) {
        self.state.tray_open = false;
        if self.medium.is_some() {
            self.state.media_event = media_event::NEW_MEDIUM;
            self.attend(code::MEDIUM_CHANGED);
        }
    }
    fn open_tray(&mut self) {
        if !self.state.tray_open {
            self.state.tray_open = true;
            self.state.media_event = media_event::REMOVED;
        }
    }
    /// START STOP UNIT (MMC-6 §6.42).
    fn start_stop(&mut self, cdb: &Cdb) -> Result<Step, Sense> {
        let wants = |bit| cdb.has(4, bit);
        if wants(POWER_CONDITION) || !wants(bit::LOAD_EJECT) {
            return Ok(Step::good());
        }
        if !wants(bit::START) {
            if self.state.locked {
                return Err(Sense::illegal(code::LOCKED));
            }
            self.open_tray();
        } else if self.state.tray_open {
            self.loaded();
        }
        Ok(Step::good())
    }
    fn check_blocks(&self, block: u64, blocks: u64) -> Result<(), Sense> {
        let end = block.checked_add(blocks);
        let all = self.disc_blocks()?;
        end.filter(|end| *end <= all).map(drop).ok_or(Sense::out_of_range(block))
    }
    fn read_blocks(&self, (block, blocks): (u64, u64)) -> Result<Step, Sense> {
        self.check_blocks(block, blocks)?;
        if blocks > BLOCKS_PER_TRANSFER {
            return Err(Sense::field(6));
        }
        if blocks == 0 {
            return Ok(Step::good());
        }
        let operation = DiskOperation::Read { offset: block * CDROM_BLOCK };
        let bytes = (blocks * CDROM_BLOCK) as u32;
        self.transfer(Work::Carried(operation, Data::In(bytes)), block)
    }
    /// READ CD (MMC-6 §6.16), of the user data of whatever sectors there are.
    fn read_cd(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let (block, blocks) = (cdb.number(2, 4), cdb.number(6, 3));
        // Any type of sector, or mode 1.
        if !matches!(cdb.byte(1) >> 2 & 7, 0 | 2) {
            return Err(Sense::field(1));
        }
        match (cdb.byte(9) & 0xfe, cdb.byte(10)) {
            (0, 0) => self.check_blocks(block, blocks).map(|()| Step::good()),
            (USER_DATA, 0) => self.read_blocks((block, blocks)),
            (_, 0) => Err(Sense::field(9)),
            _ => Err(Sense::field(10)),
        }
    }
    fn disc_capacity(&self) -> Result<Step, Sense> {
        let last = self.disc_blocks()?.saturating_sub(1);
        let mut bytes = u32::try_from(last).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        bytes.extend((CDROM_BLOCK as u32).to_be_bytes());
        Ok(Step::data(bytes, 8))
    }
}
