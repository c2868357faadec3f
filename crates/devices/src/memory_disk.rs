//! A disk in memory for tests: it answers when the test says so.
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use platform::disk::Answer;
use platform::{DiskError, DiskOperation, DiskPort, DiskRequest, DiskShape};

type Result = std::result::Result<(), DiskError>;

/// A disk of which the test does the work.
pub(crate) struct MemoryDisk {
    pub(crate) shape: Mutex<DiskShape>,
    pub(crate) bytes: Mutex<Vec<u8>>,
    /// Everything that was asked for.
    pub(crate) operations: Mutex<Vec<DiskOperation>>,
    /// The errors of the next operations, first comes first.
    pub(crate) errors: Mutex<VecDeque<DiskError>>,
    pub(crate) drains: AtomicU32,
    waiting: Mutex<VecDeque<DiskRequest>>,
    answers: Mutex<VecDeque<(Answer, Result)>>,
    /// Held while requests are carried out, for tests in which another thread does that.
    alone: Mutex<()>,
}

impl MemoryDisk {
    /// So many bytes, counting blocks of 512: byte `n` of block `b` is `b + n`.
    pub(crate) fn new(length: u64) -> Arc<Self> {
        let shape = DiskShape { length, read_only: false, physical_block: 4096, discard_unit: Some(4096) };
        let bytes = (0..length).map(|at| (at / 512 + at % 512) as u8).collect();
        Arc::new(Self {
            shape: Mutex::new(shape),
            bytes: Mutex::new(bytes),
            operations: Mutex::default(),
            errors: Mutex::default(),
            drains: AtomicU32::new(0),
            waiting: Mutex::default(),
            answers: Mutex::default(),
            alone: Mutex::default(),
        })
    }
    /// Does and answers everything, also what answers ask for.
    pub(crate) fn pump(&self) {
        loop {
            self.work();
            let Some((answer, result)) = self.answers.lock().pop_front() else { return };
            answer(result);
        }
    }
    /// Does and answers one of the requests that wait, out of turn.
    pub(crate) fn do_one(&self, index: usize) {
        let request = self.waiting.lock().remove(index).expect("a request that waits");
        let result = self.carry_out(&request);
        (request.answer)(result);
    }
    /// What was asked for since this was last called.
    pub(crate) fn take_operations(&self) -> Vec<DiskOperation> {
        std::mem::take(&mut *self.operations.lock())
    }
    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    fn work(&self) {
        let _alone = self.alone.lock();
        let requests: Vec<_> = self.waiting.lock().drain(..).collect();
        for request in requests {
            let result = self.carry_out(&request);
            self.answers.lock().push_back((request.answer, result));
        }
    }
    fn carry_out(&self, request: &DiskRequest) -> Result {
        if let Some(error) = self.errors.lock().pop_front() {
            return Err(error);
        }
        let read_only = self.shape.lock().read_only;
        let mut bytes = self.bytes.lock();
        let span = request.buffers.all();
        let end = bytes.len();
        let check = |offset: u64, length: usize| {
            assert!(offset.is_multiple_of(512) && length.is_multiple_of(512), "{length} bytes at {offset}");
            let range = offset as usize..(offset as usize).saturating_add(length);
            let out = DiskError::OutOfRange { offset, length: length as u64 };
            if range.end <= end { Ok(range) } else { Err(out) }
        };
        match request.operation {
            DiskOperation::Read { offset } => span.put(0, &bytes[check(offset, span.len())?]),
            DiskOperation::Write { .. } if read_only => return Err(DiskError::ReadOnly),
            DiskOperation::Write { offset, .. } => span.get(0, &mut bytes[check(offset, span.len())?]),
            DiskOperation::Flush => {}
            DiskOperation::Discard { offset, length } | DiskOperation::WriteZeroes { offset, length, .. } => {
                bytes[check(offset, length as usize)?].fill(0);
            }
        }
        Ok(())
    }
}

impl DiskPort for MemoryDisk {
    fn shape(&self) -> DiskShape {
        *self.shape.lock()
    }
    fn submit(&self, request: DiskRequest) {
        self.operations.lock().push(request.operation);
        self.waiting.lock().push_back(request);
    }
    fn drain(&self) {
        self.drains.fetch_add(1, Ordering::Relaxed);
        self.work();
    }
}
