//! A disk that answers when a test says so.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::disk::Answer;
use platform::{DiskError, DiskOperation, DiskPort, DiskRequest, DiskShape};

/// Requests wait in it.
pub struct FakeDisk {
    pub shape: Mutex<DiskShape>,
    pub bytes: Mutex<Vec<u8>>,
    waiting: Mutex<Vec<DiskRequest>>,
    /// Those whose buffers will not be touched any more.
    drained: Mutex<Vec<Answer>>,
}

impl FakeDisk {
    pub fn new(shape: DiskShape) -> Arc<Self> {
        let bytes = Mutex::new(vec![0; shape.length as usize]);
        let shape = Mutex::new(shape);
        Arc::new(Self { shape, bytes, waiting: Mutex::default(), drained: Mutex::default() })
    }
    pub fn of_sectors(sectors: u64) -> Arc<Self> {
        Self::new(DiskShape {
            length: sectors * 512,
            read_only: false,
            physical_block: 4096,
            discard_unit: Some(4096),
        })
    }
    /// What waits.
    pub fn operations(&self) -> Vec<DiskOperation> {
        self.waiting.lock().iter().map(|request| request.operation).collect()
    }
    /// Does one of the requests that wait.
    pub fn do_one(&self, index: usize) {
        let request = self.waiting.lock().remove(index);
        self.perform(&request);
        (request.answer)(Ok(()));
    }
    /// Does all that wait, and what they lead to.
    pub fn do_all(&self) {
        while !self.waiting.lock().is_empty() {
            self.do_one(0);
        }
    }
    pub fn fail_one(&self) {
        let request = self.waiting.lock().remove(0);
        (request.answer)(Err(DiskError::Damaged("by a test".to_owned())));
    }
    /// Answers of what was drained.
    pub fn answer_drained(&self) {
        let answers = std::mem::take(&mut *self.drained.lock());
        answers.into_iter().for_each(|answer| answer(Ok(())));
    }

    fn perform(&self, request: &DiskRequest) {
        let mut bytes = self.bytes.lock();
        let length = request.buffers.len();
        match request.operation {
            DiskOperation::Read { offset } => {
                request.buffers.all().put(0, &bytes[offset as usize..][..length]);
            }
            DiskOperation::Write { offset, durable: _ } => {
                request.buffers.all().get(0, &mut bytes[offset as usize..][..length]);
            }
            DiskOperation::WriteZeroes { offset, length, .. } | DiskOperation::Discard { offset, length } => {
                bytes[offset as usize..][..length as usize].fill(0);
            }
            DiskOperation::Flush => {}
        }
    }
}

impl DiskPort for FakeDisk {
    fn shape(&self) -> DiskShape {
        *self.shape.lock()
    }
    fn submit(&self, request: DiskRequest) {
        self.waiting.lock().push(request);
    }
    fn drain(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        self.drained.lock().extend(waiting.into_iter().map(|request| request.answer));
    }
}
