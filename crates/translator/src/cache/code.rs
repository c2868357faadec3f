//! The memory of translated code: shared memory mapped twice, once to write and once to execute, so that no page is ever
//! both. Allocation only moves forward, segment by segment; when the last one is full, the first one's code goes.
#![expect(unsafe_code, reason = "maps executable memory and writes code into it")]
use super::touch::Toucher;

/// Bytes that the host is asked for at once, and how far ahead of what is written.
const AHEAD: usize = 256 << 10;
/// Bytes of a jump with a 32-bit displacement.
pub const JUMP_BYTES: u64 = 5;

/// A buffer of host code.
pub struct CodeBuffer {
    writable: *mut u8,
    executable: *mut u8,
    capacity: usize,
    /// Number of segments, and the one that is being filled.
    segments: usize,
    segment: usize,
    /// Where the next code goes.
    used: usize,
    /// What [`CodeBuffer::clear`] leaves in place: the thunks at the beginning.
    kept: usize,
    /// All segments were in use once since it was cleared.
    is_full: bool,
    /// Who asks the host for memory, and for how much so far.
    toucher: Option<Toucher>,
    touched: usize,
}

// SAFETY: both mappings belong to this value alone.
unsafe impl Send for CodeBuffer {}

impl Drop for CodeBuffer {
    fn drop(&mut self) {
        self.toucher = None;
        // SAFETY: both mappings were made in `new` with exactly this size.
        unsafe {
            libc::munmap(self.writable.cast(), self.capacity);
            libc::munmap(self.executable.cast(), self.capacity);
        }
    }
}

