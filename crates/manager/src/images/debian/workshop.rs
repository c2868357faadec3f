//! Where a guest's disk is made by a process that may write to files that are given to it, but reach nothing else.
//!
//! mmdebstrap runs hooks as the root of a user namespace, which outside is none of the user's own ids but a subordinate one:
//! it may enter no directory that is the user's alone, and own files that the user could not remove. So the hooks get a
//! directory as an open descriptor, with room for what they are to write, and find it as `/proc/self/fd/N`.
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::cache::CacheError;

/// What is run and put into the guest.
pub(super) const SCRIPTS: [&str; 4] = [CUSTOMIZE, FINISH, AGENT, AGENT_SERVICE];
/// Changes the root directory of the new guest.
const CUSTOMIZE: &str = include_str!("customize.sh");
/// Makes a partition's file system of it.
const FINISH: &str = include_str!("finish.sh");
/// The program in the guest that runs commands.
const AGENT: &str = include_str!("agent.pl");
const AGENT_SERVICE: &str = include_str!("agent.service");

/// Where the only partition begins.
const PARTITION_START: u64 = 1 << 20;
/// What is left free behind it, for the second table of a GPT.
const PARTITION_TAIL: u64 = 1 << 20;

/// A directory that anyone may use who holds its descriptor, in one that nobody else may enter.
#[derive(Debug)]
pub(super) struct Workshop {
    /// Not closed by what is run.
    descriptor: OwnedFd,
    path: PathBuf,
    /// Bytes of the disk.
    disk: u64,
    private: tempfile::TempDir,
}

impl Workshop {
    /// Makes one in `parent`, with the hooks, an empty disk with a table, and room for a kernel and an initrd.
    pub(super) fn open(parent: &Path, disk: u64) -> Result<Self, CacheError> {
        let private = Permissions::from_mode(0o700);
        let private = tempfile::Builder::new().prefix(".work-").permissions(private).tempdir_in(parent);
        let private = private.map_err(CacheError::io("write to", parent))?;
        let path = private.path().join("open");
        let fill = || {
            fs::create_dir(&path)?;
            let names = ["customize.sh", "finish.sh", "agent.pl", "agent.service"];
            for (name, text) in names.into_iter().zip(SCRIPTS) {
                fs::write(path.join(name), text)?;
                fs::set_permissions(path.join(name), Permissions::from_mode(0o755))?;
            }
            make_empty_disk(&path.join("disk.raw"), disk)?;
            for name in ["vmlinuz", "initrd.img", "disk.raw"] {
                let file = File::options().create(true).append(true).open(path.join(name))?;
                file.set_permissions(Permissions::from_mode(0o666))?;
            }
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            // Without CLOEXEC.
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            Ok(rustix::fs::open(&path, flags, Mode::empty())?)
        };
        let descriptor = fill().map_err(CacheError::io("write to", &path))?;
        Ok(Self { descriptor, path, disk, private })
    }

    /// A directory that only the user may enter.
    pub(super) fn private(&self) -> &Path {
        self.private.path()
    }

    /// The hooks of mmdebstrap, which put the root of a new guest into the disk's partition, in their order.
    pub(super) fn hooks(&self) -> [String; 2] {
        let kib = (self.disk - PARTITION_START - PARTITION_TAIL) / 1024;
        let enter = format!("cd /proc/self/fd/{}", self.descriptor.as_raw_fd());
        [format!("{enter} && sh ./customize.sh \"$1\""), format!("{enter} && sh ./finish.sh \"$1\" {kib}")]
    }

    /// The raw disk.
    pub(super) fn disk(&self) -> PathBuf {
        self.path.join("disk.raw")
    }

    /// Moves what has been made into `place`, where it can be read only.
    pub(super) fn deliver(&self, name: &str, place: &Path) -> Result<(), CacheError> {
        let (made, place) = (self.path.join(name), place.join(name));
        let deliver = || {
            fs::set_permissions(&made, Permissions::from_mode(0o644))?;
            fs::rename(&made, &place)
        };
        deliver().map_err(CacheError::io("write", &place))
    }
}

/// A raw disk with a table of one partition, whose contents come later.
fn make_empty_disk(raw: &Path, length: u64) -> io::Result<()> {
    let file = File::create_new(raw)?;
    file.set_len(length)?;
    let mut table = [0; 512];
    table[446..462].copy_from_slice(&partition_entry(length));
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    file.write_all_at(&table, 0)
}

/// An entry of a master boot record's table: a Linux partition, by sectors.
fn partition_entry(length: u64) -> [u8; 16] {
    let (first, count) = (PARTITION_START / 512, (length - PARTITION_START - PARTITION_TAIL) / 512);
    let mut entry = [0; 16];
    // Cylinders, heads and sectors that say that they do not count.
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = 0x83;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&(first as u32).to_le_bytes());
    entry[12..].copy_from_slice(&(count as u32).to_le_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_partition_lies_between_the_tables() {
        let entry = partition_entry(8 << 30);
        let number = |at: usize| u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
        assert_eq!(number(8) * 512, PARTITION_START);
        assert_eq!((number(8) + number(12)) * 512, (8 << 30) - PARTITION_TAIL);
    }

    #[test]
    fn a_table_tells_of_the_partition() {
        let place = tempfile::tempdir().unwrap();
        let workshop = Workshop::open(place.path(), 64 << 20).unwrap();
        let bytes = fs::read(workshop.disk()).unwrap();
        assert_eq!((bytes.len(), &bytes[510..512], bytes[450]), (64 << 20, &[0x55, 0xaa][..], 0x83));
        assert!(make_empty_disk(&workshop.disk(), 1 << 20).is_err(), "nothing is overwritten");
    }

    #[test]
    fn who_is_given_the_directory_may_write_and_nobody_else_come_near() {
        let place = tempfile::tempdir().unwrap();
        let workshop = Workshop::open(place.path(), 64 << 20).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(workshop.private()), 0o700);
        assert_eq!(mode(&workshop.disk()), 0o666);
        let [customize, _] = workshop.hooks();
        let enter = customize.split_once(" &&").unwrap().0;
        // Another user, where this one may become one.
        let mut hook = Command::new("sh");
        if rustix::process::geteuid().is_root() {
            hook = Command::new("setpriv");
            hook.args(["--reuid=4242", "--regid=4242", "--clear-groups", "sh"]);
            let mut outside = Command::new("setpriv");
            outside.args(["--reuid=4242", "--clear-groups", "cat"]).arg(workshop.disk());
            assert!(!outside.stderr(Stdio::null()).status().unwrap().success());
        }
        let status = hook.args(["-c", &format!("{enter} && echo made > vmlinuz")]).status();
        assert!(status.unwrap().success());
        workshop.deliver("vmlinuz", place.path()).unwrap();
        let made = place.path().join("vmlinuz");
        assert_eq!((fs::read(&made).unwrap(), mode(&made)), (b"made\n".to_vec(), 0o644));
    }
}
