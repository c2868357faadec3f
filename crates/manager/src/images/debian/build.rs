//! Making a guest's disk.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use storage::{CreateOptions, Format, OpenOptions};

use super::super::{ImageError, Images};
use super::Recipe;
use crate::archive::{Archive, ArchiveError, Suite};
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

/// Makes a guest in a directory that is not there yet.
pub(super) fn build(images: &Images<'_>, recipe: &Recipe, place: &Path) -> Result<(), ImageError> {
    // As mmdebstrap looks for it.
    if !rustix::process::geteuid().is_root() && !is_installed("newuidmap") {
        return Err(ImageError::NoIds);
    }
    let failed = |source| ImageError::Archive { what: "a guest with a disk", source };
    let parent = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(CacheError::io("create", parent))?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
    let new = new.map_err(CacheError::io("write to", parent))?;
    (images.say)(&format!("making {}: fetching and installing packages, some minutes", recipe.name));
    let archive = images.archive(Suite::Bookworm).map_err(failed)?;
    let (raw, tools) = (new.path().join("disk.raw"), new.path().join("tools"));
    write_scripts(&tools)?;
    make_empty_disk(&raw, recipe.disk_bytes)?;
    archive.update().map_err(failed)?;
    bootstrap(&archive, recipe, new.path(), &tools).map_err(failed)?;
    (images.say)("making the disk image");
    pack(&raw, &new.path().join("disk.qcow2"))?;
    for done in [&tools, &raw] {
        let removed = if done.is_dir() { fs::remove_dir_all(done) } else { fs::remove_file(done) };
        removed.map_err(CacheError::io("remove", done))?;
    }
    fs::rename(new.path(), place).map_err(CacheError::io("create", place))?;
    // Its directory is `place` now.
    let _ = new.keep();
    Ok(())
}

fn write_scripts(tools: &Path) -> Result<(), CacheError> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(tools).map_err(CacheError::io("create", tools))?;
    let names = ["customize.sh", "finish.sh", "agent.pl", "agent.service"];
    for (name, text) in names.into_iter().zip(SCRIPTS) {
        let path = tools.join(name);
        let write = || {
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        };
        write().map_err(CacheError::io("write", &path))?;
    }
    Ok(())
}

/// A raw disk with a table of one partition, whose contents come later.
fn make_empty_disk(raw: &Path, length: u64) -> Result<(), CacheError> {
    let write = || -> io::Result<()> {
        let file = fs::File::create_new(raw)?;
        file.set_len(length)?;
        let mut table = [0; 512];
        table[446..462].copy_from_slice(&partition_entry(length));
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        std::os::unix::fs::FileExt::write_all_at(&file, &table, 0)
    };
    write().map_err(CacheError::io("write", raw))
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

/// Runs mmdebstrap. Its hooks leave `vmlinuz` and `initrd.img` in `new`, and the root in the partition of `disk.raw`.
fn bootstrap(archive: &Archive, recipe: &Recipe, new: &Path, tools: &Path) -> Result<(), ArchiveError> {
    let mut command = mmdebstrap(archive, tools)?;
    command.args(["--quiet", "--format=null", "--variant=minbase"]);
    command.arg(format!("--include={}", recipe.packages.join(",")));
    command.arg("--dpkgopt=force-unsafe-io");
    let kib = (recipe.disk_bytes - PARTITION_START - PARTITION_TAIL) / 1024;
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    for script in ["customize.sh", "finish.sh"] {
        let words = [quoted(&tools.join(script)), "\"$1\"".to_owned(), quoted(new), kib.to_string()];
        command.arg(format!("--customize-hook={}", words.join(" ")));
    }
    // No target: the hooks take what is wanted.
    command.arg(recipe.suite).arg("/dev/null").arg(archive.source_list());
    archive.run_client("mmdebstrap", &mut command)
}

/// Whether a program is on the user's path.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH");
    path.is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// The host's mmdebstrap, or the archive's own.
fn mmdebstrap(archive: &Archive, tools: &Path) -> Result<Command, ArchiveError> {
    let mut command = if is_installed("mmdebstrap") {
        Command::new("mmdebstrap")
    } else {
        let place: PathBuf = tools.join("mmdebstrap");
        fs::create_dir_all(&place).map_err(CacheError::io("create", &place))?;
        archive.unpack("mmdebstrap", &place)?;
        let mut perl = Command::new("perl");
        perl.arg(place.join("usr/bin/mmdebstrap"));
        perl
    };
    // mke2fs is not on every user's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    Ok(command)
}

/// The raw disk as a qcow2 image.
fn pack(raw: &Path, image: &Path) -> Result<(), ImageError> {
    let source = storage::open(raw, OpenOptions { format: Some(Format::Raw), ..OpenOptions::read_only() })?;
    let options = CreateOptions { format: Format::Qcow2, length: source.shape().length, backing: None };
    let target = storage::create(image, &options)?;
    storage::convert(source.as_ref(), target.as_ref(), &mut |_, _| {})?;
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let raw = place.path().join("disk.raw");
        make_empty_disk(&raw, 64 << 20).unwrap();
        let bytes = fs::read(&raw).unwrap();
        assert_eq!((bytes.len(), &bytes[510..512], bytes[450]), (64 << 20, &[0x55, 0xaa][..], 0x83));
        pack(&raw, &place.path().join("disk.qcow2")).unwrap();
        assert!(make_empty_disk(&raw, 1 << 20).is_err(), "nothing is overwritten");
    }
}
