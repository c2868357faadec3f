//! A set of CPUs for each frame, made where needed: most frames never hold code.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Frames of one chunk: 2 MiB of RAM.
const CHUNK: u64 = 512;

type Chunk = [AtomicU32; CHUNK as usize];

/// For each frame the CPUs that have marked it, as bits.
pub struct Marks {
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

impl Marks {
    /// No marks on any of `frames` frames.
    pub fn new(frames: u64) -> Self {
        let chunks = (0..frames.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect();
        Self { chunks }
    }
    /// Who has marked a frame; nobody if there is no such frame.
    pub fn of(&self, frame: u64) -> u32 {
        let chunk = self.chunks.get((frame / CHUNK) as usize).and_then(OnceLock::get);
        chunk.map_or(0, |chunk| chunk[(frame % CHUNK) as usize].load(Ordering::SeqCst))
    }
    /// Adds marks; returns those that were there before.
    pub fn add(&self, frame: u64, bits: u32) -> u32 {
        let Some(cell) = self.chunks.get((frame / CHUNK) as usize) else { return 0 };
        let chunk = cell.get_or_init(|| Box::new([const { AtomicU32::new(0) }; CHUNK as usize]));
        chunk[(frame % CHUNK) as usize].fetch_or(bits, Ordering::SeqCst)
    }
    /// Takes marks away.
    pub fn remove(&self, frame: u64, bits: u32) {
        if let Some(chunk) = self.chunks.get((frame / CHUNK) as usize).and_then(OnceLock::get) {
            chunk[(frame % CHUNK) as usize].fetch_and(!bits, Ordering::SeqCst);
        }
    }
}
