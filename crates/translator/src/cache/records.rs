//! Room for what describes the blocks: memory that is zero, and that the host gives only as it is touched. (The allocator
//! would touch all of it, for what has to lie on cache lines.)
#![expect(unsafe_code, reason = "maps memory for records")]
use std::ops::{Deref, Range};
use std::ptr::NonNull;

use super::give_back;
use super::record::{Details, Record};

/// What may be zero.
pub trait Zero: Sync {}
impl Zero for Record {}
impl Zero for Details {}

/// One for each block, of no blocks yet.
pub struct Records<T: Zero> {
    first: NonNull<T>,
    count: usize,
}

// SAFETY: it is as a boxed slice of them.
unsafe impl<T: Zero> Send for Records<T> {}
// SAFETY: the same.
unsafe impl<T: Zero> Sync for Records<T> {}

impl<T: Zero> Records<T> {
    /// So many.
    pub fn new(count: usize) -> std::io::Result<Self> {
        let bytes = count.max(1) * size_of::<T>();
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let first = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if first == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let first = NonNull::new(first.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { first, count })
    }
    /// Some of them take no memory until they are used again. Nobody looks at them.
    pub fn give_back(&self, range: Range<usize>) {
        let records = self[range].as_ptr_range();
        // SAFETY: all of them may be zero.
        unsafe { give_back::discard(records.start.addr()..records.end.addr(), libc::MADV_DONTNEED) };
    }
}

impl<T: Zero> Deref for Records<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has room for so many, on a page's boundary; all of them may be zero.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T: Zero> Drop for Records<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with exactly this size, and nobody borrows it any more.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.count.max(1) * size_of::<T>()) };
    }
}
