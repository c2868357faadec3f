//! The files that a machine boots from: opened once, read again at each reset.
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use platform::{GuestRam, RamLayout};
use x86::Gpa;

use super::error::{BootError, Role};

/// Most initrds or modules that can be passed to a guest.
pub const MAX_INITRDS: usize = 32;
/// How much of a file is copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What the user wants to boot.
#[derive(Clone, Debug, Default)]
pub struct BootFiles {
    /// The kernel.
    pub kernel: PathBuf,
    /// Initrds: one archive after the other for Linux, a module each for Multiboot and PVH.
    pub initrds: Vec<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// [`BootFiles`], opened.
#[derive(Debug)]
pub struct BootImages {
    /// The kernel.
    pub kernel: ImageFile,
    /// The initrds or modules.
    pub initrds: Vec<ImageFile>,
    /// The kernel's command line.
    pub cmdline: String,
}

impl BootImages {
    /// Opens all files; fails on what is missing, empty or no file.
    pub fn open(files: &BootFiles) -> Result<Self, BootError> {
        if files.initrds.len() > MAX_INITRDS {
            return Err(BootError::TooManyInitrds(files.initrds.len()));
        }
        let initrds = files.initrds.iter().map(|path| ImageFile::open(path, Role::Initrd));
        Ok(Self {
            kernel: ImageFile::open(&files.kernel, Role::Kernel)?,
            initrds: initrds.collect::<Result<_, _>>()?,
            cmdline: files.cmdline.clone(),
        })
    }
}

/// One opened file of known length.
#[derive(Debug)]
pub struct ImageFile {
    role: Role,
    path: PathBuf,
    file: File,
    length: u64,
}

impl ImageFile {
    fn open(path: &Path, role: Role) -> Result<Self, BootError> {
        let failed = |source| BootError::Open { role, path: path.to_owned(), source };
        // Look before opening: opening a FIFO would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(BootError::NotAFile { role, path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length == 0 {
            return Err(BootError::Empty { role, path: path.to_owned() });
        }
        Ok(Self { role, path: path.to_owned(), file, length })
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
    /// The last part of the path, as text.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
    /// The whole file, which must be smaller than the RAM it is meant for.
    pub fn read_all(&self, ram: RamLayout) -> Result<Vec<u8>, BootError> {
        if self.length > ram.low {
            return Err(BootError::NotEnoughRam { needed: self.length, have: ram.low });
        }
        let mut content = vec![0; self.length as usize];
        self.read_at(&mut content, 0)?;
        Ok(content)
    }
    /// Copies the whole file to `target`, where the caller has made sure that there is RAM for it.
    pub fn copy_to(&self, ram: &GuestRam, target: u64) -> Result<(), BootError> {
        let mut chunk = vec![0; CHUNK_BYTES.min(self.length as usize)];
        let mut done = 0;
        while done < self.length {
            let length = (self.length - done).min(CHUNK_BYTES as u64) as usize;
            self.read_at(&mut chunk[..length], done)?;
            let room = ram.write(Gpa(target + done), &chunk[..length]);
            room.ok_or(BootError::InitrdTooLarge { length: self.length, room: done })?;
            done += length as u64;
        }
        Ok(())
    }

    fn read_at(&self, data: &mut [u8], offset: u64) -> Result<(), BootError> {
        self.file.read_exact_at(data, offset).map_err(|source| BootError::Read {
            role: self.role,
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::samples;

    fn files(kernel: &Path) -> BootFiles {
        BootFiles { kernel: kernel.to_owned(), ..BootFiles::default() }
    }

    #[test]
    fn missing_empty_and_odd_files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let missing = BootImages::open(&files(&directory.path().join("nothing"))).unwrap_err();
        assert!(matches!(missing, BootError::Open { role: Role::Kernel, .. }), "{missing}");
        let odd = BootImages::open(&files(directory.path())).unwrap_err();
        assert!(matches!(odd, BootError::NotAFile { .. }), "{odd}");
        let path = samples::file(directory.path(), "empty", b"");
        let empty = BootImages::open(&files(&path)).unwrap_err();
        assert!(matches!(empty, BootError::Empty { .. }), "{empty}");
    }

    #[test]
    fn a_missing_initrd_is_named_as_one() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = samples::file(directory.path(), "kernel", b"x");
        let boot = BootFiles { initrds: vec!["/nowhere/initrd".into()], ..files(&kernel) };
        let message = BootImages::open(&boot).unwrap_err().to_string();
        assert!(message.contains("initrd /nowhere/initrd"), "{message}");
    }

    #[test]
    fn a_file_that_shrank_is_an_error_not_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = samples::file(directory.path(), "kernel", &[1; 100]);
        let images = BootImages::open(&files(&path)).unwrap();
        std::fs::write(&path, [1; 10]).unwrap();
        let result = images.kernel.read_all(RamLayout::of_size(1 << 20));
        assert!(matches!(result, Err(BootError::Read { .. })));
    }

    #[test]
    fn a_file_longer_than_a_chunk_arrives_whole() {
        let directory = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..CHUNK_BYTES + 4097).map(|n| (n % 251) as u8).collect();
        let path = samples::file(directory.path(), "initrd", &content);
        let images = BootImages::open(&files(&path)).unwrap();
        let ram = GuestRam::new(4 << 20).unwrap();
        images.kernel.copy_to(&ram, 0x1234).unwrap();
        let mut back = vec![0; content.len()];
        ram.read(Gpa(0x1234), &mut back).unwrap();
        assert!(back == content);
    }
}
