//! What the process itself has in memory.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Looks at it again and again, from within a jail too.
#[derive(Debug)]
pub struct Resident {
    status: File,
}

/// Bytes of the host's file about a process; it has some 1500.
const STATUS_BYTES: usize = 4096;

impl Resident {
    /// Of this process.
    pub fn open() -> io::Result<Self> {
        Ok(Self { status: File::open("/proc/self/status")? })
    }
    /// Bytes of its own and of files that it maps; not what it maps as shared memory, as guest RAM is. None if the host does
    /// not tell (before Linux 4.5).
    pub fn bytes(&self) -> Option<u64> {
        let mut text = [0; STATUS_BYTES];
        let length = self.status.read_at(&mut text, 0).ok()?;
        of_status(&String::from_utf8_lossy(&text[..length]))
    }
}

fn of_status(text: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some((kib("RssAnon:")? + kib("RssFile:")?) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_count() {
        let text = "Name:\tgasang\nVmRSS:\t  90000 kB\nRssAnon:\t   35000 kB\nRssFile:\t    4300 kB\nRssShmem:\t 50700 kB\n";
        assert_eq!(of_status(text), Some(39_300 << 10));
        assert_eq!(of_status("Name:\tgasang\nVmRSS:\t 90000 kB\n"), None);
    }

    #[test]
    fn what_is_touched_is_seen() {
        let resident = Resident::open().unwrap();
        let before = resident.bytes().unwrap();
        let touched = vec![1_u8; 64 << 20];
        let after = resident.bytes().unwrap();
        assert!(after > before + (60 << 20), "{before} then {after} with {} more", touched.len());
    }
}