impl CodeBuffer {
    /// A buffer of `capacity` bytes in so many segments, rounded up to whole pages and to at most 1 GiB (so that any two
    /// places are within reach of a 32-bit displacement).
    pub fn new(capacity: usize, segments: usize) -> std::io::Result<Self> {
        let capacity = capacity.clamp(1 << 20, 1 << 30).next_multiple_of(4096);
        let (anywhere, flags) = (std::ptr::null_mut(), libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let writable =
            unsafe { libc::mmap(anywhere, capacity, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if writable == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: an old size of 0 makes a second mapping of the same shared pages (mremap(2)); the first one stays.
        let executable = unsafe { libc::mremap(writable, 0, capacity, libc::MREMAP_MAYMOVE) };
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the second mapping is our own and nobody uses it yet.
        let refused = executable == libc::MAP_FAILED
            || unsafe { libc::mprotect(executable, capacity, protection) } != 0;
        if refused {
            let error = std::io::Error::last_os_error();
            // SAFETY: nobody has seen the first mapping; a second one is unmapped by the end of the process.
            unsafe { libc::munmap(writable, capacity) };
            return Err(error);
        }
        let (writable, executable) = (writable.cast(), executable.cast());
        Ok(Self {
            writable,
            executable,
            capacity,
            segments,
            segment: 0,
            used: 0,
            kept: 0,
            is_full: false,
            toucher: Toucher::new(writable as usize).ok(),
            touched: 0,
        })
    }

    /// The address at which the next code will run.
    pub fn next_address(&self) -> u64 {
        self.executable as u64 + self.used as u64
    }
    /// Bytes left in the segment that is being filled.
    pub fn room(&self) -> usize {
        self.end_of(self.segment) - self.used
    }
    fn end_of(&self, segment: usize) -> usize {
        if segment + 1 == self.segments {
            self.capacity
        } else {
            self.capacity / self.segments * (segment + 1)
        }
    }
    /// From the executable mapping's beginning to [`CodeBuffer::next_address`].
    pub fn position(&self) -> usize {
        self.used
    }
    /// Bytes in use, those left at the ends of segments included.
    pub fn used(&self) -> usize {
        if self.is_full { self.capacity } else { self.used }
    }
    /// Goes on to the next segment, whose code is gone; its executable addresses.
    pub fn next_segment(&mut self) -> std::ops::Range<u64> {
        self.is_full |= self.segment + 1 == self.segments;
        self.segment = (self.segment + 1) % self.segments;
        self.used = if self.segment == 0 { self.kept } else { self.end_of(self.segment - 1) };
        self.used = self.used.next_multiple_of(16);
        let first = self.executable as u64;
        first + self.used as u64..first + self.end_of(self.segment) as u64
    }
    /// First and one-past-last address of executable memory.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.executable as u64..self.executable as u64 + self.capacity as u64
    }

    /// Appends code that was assembled for [`CodeBuffer::next_address`]; the next code begins on a multiple of 16.
    ///
    /// # Panics
    /// If there is not enough [`CodeBuffer::room`].
    pub fn append(&mut self, code: &[u8]) {
        assert!(code.len() <= self.room());
        // SAFETY: the room was just checked; the writable mapping covers the capacity.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), self.writable.add(self.used), code.len()) };
        self.used = (self.used + code.len()).next_multiple_of(16).min(self.end_of(self.segment));
        self.touch_ahead();
    }

    /// Asks the host for the memory that will be written next for the first time.
    fn touch_ahead(&mut self) {
        if self.used + AHEAD <= self.touched || self.touched == self.capacity {
            return;
        }
        let end = (self.touched + AHEAD).min(self.capacity);
        if let Some(toucher) = &self.toucher {
            toucher.touch(self.touched..end);
        }
        self.touched = end;
    }

    /// Overwrites the 32-bit displacement at `place` (an executable address) so that the jump it belongs to leads to
    /// `target`. One aligned-or-not 4-byte store; on the vCPU's own thread, between two runs of translated code.
    pub fn patch_relative(&mut self, place: u64, target: u64) {
        let offset = place.wrapping_sub(self.executable as u64) as usize;
        assert!(offset + 4 <= self.capacity);
        let distance = target.wrapping_sub(place + 4) as i32;
        // SAFETY: the place lies inside the writable mapping, as just checked.
        unsafe { self.writable.add(offset).cast::<i32>().write_unaligned(distance) };
    }

    /// Overwrites the code at `place` (an executable address) with a jump to `target`; as [`CodeBuffer::patch_relative`].
    pub fn patch_jump(&mut self, place: u64, target: u64) {
        let offset = place.wrapping_sub(self.executable as u64) as usize;
        assert!(offset + JUMP_BYTES as usize <= self.capacity);
        // SAFETY: the place lies inside the writable mapping, as just checked.
        unsafe { self.writable.add(offset).write(0xe9) };
        self.patch_relative(place + 1, target);
    }

    /// What was appended so far survives [`CodeBuffer::clear`].
    pub fn keep(&mut self) {
        self.kept = self.used;
    }
    /// Forgets all code but what [`CodeBuffer::keep`] kept.
    pub fn clear(&mut self) {
        (self.segment, self.used, self.is_full) = (0, self.kept, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_written_through_one_mapping_runs_in_the_other() {
        let mut buffer = CodeBuffer::new(1 << 20, 1).unwrap();
        let address = buffer.next_address();
        buffer.append(&[0xb8, 42, 0, 0, 0, 0xc3]); // mov eax, 42; ret
        // SAFETY: a complete function of that signature was just written there.
        let function: extern "sysv64" fn() -> u32 = unsafe { std::mem::transmute(address) };
        assert_eq!(function(), 42);
        buffer.clear();
        assert_eq!(buffer.next_address(), address);
    }

    #[test]
    fn segments_are_filled_one_after_the_other() {
        let mut buffer = CodeBuffer::new(1 << 20, 4).unwrap();
        buffer.append(&[0x90; 100]);
        buffer.keep();
        let (first, all) = (buffer.next_address(), buffer.range());
        let ranges: Vec<_> = (0..4).map(|_| buffer.next_segment()).collect();
        assert!(ranges[..3].windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((ranges[2].end, ranges[3].start, ranges[3].end), (all.end, first, ranges[0].start));
        assert_eq!((buffer.next_address(), buffer.used()), (first, 1 << 20));
        assert_eq!(buffer.room() as u64, ranges[3].end - first);
        buffer.clear();
        assert_eq!((buffer.next_address(), buffer.used()), (first, buffer.position()));
    }
}
