//! Initramfs archives: the "newc" cpio format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
use std::io::{self, Write};

/// File type and permission bits of a directory that everybody may read.
pub const DIRECTORY: u32 = 0o040_755;
/// File type and permission bits of a program.
pub const PROGRAM: u32 = 0o100_755;
/// File type and permission bits of a plain file.
pub const FILE: u32 = 0o100_644;
/// File type and permission bits of a symbolic link; its contents are the target.
pub const SYMLINK: u32 = 0o120_777;
/// File type and permission bits of a character device that only root may use.
pub const CHARACTER_DEVICE: u32 = 0o020_600;

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// Writes entries one after the other. All belong to root and carry time 0, so that equal inputs give equal archives.
pub struct Writer<W: Write> {
    output: W,
    next_inode: u32,
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    contents: &'a [u8],
    device: (u32, u32),
}

impl<W: Write> Writer<W> {
    /// An archive without entries.
    pub fn new(output: W) -> Self {
        Self { output, next_inode: 1 }
    }

    /// Adds a file, directory (without contents) or symbolic link. `name` has no leading slash; directories come
    /// before what is in them.
    pub fn add(&mut self, name: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        self.entry(&Entry { name, mode, contents, device: (0, 0) })
    }

    /// Adds a character device with its major and minor number.
    pub fn add_device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.entry(&Entry { name, mode: CHARACTER_DEVICE, contents: &[], device: (major, minor) })
    }

    /// Ends the archive and returns what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.next_inode = 0;
        self.entry(&Entry { name: TRAILER, mode: 0, contents: &[], device: (0, 0) })?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "too long for a cpio entry");
        let size = u32::try_from(entry.contents.len()).map_err(too_long)?;
        let name_size = u32::try_from(entry.name.len() + 1).map_err(too_long)?;
        let links = 1;
        let (uid, gid, mtime, check) = (0, 0, 0, 0);
        let (major, minor) = entry.device;
        let fields =
            [self.next_inode, entry.mode, uid, gid, links, mtime, size, 0, 0, major, minor, name_size, check];
        self.next_inode += 1;
        self.output.write_all(b"070701")?;
        for field in fields {
            write!(self.output, "{field:08X}")?;
        }
        self.output.write_all(entry.name.as_bytes())?;
        self.output.write_all(&[0])?;
        self.pad(HEADER_BYTES + entry.name.len() + 1)?;
        self.output.write_all(entry.contents)?;
        self.pad(entry.contents.len())
    }

    /// Fills up to the next multiple of four.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.output.write_all(&[0; 3][..length.next_multiple_of(4) - length])
    }
}

/// Length of the magic number and the thirteen fields.
const HEADER_BYTES: usize = 110;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn archive() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        writer.add("dev", DIRECTORY, &[]).unwrap();
        writer.add_device("dev/console", 5, 1).unwrap();
        writer.add("init", PROGRAM, b"#!/bin/sh\n").unwrap();
        writer.add("sh", SYMLINK, b"busybox").unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn entries_are_aligned_and_the_trailer_is_last() {
        let archive = archive();
        assert_eq!(archive.len() % 4, 0);
        assert!(archive.starts_with(b"070701"));
        let magic = archive.windows(6).enumerate().filter(|(_, w)| *w == b"070701").map(|(i, _)| i);
        let at: Vec<usize> = magic.collect();
        assert_eq!(at.len(), 5);
        assert!(at.iter().all(|offset| offset % 4 == 0));
        assert!(archive[at[4]..].windows(TRAILER.len()).any(|w| w == TRAILER.as_bytes()));
    }

    #[test]
    fn header_fields_are_where_the_kernel_looks() {
        let archive = archive();
        let init = archive.windows(5).position(|w| w == b"init\0").unwrap() - HEADER_BYTES;
        let field = |index: usize| {
            let start = init + 6 + index * 8;
            u32::from_str_radix(std::str::from_utf8(&archive[start..start + 8]).unwrap(), 16).unwrap()
        };
        assert_eq!(field(1), PROGRAM);
        assert_eq!(field(6), 10);
        assert_eq!(field(11), 5);
        let contents = (init + HEADER_BYTES + 5).next_multiple_of(4);
        assert_eq!(&archive[contents..contents + 10], b"#!/bin/sh\n");
    }

    #[test]
    fn the_cpio_program_lists_the_same_names() {
        let child = Command::new("cpio").arg("-t").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped the comparison with cpio: the program is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(&archive()).unwrap();
        let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(listing.lines().collect::<Vec<_>>(), ["dev", "dev/console", "init", "sh"]);
    }
}
