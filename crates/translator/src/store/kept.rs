//! The file in which stored blocks are kept from one run to the next: a header, the index, the chunks.
//!
//! It is only ever replaced as a whole, and never believed: header, index and each chunk have checksums, and one that is
//! wrong is as good as none.
use std::fs::{self, DirBuilder, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::checksum;
use super::chunk::{self, CHUNK_BYTES, CHUNKS_MOST, Chunk};
use super::index::{Index, SLOTS_MOST};

/// A kept file, open.
pub struct Kept {
    file: File,
    /// Where its chunks begin.
    start: u64,
    /// For each chunk, whether this run has read it and found it undamaged.
    used: Vec<AtomicBool>,
}

const MAGIC: [u8; 16] = *b"gasang blocks 1\n";
const HEADER_WORDS: usize = 7;
const SUFFIX: &str = "blocks";
const UNFINISHED: &str = "unfinished-";
/// Files of other versions of gasang or other hosts that stay beside one's own.
const OTHERS: usize = 1;

fn path(directory: &Path, engine: u64) -> PathBuf {
    directory.join(format!("{engine:016x}.{SUFFIX}"))
}

impl Kept {
    /// Opens the file of an engine; `None` if there is none that can be trusted.
    pub fn open(directory: &Path, engine: u64) -> Option<(Self, Index)> {
        let path = path(directory, engine);
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(&path);
        let file = file.ok()?;
        let found = read(file, engine);
        if found.is_none() {
            tracing::warn!(path = %path.display(), "kept translations are damaged or not the user's own: not used");
        }
        found
    }

    /// Number of its chunks.
    pub fn chunks(&self) -> u32 {
        self.used.len() as u32
    }
    /// Reads a chunk; `false` if it is not there or damaged.
    pub fn read(&self, number: u32, chunk: &mut Chunk) -> bool {
        let Some(used) = self.used.get(number as usize) else { return false };
        if used.load(Ordering::Relaxed) {
            return self.file.read_exact_at(chunk, self.place(number)).is_ok();
        }
        let is_whole = chunk::read(&self.file, self.place(number), chunk);
        used.store(is_whole, Ordering::Relaxed);
        is_whole
    }
    /// Reads what begins at an offset of a chunk; `None` unless this run has found that chunk undamaged.
    pub fn read_piece(&self, number: u32, offset: usize, piece: &mut [u8]) -> Option<()> {
        let place = self.place(number) + offset as u64;
        self.is_used(number).then(|| self.file.read_exact_at(piece, place).ok())?
    }
    fn place(&self, number: u32) -> u64 {
        self.start + u64::from(number) * CHUNK_BYTES as u64
    }
    /// Whether this run has read a chunk and found it undamaged.
    pub fn is_used(&self, number: u32) -> bool {
        self.used.get(number as usize).is_some_and(|used| used.load(Ordering::Relaxed))
    }
}

fn read(file: File, engine: u64) -> Option<(Kept, Index)> {
    let metadata = file.metadata().ok()?;
    // What is in it will be executed.
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    let mut header = [0; HEADER_WORDS * 8];
    file.read_exact_at(&mut header, 0).ok()?;
    let words = header.as_chunks::<8>().0;
    let word = |index: usize| u64::from_le_bytes(words[index]);
    let (chunks, slots) = (word(3), word(4));
    let fits = header.starts_with(&MAGIC)
        && word(2) == engine
        && word(6) == checksum::of(&header[..48])
        && chunks < u64::from(CHUNKS_MOST)
        && slots <= SLOTS_MOST as u64;
    let start = start_of_chunks(slots);
    if !is_own || !fits || metadata.len() < start + chunks * CHUNK_BYTES as u64 {
        return None;
    }
    let mut bytes = vec![0; slots as usize * 8];
    file.read_exact_at(&mut bytes, header.len() as u64).ok()?;
    if word(5) != checksum::of(&bytes) {
        return None;
    }
    let slots = bytes.as_chunks::<8>().0.iter().map(|slot| u64::from_le_bytes(*slot)).collect();
    let used = (0..chunks).map(|_| AtomicBool::new(false)).collect();
    Some((Kept { file, start, used }, Index::from_slots(slots)?))
}

fn start_of_chunks(slots: u64) -> u64 {
    (HEADER_WORDS as u64 * 8 + slots * 8).next_multiple_of(CHUNK_BYTES as u64)
}

/// Replaces the file of an engine. `chunk` reads a chunk of the new file; the index speaks of those.
pub fn write(
    directory: &Path,
    engine: u64,
    index: &Index,
    chunks: u32,
    mut read: impl FnMut(u32, &mut Chunk) -> bool,
) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    clear(directory, engine);
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
    let slots: Vec<u8> = index.slots().flat_map(u64::to_le_bytes).collect();
    let mut header = MAGIC.to_vec();
    for word in [engine, u64::from(chunks), index.slots().len() as u64, checksum::of(&slots)] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    let sum = checksum::of(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    file.write_all(&header)?;
    file.write_all(&slots)?;
    file.seek(SeekFrom::Start(start_of_chunks(index.slots().len() as u64)))?;
    let mut chunk = chunk::empty();
    for number in 0..chunks {
        if !read(number, &mut chunk) {
            // Nobody will believe its checksum.
            chunk.fill(0);
        }
        file.write_all(&chunk[..])?;
    }
    // Not synchronized: after a crash the checksums tell, and nothing is lost but time.
    file.persist(path(directory, engine)).map_err(|error| error.error)?;
    Ok(())
}

/// Removes what other versions left behind, but for the latest, and what a run did not finish.
fn clear(directory: &Path, engine: u64) {
    let own = path(directory, engine);
    let (mut others, mut dead) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == SUFFIX) && path != own {
            others.push((age, path));
        } else if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && age.as_secs() > 3600 {
            dead.push(path);
        }
    }
    others.sort();
    dead.extend(others.into_iter().skip(OTHERS).map(|(_, path)| path));
    for path in dead {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "cannot remove old translations");
        }
    }
}
