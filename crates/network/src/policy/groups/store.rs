//! Groups on disk: read whole, written whole, by one at a time.
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Groups;

/// Groups that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The host failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody has written nonsense.
    #[error("{} makes no sense", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

/// Groups to be changed: nobody else changes them as long as this lives.
#[derive(Debug)]
pub struct Stored {
    /// What is to be written.
    pub groups: Groups,
    path: PathBuf,
    _lock: File,
}

impl Groups {
    /// Reads a file; without one, only the group that always exists.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
        };
        let malformed = |source| StoreError::Malformed { path: path.to_owned(), source };
        let mut groups: Self = serde_json::from_slice(&text).map_err(malformed)?;
        groups.complete();
        Ok(groups)
    }
}

impl Stored {
    /// Reads a file to change it; waits for whoever else does.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock_path = path.with_extension("lock");
        let failed = |source| StoreError::Io { path: lock_path.clone(), source };
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { groups: Groups::load(path)?, path: path.to_owned(), _lock: lock })
    }
    /// Writes what was changed: the file is either the old one or the new one.
    pub fn save(&self) -> Result<(), StoreError> {
        let malformed = |source| StoreError::Malformed { path: self.path.clone(), source };
        let mut text = serde_json::to_vec_pretty(&self.groups).map_err(malformed)?;
        text.push(b'\n');
        write_whole(&self.path, &text).map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }
}

/// Replaces a file in one step.
pub(in crate::policy) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
