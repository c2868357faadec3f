//! The memory of translated code: shared memory mapped twice, once to write and once to execute, so that no page is ever
//! both. Allocation only moves forward, segment by segment; when the last one is full, the code of one of them goes.
//!
//! Code is changed while other CPUs run it: each change is one store inside an aligned word of eight bytes, and what it
//! changes is one instruction, or a field of one, so that who fetches it gets it as it was or as it is (SDM 3A §8.1.1; AMD APM 2 §7.3.2).
#![expect(unsafe_code, reason = "maps executable memory and writes code into it")]
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::give_back;
use super::touch::Toucher;
use crate::emit::fixups::{self, Fixup};

/// Bytes that the host is asked for at once, and how far ahead of what is written.
const AHEAD: usize = 256 << 10;
/// Bytes of a jump with a 32-bit displacement.
pub const JUMP_BYTES: usize = 5;
/// Bytes that are written at once; no block is smaller.
pub const WORD: usize = 8;

/// Whether a displacement of 32 bits may be changed while other CPUs execute it, by its place in a block's host code.
pub const fn may_be_patched(place: usize) -> bool {
    place % WORD <= WORD - 4
}

/// Each block begins on a multiple of this.
const BLOCK_ALIGNMENT: usize = WORD;

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
    /// A bit for each segment that takes memory, and whether the one that is being filled took none before.
    held: u32,
    is_fresh: bool,
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
            held: 1,
            is_fresh: true,
            toucher: Toucher::new(writable as usize).ok(),
            touched: 0,
        })
    }

    /// The first address of executable memory.
    pub fn start(&self) -> u64 {
        self.executable as u64
    }
    /// The address at which the next code will run.
    pub fn next_address(&self) -> u64 {
        self.start() + self.used as u64
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
    /// Bytes of a segment.
    pub fn segment_bytes(&self) -> usize {
        self.capacity / self.segments
    }
    /// Bytes in use, those left at the ends of segments included.
    pub fn used(&self) -> usize {
        let held = (0..self.segments).filter(|segment| self.held & 1 << segment != 0);
        let all: usize = held.map(|segment| self.end_of(segment) - self.beginning_of(segment)).sum();
        if self.is_fresh { all - self.room() } else { all }
    }
    fn beginning_of(&self, segment: usize) -> usize {
        segment.checked_sub(1).map_or(0, |before| self.end_of(before))
    }
    fn start_of(&self, segment: usize) -> usize {
        let start = if segment == 0 { self.kept } else { self.beginning_of(segment) };
        start.next_multiple_of(BLOCK_ALIGNMENT)
    }
    /// The executable addresses of a segment.
    pub fn segment(&self, segment: usize) -> Range<u64> {
        self.start() + self.start_of(segment) as u64..self.start() + self.end_of(segment) as u64
    }
    /// Goes on to another segment, whose code is gone.
    pub fn go_on(&mut self, segment: usize) {
        self.segment = segment;
        self.is_fresh = self.held & 1 << segment == 0;
        self.held |= 1 << segment;
        self.used = self.start_of(self.segment);
    }
    /// A segment whose code is gone takes no memory until it is filled again.
    pub fn give_back(&mut self, segment: usize) {
        debug_assert!(segment != self.segment);
        let start = self.writable.addr();
        let unused = start + self.start_of(segment)..start + self.end_of(segment);
        // SAFETY: inside the writable mapping; nobody runs what lies there any more. Memory that is shared goes only if its
        // pages are taken out of what is mapped.
        unsafe { give_back::discard(unused, libc::MADV_REMOVE) };
        self.held &= !(1 << segment);
    }
    /// First and one-past-last address of executable memory.
    pub fn range(&self) -> Range<u64> {
        self.start()..self.start() + self.capacity as u64
    }

    /// Appends code that was assembled for [`CodeBuffer::start`], and says where it lies: on a multiple of 8. `None` if there
    /// is not enough [`CodeBuffer::room`], or if a fixup is not inside the code.
    pub fn append(&mut self, code: &[u8], fixups: &[Fixup]) -> Option<u64> {
        if code.len() > self.room() {
            return None;
        }
        // SAFETY: the writable mapping covers the capacity, of which there is so much left; nobody else borrows it, and
        // nobody runs what lies there yet.
        let place = unsafe { std::slice::from_raw_parts_mut(self.writable.add(self.used), code.len()) };
        place.copy_from_slice(code);
        fixups::put(place, fixups, self.used)?;
        let address = self.next_address();
        self.used = (self.used + code.len()).next_multiple_of(BLOCK_ALIGNMENT).min(self.end_of(self.segment));
        self.touch_ahead();
        Some(address)
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

    /// Where in the writable mapping so many bytes are that may be changed at once, by their executable address.
    fn word(&self, place: u64, bytes: usize) -> *mut u8 {
        let offset = place.wrapping_sub(self.start()) as usize;
        assert!(offset < self.capacity && offset % WORD <= WORD - bytes);
        // SAFETY: inside the writable mapping, as just checked: its capacity is a multiple of a page.
        unsafe { self.writable.add(offset) }
    }

    /// Changes the 32-bit displacement at `place` (an executable address) so that the jump it belongs to leads to `target`.
    ///
    /// # Panics
    /// Unless it [`may_be_patched`].
    pub fn patch_relative(&mut self, place: u64, target: u64) {
        let distance = target.wrapping_sub(place + 4) as u32;
        let displacement = self.word(place, 4);
        if displacement.addr().is_multiple_of(4) {
            // SAFETY: aligned memory of ours; other CPUs only execute it.
            unsafe { AtomicU32::from_ptr(displacement.cast()) }.store(distance, Ordering::Release);
            return;
        }
        let shift = 8 * (displacement.addr() % WORD) as u32;
        // SAFETY: the aligned word around it lies in the same mapping.
        let word = unsafe { AtomicU64::from_ptr(displacement.sub(displacement.addr() % WORD).cast()) };
        let others = word.load(Ordering::Relaxed) & !(u64::from(u32::MAX) << shift);
        word.store(others | u64::from(distance) << shift, Ordering::Release);
    }

    /// Puts a jump to `target` in the place of the first instruction of a block at `start` (an executable address), which is not
    /// shorter: no CPU goes on in the middle of it.
    pub fn patch_jump(&mut self, start: u64, target: u64) {
        let distance = target.wrapping_sub(start + JUMP_BYTES as u64) as u32;
        // SAFETY: aligned memory of ours; other CPUs only execute it.
        let word = unsafe { AtomicU64::from_ptr(self.word(start, WORD).cast()) };
        let jump = 0xe9 | u64::from(distance) << 8;
        let behind = word.load(Ordering::Relaxed) & u64::MAX << (8 * JUMP_BYTES as u32);
        word.store(behind | jump, Ordering::Release);
    }

    /// What was appended so far survives [`CodeBuffer::clear`].
    pub fn keep(&mut self) {
        self.kept = self.used;
    }
    /// Forgets all code but what [`CodeBuffer::keep`] kept.
    pub fn clear(&mut self) {
        (self.segment, self.used, self.is_fresh) = (0, self.kept, true);
        (1..self.segments).for_each(|segment| self.give_back(segment));
        self.touched = self.touched.min(self.end_of(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls code of that signature.
    fn call(address: u64) -> u32 {
        // SAFETY: the tests write complete functions.
        let function: extern "sysv64" fn() -> u32 = unsafe { std::mem::transmute(address) };
        function()
    }

    #[test]
    fn code_written_through_one_mapping_runs_in_the_other() {
        let mut buffer = CodeBuffer::new(1 << 20, 1).unwrap();
        let code = [0xb8, 42, 0, 0, 0, 0xc3]; // mov eax, 42; ret
        let address = buffer.append(&code, &[]).unwrap();
        assert_eq!(call(address), 42);
        buffer.clear();
        assert_eq!(buffer.append(&code, &[]), Some(address));
    }

    #[test]
    fn what_depends_on_where_code_lies_is_changed() {
        let mut buffer = CodeBuffer::new(1 << 20, 1).unwrap();
        let function = buffer.append(&[0xb8, 7, 0, 0, 0, 0xc3], &[]).unwrap(); // mov eax, 7; ret
        buffer.append(&[0x90; 100], &[]).unwrap();
        let fixup = |place| Fixup { place, kind: fixups::FixupKind::Thunk };
        // nop; jmp to the beginning of the buffer, as if this lay there.
        let jump = [0x90, 0xe9, 0xfa, 0xff, 0xff, 0xff];
        let address = buffer.append(&jump, &[fixup(2)]).unwrap();
        assert_eq!((function, call(address)), (buffer.start(), 7));
        assert_eq!(buffer.append(&jump, &[fixup(3)]), None);
        assert_eq!(buffer.append(&[0; 2 << 20], &[]), None);
    }

    #[test]
    fn jumps_are_changed_in_one_store() {
        let mut buffer = CodeBuffer::new(1 << 20, 1).unwrap();
        let functions = [1, 2].map(|value| buffer.append(&[0xb8, value, 0, 0, 0, 0xc3], &[]).unwrap());
        for nops in 0..8_usize {
            let code = [&[0x90; 7][..nops], &[0xe9, 0, 0, 0, 0]].concat();
            if !may_be_patched(nops + 1) {
                continue;
            }
            let address = buffer.append(&code, &[]).unwrap();
            for (value, function) in [1, 2].into_iter().zip(functions) {
                buffer.patch_relative(address + nops as u64 + 1, function);
                assert_eq!(call(address), value, "{nops}");
            }
        }
        let address = buffer.append(&[0xb8, 3, 0, 0, 0, 0xc3, 0xcc, 0xcc], &[]).unwrap();
        assert_eq!(call(address), 3);
        buffer.patch_jump(address, functions[1]);
        assert_eq!(call(address), 2);
        assert_eq!((0..8).filter(|place| may_be_patched(*place)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_segment_that_is_given_back_takes_no_memory() {
        let mut buffer = CodeBuffer::new(1 << 20, 4).unwrap();
        for segment in 0..3 {
            if segment != 0 {
                buffer.go_on(segment);
            }
            while buffer.append(&[0xc3; 4096], &[]).is_some() {}
        }
        let present = |buffer: &CodeBuffer| {
            let mut pages = [0_u8; 256];
            // SAFETY: `mincore` writes a byte for each page of the mapping.
            let asked = unsafe { libc::mincore(buffer.writable.cast(), 1 << 20, pages.as_mut_ptr()) };
            assert_eq!(asked, 0);
            (0..4).map(|segment| (pages[64 * segment] & 1, pages[64 * segment + 40] & 1)).collect::<Vec<_>>()
        };
        assert_eq!((present(&buffer)[1], buffer.used()), ((1, 1), 3 << 18));
        buffer.give_back(1);
        assert_eq!((present(&buffer)[..3].to_vec(), buffer.used()), (vec![(1, 1), (0, 0), (1, 1)], 2 << 18));
        buffer.go_on(1);
        let code = buffer.append(&[0xb8, 5, 0, 0, 0, 0xc3], &[]).unwrap(); // mov eax, 5; ret
        assert_eq!(call(code), 5);
    }

    #[test]
    fn segments_are_filled_one_after_the_other() {
        let mut buffer = CodeBuffer::new(1 << 20, 4).unwrap();
        buffer.append(&[0x90; 100], &[]).unwrap();
        buffer.keep();
        let ranges: Vec<_> = (0..4).map(|segment| buffer.segment(segment)).collect();
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((ranges[0].start, ranges[3].end), (buffer.start() + 104, buffer.range().end));
        for (segment, range) in ranges.iter().enumerate().cycle().skip(1).take(4) {
            buffer.go_on(segment);
            assert_eq!(buffer.room() as u64, range.end - range.start);
            assert_eq!(buffer.append(&[0x90], &[]), Some(range.start));
        }
        assert_eq!(buffer.used(), 1 << 20);
        buffer.clear();
        assert_eq!(buffer.used(), 104);
    }
}
