//! A small file that others rewrite, such as `/etc/resolv.conf`.
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at most.
const BYTES_MAX: u64 = 64 << 10;

/// The text of a file, read again when the file has changed.
#[derive(Debug)]
pub struct ResolverFile {
    path: PathBuf,
    version: Option<Version>,
    text: String,
}

/// What changes when a file is written, or another is put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ResolverFile {
    /// Where resolvers are named, by resolv.conf(5).
    pub const RESOLVERS: &str = "/etc/resolv.conf";

    /// Does not look at the file yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), version: None, text: String::new() }
    }
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// The text as it is now, and whether it changed since the last call. While the file is missing or unreadable, the
    /// text is what it last was.
    pub fn text(&mut self) -> (&str, bool) {
        let changed = self.refresh().unwrap_or(false);
        (&self.text, changed)
    }

    fn refresh(&mut self) -> std::io::Result<bool> {
        if self.version.is_some_and(|version| version_of(&self.path).is_ok_and(|now| now == version)) {
            return Ok(false);
        }
        let file = File::open(&self.path)?;
        // Asked for first: what is written in between makes the version differ the next time.
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.version = Some(version(&metadata));
        let changed = text != self.text;
        self.text = text;
        Ok(changed)
    }
}

fn version_of(path: &Path) -> std::io::Result<Version> {
    Ok(version(&std::fs::metadata(path)?))
}

fn version(metadata: &std::fs::Metadata) -> Version {
    Version {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_and_a_missing_file_is_borne() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        let mut file = ResolverFile::new(&path);
        assert_eq!(file.text(), ("", false));
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(file.text(), ("nameserver 192.0.2.1\n", true));
        assert_eq!(file.text(), ("nameserver 192.0.2.1\n", false));
        let other = directory.path().join("other");
        std::fs::write(&other, "nameserver 192.0.2.2\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(file.text(), ("nameserver 192.0.2.2\n", true));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.text(), ("nameserver 192.0.2.2\n", false));
    }
}
