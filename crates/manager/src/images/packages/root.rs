//! From unpacked packages to a root directory that a guest can start from, and into an archive.
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::cpio::{DIRECTORY, Writer};

/// Changes when what [`finish`] makes changes.
pub(super) const LAYOUT: &str = "1";

/// Directories of a root that no package brings.
const EMPTY: [&str; 10] =
    ["dev", "proc", "sys", "tmp", "root", "run", "var/tmp", "work", "usr/local/bin", "etc"];

/// Makes a root of what dpkg has unpacked.
pub(super) fn finish(root: &Path, without: &[&str]) -> io::Result<()> {
    merge_usr(root)?;
    for directory in EMPTY {
        fs::create_dir_all(root.join(directory))?;
    }
    leave_out(root, root, without)?;
    fs::write(root.join("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), b"root:x:0:\n")?;
    link_applets(root)?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))
}

/// As Debian's usrmerge package: `/bin` and its like become links into `/usr`.
fn merge_usr(root: &Path) -> io::Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let (top, below) = (root.join(name), root.join("usr").join(name));
        fs::create_dir_all(&below)?;
        if top.is_dir() {
            move_into(&top, &below)?;
        }
        symlink(Path::new("usr").join(name), &top)?;
    }
    Ok(())
}

/// Moves what is in `from` into `to`, and removes `from`.
fn move_into(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() && target.is_dir() {
            move_into(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), target)?;
        }
    }
    fs::remove_dir(from)
}

fn leave_out(root: &Path, directory: &Path, without: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        match (without.iter().any(|start| name.starts_with(start)), kind.is_dir()) {
            (true, true) => fs::remove_dir_all(&path)?,
            (true, false) => fs::remove_file(&path)?,
            (false, true) => leave_out(root, &path, without)?,
            (false, false) => {}
        }
    }
    Ok(())
}

/// Links for busybox's commands. Those that a package brings stay.
fn link_applets(root: &Path) -> io::Result<()> {
    let applets = Command::new(root.join("bin/busybox")).arg("--list").output()?;
    for applet in String::from_utf8_lossy(&applets.stdout).lines() {
        let path = root.join("usr/bin").join(applet);
        if fs::symlink_metadata(&path).is_err() {
            symlink("/bin/busybox", path)?;
        }
    }
    Ok(())
}

/// Adds everything below a directory, in the order of names.
pub(super) fn add(archive: &mut Writer<impl Write>, root: &Path) -> io::Result<()> {
    add_below(archive, root, "")
}

fn add_below(archive: &mut Writer<impl Write>, directory: &Path, prefix: &str) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| unsuitable(&path, "its name is not UTF-8"))?;
        let (name, metadata) = (format!("{prefix}{name}"), fs::symlink_metadata(&path)?);
        if metadata.is_dir() {
            archive.add(&name, DIRECTORY, &[])?;
            add_below(archive, &path, &format!("{name}/"))?;
        } else {
            archive.add(&name, metadata.mode(), &contents(&path, &metadata)?)?;
        }
    }
    Ok(())
}

fn contents(path: &Path, metadata: &Metadata) -> io::Result<Vec<u8>> {
    if metadata.is_symlink() {
        use std::os::unix::ffi::OsStringExt;
        Ok(fs::read_link(path)?.into_os_string().into_vec())
    } else if metadata.is_file() {
        fs::read(path)
    } else {
        Err(unsuitable(path, "it is neither file, directory nor link"))
    }
}

fn unsuitable(path: &Path, why: &str) -> io::Error {
    io::Error::other(format!("{} cannot go into an initramfs: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_directories_become_links_into_usr() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for (file, text) in [("lib/x/one", "1"), ("usr/lib/x/two", "2"), ("bin/sh", "3")] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), text).unwrap();
        }
        merge_usr(root.path()).unwrap();
        assert_eq!(fs::read_link(path("lib")).unwrap(), Path::new("usr/lib"));
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        assert_eq!([read("usr/lib/x/one"), read("lib/x/two"), read("usr/bin/sh")], ["1", "2", "3"]);
        assert!(path("lib64").is_dir());
    }

    #[test]
    fn what_starts_like_an_unwanted_path_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for name in ["doc/a", "libx.so.1", "libx.so.2", "keep/doc"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        leave_out(root.path(), root.path(), &["doc", "libx.so"]).unwrap();
        assert!(root.path().join("keep/doc").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
