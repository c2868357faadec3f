//! Memory that disks and cables read into and write from: ranges of guest RAM, or bytes of our own.
#![expect(
    unsafe_code,
    reason = "moves bytes between descriptors and memory that the guest may write meanwhile"
)]
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use smallvec::SmallVec;
use vm_memory::bitmap::Bitmap;
use x86::Gpa;

use crate::GuestRam;

/// Pieces that one system call takes.
const PIECES_PER_CALL: usize = 1024;
/// Pieces that are listed without an allocation.
const VECTORS_INLINE: usize = 24;

/// A list of memory ranges, which is one run of bytes for a disk or a frame. No reference to guest memory is ever made: bytes move
/// by the kernel or by copies.
pub struct Buffers {
    pieces: Vec<Piece>,
    length: usize,
    owner: Owner,
}

/// A range of memory that the owner keeps alive.
#[derive(Clone, Copy)]
struct Piece {
    pointer: *mut u8,
    length: usize,
    /// Where it is in guest RAM.
    address: u64,
}

enum Owner {
    Nobody,
    Ram(GuestRam),
    /// Bytes of our own; `pieces` points to them.
    Own(Box<[u8]>),
}

// SAFETY: a piece points to guest RAM, which is shared memory by nature, or to bytes that belong to the buffers alone.
unsafe impl Send for Buffers {}
// SAFETY: guest RAM is written by anybody at any time. Bytes of our own are written through `&self` by `Span` only, and
// read by `Buffers::into_bytes`, which has the buffers for itself; two spans that write at once race for plain bytes,
// through raw pointers.
unsafe impl Sync for Buffers {}

impl Buffers {
    /// No bytes.
    pub fn none() -> Self {
        Self { pieces: Vec::new(), length: 0, owner: Owner::Nobody }
    }
    /// Ranges of guest RAM, in order; `None` if one is not all RAM, or all together are 2 GiB or more.
    pub fn of_ram(ram: &GuestRam, ranges: impl IntoIterator<Item = (Gpa, u32)>) -> Option<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut length = 0_usize;
        for (address, bytes) in ranges {
            let pointer = ram.host_address(address, bytes.into())?;
            length += bytes as usize;
            match pieces.last_mut() {
                Some(last) if last.address + last.length as u64 == address.0 => last.length += bytes as usize,
                _ if bytes == 0 => {}
                _ => pieces.push(Piece { pointer, length: bytes as usize, address: address.0 }),
            }
        }
        let fits = length <= i32::MAX as usize;
        fits.then(|| Self { pieces, length, owner: Owner::Ram(ram.clone()) })
    }
    /// Bytes of our own.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        let mut own = bytes.into_boxed_slice();
        let piece = Piece { pointer: own.as_mut_ptr(), length: own.len(), address: 0 };
        Self { pieces: vec![piece], length: own.len(), owner: Owner::Own(own) }
    }
    /// The bytes, copied out of guest RAM if they are there.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.owner {
            Owner::Own(own) => own.into_vec(),
            _ => {
                let mut bytes = vec![0; self.length];
                self.all().get(0, &mut bytes);
                bytes
            }
        }
    }
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.length
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// All of them.
    pub fn all(&self) -> Span<'_> {
        Span { buffers: self, start: 0, length: self.length }
    }
    /// Some of them; cut off at the end.
    pub fn part(&self, range: Range<usize>) -> Span<'_> {
        self.all().part(range)
    }

    /// The pieces that make up a range, each with its offset from the range's start.
    fn pieces_of(&self, start: usize, length: usize) -> impl Iterator<Item = (usize, Piece)> + '_ {
        let end = start + length;
        let mut at = 0;
        self.pieces.iter().filter_map(move |piece| {
            let (first, last) = (at.max(start), (at + piece.length).min(end));
            let skip = first.saturating_sub(at);
            at += piece.length;
            let length = last.checked_sub(first).filter(|length| *length > 0)?;
            // SAFETY: `skip` plus `length` is within the piece.
            let pointer = unsafe { piece.pointer.add(skip) };
            Some((first - start, Piece { pointer, length, address: piece.address + skip as u64 }))
        })
    }
    /// Says that bytes of guest RAM were written.
    fn written(&self, piece: Piece) {
        if let Owner::Ram(ram) = &self.owner {
            ram.watch().mark_dirty(piece.address as usize, piece.length);
        }
    }
}

/// A part of [`Buffers`].
#[derive(Clone, Copy)]
pub struct Span<'a> {
    buffers: &'a Buffers,
    start: usize,
    length: usize,
}

impl<'a> Span<'a> {
    /// Pieces that a message can have.
    pub const PIECES_MAX: usize = PIECES_PER_CALL - 4;

