//! What comes of a command: its outcome, or bytes to be moved first.
use std::sync::Arc;

use platform::{Buffers, DiskError, DiskOperation, DiskPort, DiskRequest};

use super::sense::Sense;
use super::spec::{code, key, status};
use crate::batch::Batch;

/// A command's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status byte ([`status`](super::status)).
    pub status: u8,
    /// With CHECK CONDITION, why.
    pub sense: Option<Sense>,
    /// What the unit itself tells: at most as many bytes as the command allows.
    pub data_in: Vec<u8>,
}

/// What a command leads to.
pub enum Step {
    /// It is done.
    Done(Outcome),
    /// The disk has to do something.
    Transfer(Transfer),
}

/// What a command moves through the carrier's own buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Nothing.
    None,
    /// So many bytes to the guest.
    In(u32),
    /// So many bytes from the guest.
    Out(u32),
}

/// Whom to tell about a command's end.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// Something that the unit's disk has to do for a command.
pub struct Transfer {
    port: Arc<dyn DiskPort>,
    work: Work,
    /// The first block, for sense data.
    block: u64,
    as_descriptors: bool,
}

pub(super) enum Work {
    /// With the carrier's buffers.
    Carried(DiskOperation, Data),
    /// With none, or with bytes of the unit.
    Own(Batch),
}

impl Outcome {
    /// Done, and these bytes are what the command asked for.
    pub(super) fn good(data_in: Vec<u8>) -> Self {
        Self { status: status::GOOD, sense: None, data_in }
    }
    /// Not done.
    pub(super) fn check(sense: Sense) -> Self {
        Self { status: status::CHECK_CONDITION, sense: Some(sense), data_in: Vec::new() }
    }
    /// Whether the command was done.
    pub fn is_good(&self) -> bool {
        self.status == status::GOOD
    }
}

impl Step {
    pub(super) fn good() -> Self {
        Self::Done(Outcome::good(Vec::new()))
    }
    /// Bytes for the guest, cut off at the allocation length.
    pub(super) fn data(mut bytes: Vec<u8>, allocation: u64) -> Self {
        bytes.truncate(usize::try_from(allocation).unwrap_or(usize::MAX));
        Self::Done(Outcome::good(bytes))
    }
}

impl Transfer {
    pub(super) fn new(port: Arc<dyn DiskPort>, work: Work, block: u64, as_descriptors: bool) -> Self {
        Self { port, work, block, as_descriptors }
    }
    /// What it moves through the carrier's buffers.
    pub fn data(&self) -> Data {
        match &self.work {
            Work::Carried(_, data) => *data,
            Work::Own(_) => Data::None,
        }
    }
    /// Has it done. `buffers` are exactly as long as [`Transfer::data`] says ([`Buffers::none`] for nothing); `done` is
    /// called once, from another thread. An error is an outcome at once: the buffers are not that long, nothing was
    /// started, and `done` is not called.
    pub fn start(self, buffers: Buffers, done: Done) -> Result<(), Outcome> {
        let Self { port, work, block, as_descriptors } = self;
        let outcome = move |result: Result<(), DiskError>, writes| match result {
            Ok(()) => Outcome::good(Vec::new()),
            Err(error) => Outcome::check(Sense { as_descriptors, ..Sense::of_error(&error, writes, block) }),
        };
        match work {
            Work::Carried(operation, data) => {
                if !data.fits(buffers.len()) {
                    let sense = Sense::new(key::ABORTED_COMMAND, code::DATA_PHASE);
                    return Err(Outcome::check(Sense { as_descriptors, ..sense }));
                }
                let writes = !matches!(operation, DiskOperation::Read { .. });
                let answer = Box::new(move |result| done(outcome(result, writes)));
                port.submit(DiskRequest { operation, buffers, answer });
            }
            Work::Own(batch) => batch.submit(&port, Box::new(move |result| done(outcome(result, true)))),
        }
        Ok(())
    }
}

impl Data {
    fn fits(self, length: usize) -> bool {
        match self {
            Self::None => length == 0,
            Self::In(bytes) | Self::Out(bytes) => length == bytes as usize,
        }
    }
}
