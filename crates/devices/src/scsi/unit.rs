//! A logical unit: its state, and the commands that every unit takes.
use std::collections::VecDeque;
use std::sync::Arc;

use platform::{DiskPort, SavedError, Span};
use serde::{Deserialize, Serialize};

use super::cdb::Cdb;
use super::sense::Sense;
use super::spec::{bit, code, key, media_event, op};
use super::transfer::{Outcome, Step};
use super::{inquiry, mode};

/// Attentions that wait at most; further ones say nothing new.
const ATTENTIONS_MAX: usize = 8;

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A disk of 512-byte blocks.
    Disk,
    /// A CD-ROM drive, whose medium comes and goes.
    CdRom,
}

/// Who a unit says it is; ASCII, cut off at the lengths of INQUIRY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// 8 characters.
    pub vendor: String,
    /// 16 characters.
    pub product: String,
    /// 4 characters.
    pub revision: String,
    /// Serial number, up to 36 characters.
    pub serial: String,
}

/// A command as it was carried to a unit.
pub struct Command<'a> {
    /// The command block; bytes after the command's end do no harm.
    pub cdb: &'a [u8],
    /// What the guest sends with it: the first 64 KiB are enough.
    pub data_out: Span<'a>,
}

/// A logical unit.
pub struct Unit {
    pub(super) kind: Kind,
    pub(super) identity: Identity,
    pub(super) medium: Option<Arc<dyn DiskPort>>,
    pub(super) state: State,
}

/// What a unit remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What the guest has not been told.
    attentions: VecDeque<(u8, u8)>,
    /// For carriers that do not deliver sense data with a command's end.
    kept: Option<Sense>,
    pub(super) write_cache: bool,
    pub(super) descriptor_sense: bool,
    /// The guest wants the medium to stay.
    pub(super) locked: bool,
    pub(super) tray_open: bool,
    /// What became of the medium since the guest last asked.
    pub(super) media_event: u8,
}

/// The saved form of a [`Unit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUnit(State);

impl State {
    fn new() -> Self {
        Self {
            attentions: VecDeque::from([code::POWER_ON]),
            kept: None,
            write_cache: true,
            descriptor_sense: false,
            locked: false,
            tray_open: false,
            media_event: media_event::NONE,
        }
    }
}

impl Unit {
    /// A disk.
    pub fn disk(identity: Identity, port: Arc<dyn DiskPort>) -> Self {
        Self { kind: Kind::Disk, identity, medium: Some(port), state: State::new() }
    }
    /// A CD-ROM drive.
    pub fn cdrom(identity: Identity, medium: Option<Arc<dyn DiskPort>>) -> Self {
        Self { kind: Kind::CdRom, identity, medium, state: State::new() }
    }
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Where its bytes are; a drive may be empty. Whoever carries commands drains it when they are given up.
    pub fn port(&self) -> Option<&Arc<dyn DiskPort>> {
        self.medium.as_ref()
    }
    /// Takes a command. The outcome of a [`Step::Transfer`] comes from its `start`.
    pub fn execute(&mut self, command: &Command<'_>) -> Step {
        let step = Cdb::new(command.cdb).and_then(|cdb| self.run(&cdb, command.data_out));
        step.unwrap_or_else(|sense| {
            let as_descriptors = self.state.descriptor_sense;
            Step::Done(Outcome::check(Sense { as_descriptors, ..sense }))
        })
    }
    /// Keeps the sense data of a command for the guest's next REQUEST SENSE. For carriers that cannot deliver it with the
    /// command, as ATAPI.
    pub fn keep_sense(&mut self, sense: Sense) {
        self.state.kept = Some(sense);
    }
    /// Power on or reset: the guest's settings are gone, and it will be told.
    pub fn reset(&mut self) {
        let State { tray_open, .. } = self.state;
        self.state = State { tray_open, ..State::new() };
    }
    /// The disk has another length now.
    pub fn capacity_changed(&mut self) {
        self.attend(code::CAPACITY_CHANGED);
    }
    /// The target has other units now.
    pub fn luns_changed(&mut self) {
        self.attend(code::LUNS_CHANGED);
    }
    /// What is saved.
    pub fn save(&self) -> SavedUnit {
        SavedUnit(self.state.clone())
    }
    /// Takes what was saved.
    pub fn restore(&mut self, saved: SavedUnit) -> Result<(), SavedError> {
        if saved.0.attentions.len() > ATTENTIONS_MAX {
            return Err(SavedError::Impossible("number of unit attentions"));
        }
        self.state = saved.0;
        Ok(())
    }