    /// Bytes.
    pub fn len(&self) -> usize {
        self.length
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// A part; cut off at the end.
    pub fn part(&self, range: Range<usize>) -> Span<'a> {
        let start = range.start.min(self.length);
        let end = range.end.clamp(start, self.length);
        Span { buffers: self.buffers, start: self.start + start, length: end - start }
    }
    /// Puts bytes into memory, as many as fit from `at` on.
    pub fn put(&self, at: usize, bytes: &[u8]) {
        let room = self.length.saturating_sub(at).min(bytes.len());
        for (offset, piece) in self.buffers.pieces_of(self.start + at.min(self.length), room) {
            let from = &bytes[offset..offset + piece.length];
            // SAFETY: the piece is that long, and the owner keeps it.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), piece.pointer, piece.length) };
            self.buffers.written(piece);
        }
    }
    /// Copies bytes out of memory, as many as there are from `at` on.
    pub fn get(&self, at: usize, bytes: &mut [u8]) {
        let room = self.length.saturating_sub(at).min(bytes.len());
        for (offset, piece) in self.buffers.pieces_of(self.start + at.min(self.length), room) {
            let to = &mut bytes[offset..offset + piece.length];
            // SAFETY: the piece is that long, and the owner keeps it; what is copied may change meanwhile.
            unsafe { std::ptr::copy_nonoverlapping(piece.pointer, to.as_mut_ptr(), piece.length) };
        }
    }
    /// All bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.get(0, &mut bytes);
        bytes
    }
    /// Makes all bytes the same.
    pub fn fill(&self, byte: u8) {
        for (_, piece) in self.buffers.pieces_of(self.start, self.length) {
            // SAFETY: the piece is that long, and the owner keeps it.
            unsafe { std::ptr::write_bytes(piece.pointer, byte, piece.length) };
            self.buffers.written(piece);
        }
    }
    /// Whether all bytes are zero.
    pub fn is_zero(&self) -> bool {
        let mut block = [0; 4096];
        (0..self.length).step_by(block.len()).all(|at| {
            let block = &mut block[..self.length.saturating_sub(at).min(4096)];
            self.get(at, block);
            block.iter().all(|byte| *byte == 0)
        })
    }

    /// Fills the span with a file's bytes from `offset` on; what is beyond the file's end is zeros.
    pub fn read_from(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < self.length {
            let vectors = self.vectors(done);
            let at = file_offset(offset, done)?;
            // SAFETY: every vector is a piece of memory that the owner keeps.
            let result =
                unsafe { libc::preadv(file.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32, at) };
            match check(result)? {
                Some(0) => {
                    self.part(done..self.length).fill(0);
                    return Ok(());
                }
                Some(count) => {
                    for (_, piece) in self.buffers.pieces_of(self.start + done, count) {
                        self.buffers.written(piece);
                    }
                    done += count;
                }
                None => {}
            }
        }
        Ok(())
    }
    /// Puts the span into a file at `offset`.
    pub fn write_to(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < self.length {
            let vectors = self.vectors(done);
            let at = file_offset(offset, done)?;
            // SAFETY: every vector is a piece of memory that the owner keeps.
            let result =
                unsafe { libc::pwritev(file.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32, at) };
            match check(result)? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => done += count,
                None => {}
            }
        }
        Ok(())
    }

    /// Sends a message that is `head` and then the span, by one call. An error if the span has more pieces than one call
    /// takes, which is [`Span::PIECES_MAX`], or the descriptor takes none of it now.
    pub fn send_behind(&self, head: [&[u8]; 2], to: BorrowedFd<'_>) -> io::Result<()> {
        let mut vectors: SmallVec<[libc::iovec; VECTORS_INLINE]> = SmallVec::new();
        vectors.extend(
            head.iter()
                .filter(|part| !part.is_empty())
                .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() }),
        );
        self.add_vectors(&mut vectors, Self::PIECES_MAX + 1);
        loop {
            // SAFETY: every vector is a slice of the caller's or a piece of memory that the owner keeps; they are only read.
            let result = unsafe { libc::writev(to.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32) };
            match check(result)? {
                Some(count) if count == head[0].len() + head[1].len() + self.length => return Ok(()),
                Some(_) => return Err(io::ErrorKind::WriteZero.into()),
                None => {}
            }
        }
    }
    /// Takes a message: its first bytes go to `head`, further ones into the span (as much of it as has
    /// [`Span::PIECES_MAX`] pieces), the rest to `spare`. Returns the message's bytes in all and how many of them are in
    /// the span.
    pub fn receive_behind(
        &self,
        head: &mut [u8],
        spare: &mut [u8],
        from: BorrowedFd<'_>,
    ) -> io::Result<(usize, usize)> {
        let (head_bytes, spare_bytes) = (head.len(), spare.len());
        let mut vectors: SmallVec<[libc::iovec; VECTORS_INLINE]> = SmallVec::new();
        vectors.push(libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: head_bytes });
        let room = self.add_vectors(&mut vectors, Self::PIECES_MAX);
        vectors.push(libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare_bytes });
        let count = loop {
            // SAFETY: every vector is a slice of the caller's alone or a piece of memory that the owner keeps.
            let result = unsafe { libc::readv(from.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32) };
            if let Some(count) = check(result)? {
                break count;
            }
        };
        let inside = count.saturating_sub(head_bytes).min(room);
        for (_, piece) in self.buffers.pieces_of(self.start, inside) {
            self.buffers.written(piece);
        }
        Ok((count, inside))
    }

    fn vectors(&self, done: usize) -> SmallVec<[libc::iovec; VECTORS_INLINE]> {
        let mut vectors = SmallVec::new();
        self.part(done..self.length).add_vectors(&mut vectors, PIECES_PER_CALL);
        vectors
    }
    /// Adds the first pieces, up to `most`; returns their bytes.
    fn add_vectors(&self, vectors: &mut SmallVec<[libc::iovec; VECTORS_INLINE]>, most: usize) -> usize {
        let mut bytes = 0;
        vectors.extend(self.buffers.pieces_of(self.start, self.length).take(most).map(|(_, piece)| {
            bytes += piece.length;
            libc::iovec { iov_base: piece.pointer.cast(), iov_len: piece.length }
        }));
        bytes
    }
}

fn file_offset(offset: u64, done: usize) -> io::Result<libc::off_t> {
    let at = offset.checked_add(done as u64).and_then(|at| libc::off_t::try_from(at).ok());
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Bytes moved; `None` if a signal came first.
fn check(result: libc::ssize_t) -> io::Result<Option<usize>> {
    match usize::try_from(result) {
        Ok(count) => Ok(Some(count)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests;
