//! Asking a network from other threads.
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{EventfdFlags, eventfd};

use super::Network;

/// Something to be done by the network's thread.
type Job = Box<dyn FnOnce(&mut Network) + Send>;

/// A way to the network's thread.
#[derive(Clone)]
pub struct Handle {
    jobs: Sender<Job>,
    bell: Arc<OwnedFd>,
}

/// The network's end.
pub(super) struct Wake {
    jobs: Receiver<Job>,
    bell: Arc<OwnedFd>,
}

impl Wake {
    pub(super) fn new() -> io::Result<(Self, Handle)> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, receiver) = channel();
        Ok((Self { jobs: receiver, bell: Arc::clone(&bell) }, Handle { jobs: sender, bell }))
    }
    /// What is to be done.
    pub(super) fn take(&self) -> Vec<Job> {
        // Only the count of rings is lost.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        self.jobs.try_iter().collect()
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Handle {
    /// Has something done by the network's thread, and waits for it. `None` once there is no network any more.
    pub fn ask<T: Send + 'static>(&self, what: impl FnOnce(&mut Network) -> T + Send + 'static) -> Option<T> {
        let (sender, answer) = channel();
        let job = Box::new(move |network: &mut Network| {
            // Whoever asked may have gone.
            let _ = sender.send(what(network));
        });
        self.jobs.send(job).ok()?;
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).ok()?;
        answer.recv().ok()
    }
}
