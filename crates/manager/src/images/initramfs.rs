//! The initramfs of the guests: busybox, an `/init`, and a script for tests and benchmarks.
use std::io::{self, Write};

use crate::cpio::{DIRECTORY, FILE, PROGRAM, SYMLINK, Writer};

/// What the guest does once it is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    name: String,
    text: Option<String>,
    /// Files for the script: name and contents.
    files: Vec<(String, Vec<u8>)>,
    /// With a 32-bit busybox.
    i386: bool,
}

impl Script {
    /// Starts a shell on the console, with job control; the guest powers off when the shell ends.
    pub fn shell() -> Self {
        Self { name: "shell".to_owned(), text: None, files: Vec::new(), i386: false }
    }

    /// Runs a shell script instead, then powers off. Equal names share one file in the cache, one at a time.
    pub fn of(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: Some(text.into()), files: Vec::new(), i386: false }
    }

    /// With a 32-bit busybox beside the other: `/bin/busybox-i386`.
    #[must_use]
    pub fn with_i386(self) -> Self {
        Self { i386: true, ..self }
    }

    /// Whether there is to be a 32-bit busybox.
    pub fn wants_i386(&self) -> bool {
        self.i386
    }

    /// With a file that the script finds in `/work`.
    #[must_use]
    pub fn with_file(mut self, name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), contents.into()));
        self
    }

    /// Its name in the cache.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What `/init` prints before anything else of its own: benchmarks time the kernel's boot until this line.
pub const INIT_MARKER: &str = "gasang: init";

/// The first program of the guest.
const INIT: &str = include_str!("init.sh");

/// Builds the archive.
pub fn build(busybox: &[u8], i386: Option<&[u8]>, script: &Script) -> io::Result<Vec<u8>> {
    let mut archive = Writer::new(Vec::with_capacity(busybox.len() + (64 << 10)));
    for directory in
        ["bin", "sbin", "usr", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "root", "etc", "work"]
    {
        archive.add(directory, DIRECTORY, &[])?;
    }
    archive.add("bin/busybox", PROGRAM, busybox)?;
    if let Some(program) = i386 {
        archive.add("bin/busybox-i386", PROGRAM, program)?;
    }
    archive.add("bin/sh", SYMLINK, b"busybox")?;
    archive.add("etc/passwd", FILE, b"root:x:0:0:root:/root:/bin/sh\n")?;
    archive.add("etc/group", FILE, b"root:x:0:\n")?;
    add_start(&mut archive, script)?;
    archive.finish()
}

/// Adds what starts a guest, to an archive that has the directories of a root: `/init`, its console, and the script
/// with its files.
pub(super) fn add_start(archive: &mut Writer<impl Write>, script: &Script) -> io::Result<()> {
    // Without it, the kernel has no console to give to /init.
    archive.add_device("dev/console", 5, 1)?;
    archive.add("init", PROGRAM, INIT.as_bytes())?;
    if let Some(text) = &script.text {
        archive.add("script", PROGRAM, text.as_bytes())?;
    }
    for (name, contents) in &script.files {
        archive.add(&format!("work/{name}"), FILE, contents)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_in_only_when_there_is_one() {
        let has = |script: &Script| {
            let archive = build(b"#!busybox", None, script).unwrap();
            archive.windows(7).any(|window| window == b"script\0")
        };
        assert!(!has(&Script::shell()));
        assert!(has(&Script::of("test", "true")));
    }

    #[test]
    fn init_prints_the_marker() {
        assert!(INIT.contains(INIT_MARKER));
    }

    #[test]
    fn equal_inputs_give_equal_archives() {
        let script = Script::of("test", "true");
        assert_eq!(build(b"b", None, &script).unwrap(), build(b"b", None, &script).unwrap());
    }
}
