//! Several operations of a disk that answer as one.
use std::sync::Arc;

use parking_lot::Mutex;
use platform::disk::Answer;
use platform::{Buffers, DiskError, DiskOperation, DiskPort, DiskRequest};

/// Operations that may be done in any order, and what comes after all of them.
pub(crate) struct Batch {
    /// Each with its own bytes.
    pub(crate) parts: Vec<(DiskOperation, Buffers)>,
    /// All of it survives the host before the batch answers.
    pub(crate) flush: bool,
}

/// What is still to come of a batch.
struct Open {
    left: usize,
    result: Result<(), DiskError>,
    done: Option<Answer>,
}

impl Batch {
    /// Asks for everything. `done` is called once, with the first error if there was one; as all answers, from another
    /// thread.
    pub(crate) fn submit(self, port: &Arc<dyn DiskPort>, done: Answer) {
        let Self { mut parts, flush } = self;
        if parts.is_empty() {
            parts.push((DiskOperation::Flush, Buffers::none()));
        }
        let done = if flush { flush_before(Arc::clone(port), done) } else { done };
        let open = Arc::new(Mutex::new(Open { left: parts.len(), result: Ok(()), done: Some(done) }));
        for (operation, buffers) in parts {
            let open = Arc::clone(&open);
            let answer: Answer = Box::new(move |result| answered(&open, result));
            port.submit(DiskRequest { operation, buffers, answer });
        }
    }
}

/// An answer that comes only once everything was flushed.
fn flush_before(port: Arc<dyn DiskPort>, done: Answer) -> Answer {
    Box::new(move |result| match result {
        Ok(()) => {
            let operation = DiskOperation::Flush;
            port.submit(DiskRequest { operation, buffers: Buffers::none(), answer: done });
        }
        Err(error) => done(Err(error)),
    })
}

fn answered(open: &Mutex<Open>, result: Result<(), DiskError>) {
    let mut open = open.lock();
    open.left = open.left.saturating_sub(1);
    if open.result.is_ok() {
        open.result = result;
    }
    if open.left == 0
        && let Some(done) = open.done.take()
    {
        let result = std::mem::replace(&mut open.result, Ok(()));
        drop(open);
        done(result);
    }
}