    /// Has the guest told about something.
    pub(super) fn attend(&mut self, code: (u8, u8)) {
        let attentions = &mut self.state.attentions;
        if !attentions.contains(&code) && attentions.len() < ATTENTIONS_MAX {
            attentions.push_back(code);
        }
    }
    /// The medium, if there is one to read.
    pub(super) fn ready(&self) -> Result<&Arc<dyn DiskPort>, Sense> {
        let not_ready = |code| Sense::new(key::NOT_READY, code);
        if self.state.tray_open {
            return Err(not_ready(code::TRAY_OPEN));
        }
        self.medium.as_ref().ok_or(not_ready(code::NO_MEDIUM))
    }

    fn run(&mut self, cdb: &Cdb, data_out: Span<'_>) -> Result<Step, Sense> {
        if cdb.opcode() == op::REQUEST_SENSE {
            return Ok(self.request_sense(cdb));
        }
        self.state.kept = None;
        match cdb.opcode() {
            op::INQUIRY => return inquiry::inquiry(self, cdb),
            op::REPORT_LUNS => return luns(cdb, &[0]),
            // It tells about media by itself (MMC-6 §6.6.1).
            op::GET_EVENT_STATUS if self.kind == Kind::CdRom => return self.get_event_status(cdb),
            _ => {}
        }
        if let Some(code) = self.state.attentions.pop_front() {
            return Err(Sense::attention(code));
        }
        match (cdb.opcode(), self.kind) {
            (op::TEST_UNIT_READY, _) => self.ready().map(|_| Step::good()),
            (op::RESERVE_6 | op::RELEASE_6, _) => Ok(Step::good()),
            (op::MODE_SENSE_6 | op::MODE_SENSE_10, _) => mode::sense(self, cdb),
            (op::MODE_SELECT_6 | op::MODE_SELECT_10, _) => mode::select(self, cdb, data_out),
            (op::PREVENT_ALLOW, _) => {
                self.state.locked = cdb.has(4, 1);
                Ok(Step::good())
            }
            (_, Kind::Disk) => self.disk_command(cdb, data_out),
            (_, Kind::CdRom) => self.cdrom_command(cdb),
        }
    }
    /// REQUEST SENSE (SPC-4 §6.39): what was kept, or else what waits.
    fn request_sense(&mut self, cdb: &Cdb) -> Step {
        let kept = self.state.kept.take();
        let waiting = || self.state.attentions.pop_front().map(Sense::attention);
        let sense = kept.or_else(waiting).unwrap_or(Sense::none());
        let sense = Sense { as_descriptors: cdb.has(1, bit::DESCRIPTORS), ..sense };
        Step::data(sense.bytes(), cdb.number(4, 1))
    }
}

/// What a target says for a unit that it does not have.
pub fn no_unit(cdb: &[u8], luns_of_target: &[u16]) -> Outcome {
    let step = Cdb::new(cdb).and_then(|cdb| match cdb.opcode() {
        op::INQUIRY => Ok(inquiry::nobody(&cdb)),
        op::REPORT_LUNS => luns(&cdb, luns_of_target),
        op::REQUEST_SENSE => Ok(Step::data(Sense::illegal(code::NO_UNIT).bytes(), cdb.number(4, 1))),
        _ => Err(Sense::illegal(code::NO_UNIT)),
    });
    outcome(step)
}

/// REPORT LUNS for a target with these units; `None` for other commands. A unit itself reports unit 0 alone.
pub fn report_luns(cdb: &[u8], luns_of_target: &[u16]) -> Option<Outcome> {
    let is_it = cdb.first() == Some(&op::REPORT_LUNS);
    is_it.then(|| outcome(Cdb::new(cdb).and_then(|cdb| luns(&cdb, luns_of_target))))
}

fn outcome(step: Result<Step, Sense>) -> Outcome {
    match step {
        Ok(Step::Done(outcome)) => outcome,
        Ok(Step::Transfer(_)) => Outcome::check(Sense::opcode()),
        Err(sense) => Outcome::check(sense),
    }
}

/// REPORT LUNS (SPC-4 §6.33).
fn luns(cdb: &Cdb, luns: &[u16]) -> Result<Step, Sense> {
    // No well known units.
    let luns = match cdb.byte(2) {
        0 | 2 => luns,
        1 => &[],
        _ => return Err(Sense::field(2)),
    };
    let mut bytes = ((luns.len() * 8) as u32).to_be_bytes().to_vec();
    bytes.extend([0; 4]);
    for lun in luns {
        // Numbers above 255 are in the flat form (SAM-5 §4.7.7.3).
        let form = if *lun > 0xff { 0x4000 } else { 0 };
        bytes.extend((lun & 0x3fff | form).to_be_bytes());
        bytes.extend([0; 6]);
    }
    Ok(Step::data(bytes, cdb.number(6, 4)))
}
