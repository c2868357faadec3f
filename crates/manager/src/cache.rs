//! Files that are either whole or not there.
//!
//! A file is written beside its place, synced, and renamed. A stamp beside it holds its length and checksum, so that
//! a file cut short or changed later is noticed and made anew.
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A directory with files that can be made again at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No place for it: neither `XDG_CACHE_HOME` nor `HOME` names one.
    #[error("there is no cache directory: neither XDG_CACHE_HOME nor HOME is set to an absolute path")]
    NoHome,
    /// Creating, writing or reading failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The host's reason.
        source: io::Error,
    },
}

impl CacheError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Held while the cache is changed; other processes wait. Ends with the value.
#[derive(Debug)]
pub struct CacheLock {
    _file: File,
}

/// Where gasang may keep what it can make again: `$XDG_CACHE_HOME/gasang`, or below `~/.cache`.
pub fn of_user() -> Option<PathBuf> {
    // The XDG base directory specification: a relative path is to be ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(base?.join("gasang"))
}

impl Cache {
    /// The cache at `root`; nothing is created yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The user's own: `$XDG_CACHE_HOME/gasang/guests`, or below `~/.cache`.
    pub fn of_user() -> Result<Self, CacheError> {
        Ok(Self::at(of_user().ok_or(CacheError::NoHome)?.join("guests")))
    }

    /// Where the cache is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Creates the directory if need be and waits until no other process changes it; calls `waiting` if one does.
    pub fn lock(&self, waiting: impl FnOnce()) -> Result<CacheLock, CacheError> {
        fs::create_dir_all(&self.root).map_err(CacheError::io("create the cache directory", &self.root))?;
        let path = self.path("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(CacheError::io("write to the cache directory's", &path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            waiting();
        }
        file.lock().map_err(CacheError::io("lock", &path))?;
        Ok(CacheLock { _file: file })
    }

    /// The path of a file if it is there, whole and unchanged since [`Cache::store`].
    pub fn find(&self, relative: &str) -> Option<PathBuf> {
        let path = self.path(relative);
        let stamp = fs::read_to_string(stamp_path(&path)).ok()?;
        (Stamp::of_file(&path).ok()?.text() == stamp).then_some(path)
    }

    /// Writes a file and its stamp; a reader sees the old or the new contents, never a part.
    pub fn store(&self, relative: &str, contents: &[u8]) -> Result<PathBuf, CacheError> {
        let path = self.path(relative);
        replace(&path, contents)?;
        replace(&stamp_path(&path), Stamp::of(contents).text().as_bytes())?;
        Ok(path)
    }
}

/// Writes a file beside its place and renames it over.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), CacheError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(CacheError::io("create", directory))?;
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(io::Error::from)?;
        Ok(())
    };
    write().map_err(CacheError::io("write", path))
}

/// FNV-1a of some bytes: the names of what is made are made of it, so it stays as it is.
pub fn checksum(bytes: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

fn stamp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".stamp");
    PathBuf::from(name)
}

/// Length and CRC-32: enough against accidents, no defence against an attacker with write access.
#[derive(Default)]
struct Stamp {
    bytes: u64,
    sum: crc32fast::Hasher,
}

impl Stamp {
    fn of(contents: &[u8]) -> Self {
        let mut stamp = Self::default();
        stamp.add(contents);
        stamp
    }

    fn add(&mut self, contents: &[u8]) {
        self.sum.update(contents);
        self.bytes += contents.len() as u64;
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut stamp = Self::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(stamp),
                length => stamp.add(&buffer[..length]),
            }
        }
    }

    fn text(self) -> String {
        format!("{} {:08x}\n", self.bytes, self.sum.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_as_they_are() {
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_was_stored_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        assert_eq!(cache.find("a/b"), None);
        let path = cache.store("a/b", b"contents").unwrap();
        assert_eq!(cache.find("a/b"), Some(path.clone()));
        assert_eq!(fs::read(path).unwrap(), b"contents");
    }

    #[test]
    fn a_changed_or_shortened_file_is_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let path = cache.store("kernel", b"contents").unwrap();
        fs::write(&path, b"contentz").unwrap();
        assert_eq!(cache.find("kernel"), None);
        fs::write(&path, b"cont").unwrap();
        assert_eq!(cache.find("kernel"), None);
        cache.store("kernel", b"contents").unwrap();
        assert!(cache.find("kernel").is_some());
    }

    #[test]
    fn who_waits_for_the_lock_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let held = cache.lock(|| panic!("nobody holds it")).unwrap();
        let mut held = Some(held);
        drop(cache.lock(|| drop(held.take())).unwrap());
        assert!(held.is_none());
    }

    #[test]
    fn nothing_half_written_stays() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        fs::create_dir(cache.path("taken")).unwrap();
        assert!(cache.store("taken", b"contents").is_err());
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["taken"]);
    }
}
