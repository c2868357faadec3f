//! Making a guest's disk.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use storage::{CreateOptions, Format, OpenOptions};

use super::super::{ImageError, Images};
use super::Recipe;
use super::workshop::Workshop;
use crate::archive::{Archive, ArchiveError, Suite};
use crate::cache::CacheError;

/// Makes a guest in a directory that is not there yet.
pub(super) fn build(images: &Images<'_>, recipe: &Recipe, place: &Path) -> Result<(), ImageError> {
    // As mmdebstrap looks for it.
    if !rustix::process::geteuid().is_root() && !is_installed("newuidmap") {
        return Err(ImageError::NoIds);
    }
    let failed = |source| ImageError::Archive { what: "a guest with a disk", source };
    let parent = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(CacheError::io("create", parent))?;
    clear(parent);
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
    let new = new.map_err(CacheError::io("write to", parent))?;
    (images.say)(&format!("making {}: fetching and installing packages, some minutes", recipe.name));
    let archive = images.archive(Suite::Bookworm).map_err(failed)?;
    let workshop = Workshop::open(parent, recipe.disk_bytes)?;
    archive.update().map_err(failed)?;
    bootstrap(&archive, recipe, &workshop).map_err(failed)?;
    (images.say)("making the disk image");
    pack(&workshop.disk(), &new.path().join("disk.qcow2"))?;
    for made in ["vmlinuz", "initrd.img"] {
        workshop.deliver(made, new.path())?;
    }
    fs::rename(new.path(), place).map_err(CacheError::io("create", place))?;
    // Its directory is `place` now.
    let _ = new.keep();
    Ok(())
}

/// Removes what a killed gasang has left; the cache is locked.
fn clear(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if [".new-", ".work-"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs mmdebstrap, whose hooks work in `workshop`.
fn bootstrap(archive: &Archive, recipe: &Recipe, workshop: &Workshop) -> Result<(), ArchiveError> {
    let mut command = mmdebstrap(archive, workshop.private())?;
    command.args(["--quiet", "--format=null", "--variant=minbase"]);
    command.arg(format!("--include={}", recipe.packages.join(",")));
    command.arg("--dpkgopt=force-unsafe-io");
    command.args(workshop.hooks().map(|hook| format!("--customize-hook={hook}")));
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
fn mmdebstrap(archive: &Archive, private: &Path) -> Result<Command, ArchiveError> {
    let mut command = if is_installed("mmdebstrap") {
        Command::new("mmdebstrap")
    } else {
        let place: PathBuf = private.join("mmdebstrap");
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
    fn what_was_never_finished_goes() {
        let place = tempfile::tempdir().unwrap();
        for name in [".work-1/open", ".new-2", "debian-12-3"] {
            fs::create_dir_all(place.path().join(name)).unwrap();
        }
        clear(place.path());
        let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["debian-12-3"]);
    }

    #[test]
    fn a_raw_disk_becomes_an_image() {
        let place = tempfile::tempdir().unwrap();
        let (raw, image) = (place.path().join("disk.raw"), place.path().join("disk.qcow2"));
        fs::write(&raw, [7; 4096]).unwrap();
        pack(&raw, &image).unwrap();
        let image = storage::open(&image, OpenOptions::read_only()).unwrap();
        assert_eq!(image.shape().length, 4096);
    }
}
