//! Guests whose root holds Debian packages: their files and those of all that they need, unpacked without running
//! any of their scripts.
mod root;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::initramfs::{self, Script};
use super::{ImageError, Images};
use crate::archive::Suite;
use crate::cache::CacheError;
use crate::cpio::Writer;

/// Packages that make up a guest's root.
#[derive(Clone, Copy, Debug)]
pub struct PackageSet {
    /// Its name in the cache.
    pub name: &'static str,
    /// The packages; what they depend on comes along, and busybox.
    pub packages: &'static [&'static str],
    /// Paths below the root that are left out, each with all that starts like it.
    pub without: &'static [&'static str],
}

impl PackageSet {
    /// Where a set is kept: another choice of packages is another directory.
    fn cache_name(&self) -> String {
        let words = self.packages.iter().chain(&["-"]).chain(self.without);
        let text = words.fold(root::LAYOUT.to_owned(), |text, word| text + " " + word);
        format!("packages/{}-{:016x}", self.name, crate::cache::checksum(text.as_bytes()))
    }
}

impl Images<'_> {
    /// The root directory of a set, not to be written to. It has `/bin/busybox` with links for all its commands that
    /// no package brings, and the empty directories of a root, among them `/work` for a script's files.
    pub fn package_root(&self, set: &PackageSet) -> Result<PathBuf, ImageError> {
        let relative = set.cache_name();
        let place = self.cache().path(&relative);
        if place.is_dir() {
            return Ok(place);
        }
        let _lock = self.lock()?;
        if place.is_dir() {
            return Ok(place);
        }
        (self.say)(&format!("fetching Debian packages for the guest '{}' (about 100 MB)", set.name));
        let parent = self.cache().path("packages");
        fs::create_dir_all(&parent).map_err(CacheError::io("create", &parent))?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&parent);
        let new = new.map_err(CacheError::io("write to", &parent))?;
        let packages = [set.packages, &["busybox-static"]].concat();
        self.archive(Suite::Bookworm)
            .and_then(|archive| archive.unpack_closure(&packages, new.path()))
            .map_err(|source| ImageError::Archive { what: "the guest's packages", source })?;
        root::finish(new.path(), set.without).map_err(CacheError::io("prepare", new.path()))?;
        fs::rename(new.path(), &place).map_err(CacheError::io("create", &place))?;
        Ok(place)
    }

    /// An initramfs with a set's root, whose `/init` runs `script`.
    pub fn package_initramfs(&self, set: &PackageSet, script: &Script) -> Result<PathBuf, ImageError> {
        let root = self.package_root(set)?;
        let path = self.cache().path(&format!("initramfs/{}.cpio", script.name()));
        let _lock = self.lock()?;
        // Made each time: copying takes no longer than a comparison with what is there.
        (self.say)("packing the guest's root");
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(CacheError::io("create", directory))?;
        let write = || {
            let new = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
            pack(&root, script, BufWriter::new(new.as_file()))?;
            new.persist(&path).map_err(io::Error::from)
        };
        write().map(drop as fn(File)).map_err(CacheError::io("write", &path))?;
        Ok(path)
    }
}

/// Writes the archive: the root first, which brings the directories that the script's files are put in.
fn pack(root: &Path, script: &Script, output: impl Write) -> io::Result<()> {
    let mut archive = Writer::new(output);
    root::add(&mut archive, root)?;
    initramfs::add_start(&mut archive, script)?;
    archive.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_choice_is_another_directory() {
        let set = PackageSet { name: "a", packages: &["x", "y"], without: &["z"] };
        let other = PackageSet { packages: &["x"], without: &["y", "z"], ..set };
        assert_eq!(set.cache_name(), set.cache_name());
        assert_ne!(set.cache_name(), other.cache_name());
    }

    #[test]
    fn equal_roots_give_equal_archives() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            fs::write(root.path().join(name), name).unwrap();
        }
        let pack = || {
            let mut bytes = Vec::new();
            pack(root.path(), &Script::of("s", "true").with_file("f", "text"), &mut bytes).unwrap();
            bytes
        };
        assert_eq!(pack(), pack());
        let text = String::from_utf8_lossy(&pack()).into_owned();
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("a\0") < at("b\0") && at("c\0") < at("init\0") && at("init\0") < at("work/f\0"));
    }
}
