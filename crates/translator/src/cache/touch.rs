//! Memory that will be written soon: another thread has the host give it. A first touch of a page of shared memory takes as
//! long as taking a block from the store.
#![expect(unsafe_code, reason = "advises the host on a mapping of somebody else")]
use std::ops::Range;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// A thread for one mapping, which has to be there until this is dropped.
pub struct Toucher {
    /// Offsets in the mapping.
    ask: Option<Sender<Range<usize>>>,
    thread: Option<JoinHandle<()>>,
}

impl Toucher {
    /// A thread for the mapping at an address.
    pub fn new(mapping: usize) -> std::io::Result<Self> {
        let (ask, asked) = channel::<Range<usize>>();
        let body = move || {
            for range in asked {
                let start = (mapping + range.start) as *mut libc::c_void;
                // SAFETY: the pages keep what they hold. A host that does not know this (before Linux 5.14) refuses, and
                // gives the memory when it is touched.
                unsafe { libc::madvise(start, range.len(), libc::MADV_POPULATE_WRITE) };
            }
        };
        let thread = Builder::new().name("memory".into()).spawn(body)?;
        Ok(Self { ask: Some(ask), thread: Some(thread) })
    }

    /// Whole pages of the mapping will be written soon.
    pub fn touch(&self, range: Range<usize>) {
        if let Some(ask) = &self.ask {
            // There is nobody left to ask: then whoever writes touches them.
            let _ = ask.send(range);
        }
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: usize = 8;

    /// Which pages of a fresh shared mapping the host has given after these were asked for.
    fn present(ranges: &[Range<usize>]) -> [u8; PAGES] {
        let (length, flags) = (PAGES * 4096, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let mut present = [0; PAGES];
        // SAFETY: a fresh mapping, which is there until the thread has ended; `mincore` writes a byte for each page.
        unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let mapping = libc::mmap(std::ptr::null_mut(), length, rights, flags, -1, 0);
            assert_ne!(mapping, libc::MAP_FAILED);
            let toucher = Toucher::new(mapping as usize).unwrap();
            ranges.iter().for_each(|range| toucher.touch(range.clone()));
            drop(toucher);
            assert_eq!(libc::mincore(mapping, length, present.as_mut_ptr()), 0);
            libc::munmap(mapping, length);
        }
        present.map(|page| page & 1)
    }

    #[test]
    fn what_is_asked_for_is_there_when_the_thread_has_ended() {
        assert_eq!(present(&[0x2000..0x4000, 0x7000..0x8000]), [0, 0, 1, 1, 0, 0, 0, 1]);
    }
}
