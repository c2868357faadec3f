//! The threads that carry out what a device asks of its disk.
//!
//! Lock order: the queue's lock is a leaf; it is held neither while an image is used nor while an answer is given. An
//! answer may wait for its device's lock while that device drains the queue: so whoever drains carries out himself what
//! still waits, and leaves the answers to the workers.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use platform::disk::Answer;
use platform::{DiskBackend, DiskError, DiskOperation, DiskPort, DiskRequest, DiskShape};

/// Most requests of one disk that are carried out at once.
const WORKERS_MAX: usize = 4;
/// How long after the host's file system was full it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Whom a disk tells that its image cannot grow. Between the two calls the guest should not run: its requests wait, and
/// it would take its disk for broken.
pub trait Trouble: Send + Sync {
    /// The host's file system is full.
    fn full(&self, disk: &str);
    /// The request that met this has been carried out, or is given up.
    fn over(&self, disk: &str);
}

/// A disk's queue. Dropping it carries out what still waits, and flushes.
pub struct DiskQueue {
    shared: Arc<Shared>,
    throw_away: bool,
}

struct Shared {
    name: String,
    image: Arc<dyn DiskBackend>,
    trouble: Arc<dyn Trouble>,
    state: Mutex<State>,
    /// There is something to do, or the end has come.
    work: Condvar,
    /// Nothing is done any more, or nothing may be tried again.
    quiet: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<DiskRequest>,
    /// Carried out by a thread that may not answer.
    done: VecDeque<(Answer, Result<(), DiskError>)>,
    /// Requests whose buffers are in use.
    busy: usize,
    workers: usize,
    /// Workers with nothing to do.
    idle: usize,
    /// Threads that wait for `quiet`: until there are none, a full file system is an error.
    drains: usize,
    closed: bool,
}

impl DiskQueue {
    /// The queue of an image that users know by `name`, with one thread.
    pub fn start(
        name: &str,
        image: Arc<dyn DiskBackend>,
        throw_away: bool,
        trouble: Arc<dyn Trouble>,
    ) -> io::Result<Self> {
        let (work, quiet) = (Condvar::new(), Condvar::new());
        let shared = Shared { name: name.to_owned(), image, trouble, state: Mutex::default(), work, quiet };
        let queue = Self { shared: Arc::new(shared), throw_away };
        queue.shared.state.lock().workers = 1;
        queue.start_worker()?;
        Ok(queue)
    }
    /// One more of those that `workers` counts.
    fn start_worker(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        Builder::new().name("disk".to_owned()).spawn(move || shared.work()).map(drop)
    }
}

impl DiskPort for DiskQueue {
    fn shape(&self) -> DiskShape {
        self.shared.image.shape()
    }
    fn submit(&self, request: DiskRequest) {
        let mut state = self.shared.state.lock();
        state.waiting.push_back(request);
        if state.idle > 0 {
            // One that has been woken may not have got here yet; then another wakes for nothing.
            self.shared.work.notify_one();
        } else if state.workers < WORKERS_MAX {
            state.workers += 1;
            drop(state);
            if let Err(error) = self.start_worker() {
                tracing::warn!(%error, "a disk has fewer threads than it could use");
                self.shared.state.lock().workers -= 1;
            }
        }
    }
    fn drain(&self) {
        let mut state = self.shared.state.lock();
        state.drains += 1;
        self.shared.quiet.notify_all();
        while let Some(request) = state.waiting.pop_front() {
            let result;
            (result, state) = self.shared.carry_out_unlocked(&request, state);
            state.done.push_back((request.answer, result));
            self.shared.work.notify_one();
        }
        while state.busy > 0 {
            self.shared.quiet.wait(&mut state);
        }
        state.drains -= 1;
    }
}

impl Drop for DiskQueue {
    fn drop(&mut self) {
        self.drain();
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
        if !self.throw_away
            && let Err(error) = self.shared.image.flush()
        {
            tracing::error!(disk = self.shared.name, %error, "the disk could not be flushed at the end");
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some((answer, result)) = state.done.pop_front() {
                drop(state);
                answer(result);
                state = self.state.lock();
                continue;
            }
            let Some(request) = state.waiting.pop_front() else {
                if state.closed {
                    return;
                }
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
                continue;
            };
            let result;
            (result, state) = self.carry_out_unlocked(&request, state);
            drop(state);
            (request.answer)(result);
            state = self.state.lock();
        }
    }
    /// Does what is asked, while others may use the queue.
    fn carry_out_unlocked<'a>(
        &'a self,
        request: &DiskRequest,
        mut state: MutexGuard<'a, State>,
    ) -> (Result<(), DiskError>, MutexGuard<'a, State>) {
        state.busy += 1;
        drop(state);
        let result = self.carry_out(request);
        state = self.state.lock();
        state.busy -= 1;
        if state.drains > 0 && state.busy == 0 {
            self.quiet.notify_all();
        }
        (result, state)
    }

    /// Does what is asked, again and again while the host has no room.
    fn carry_out(&self, request: &DiskRequest) -> Result<(), DiskError> {
        let mut full = false;
        let result = loop {
            match self.try_once(request) {
                // Whoever drains may have a device's lock, and troubles nobody.
                Err(DiskError::NoSpace(error)) if self.state.lock().drains > 0 => {
                    break Err(DiskError::NoSpace(error));
                }
                Err(DiskError::NoSpace(error)) => {
                    if !std::mem::replace(&mut full, true) {
                        tracing::warn!(disk = self.name, %error, "the host has no room for a disk");
                        self.trouble.full(&self.name);
                    }
                    if !self.wait_for_room() {
                        break Err(DiskError::NoSpace(error));
                    }
                }
                result => break result,
            }
        };
        if full {
            self.trouble.over(&self.name);
        }
        result
    }
    /// Whether to try again.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        if state.drains == 0 {
            self.quiet.wait_for(&mut state, TRY_AGAIN);
        }
        state.drains == 0
    }
    fn try_once(&self, request: &DiskRequest) -> Result<(), DiskError> {
        match request.operation {
            DiskOperation::Read { offset } => self.image.read(offset, request.buffers.all()),
            DiskOperation::Write { offset, durable } => {
                self.image.write(offset, request.buffers.all())?;
                if durable { self.image.flush() } else { Ok(()) }
            }
            DiskOperation::Flush => self.image.flush(),
            DiskOperation::Discard { offset, length } => self.image.discard(offset, length),
            DiskOperation::WriteZeroes { offset, length, free } => {
                self.image.write_zeroes(offset, length, free)
            }
        }
    }
}

#[cfg(test)]
mod tests;
