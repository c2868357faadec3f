//! QEMU, to compare with: unpacked into the cache, nothing is installed on the host.
use std::path::PathBuf;

use super::{ImageError, Images};
use crate::archive::Suite;
use crate::cache::{CacheError, replace};

/// An unpacked QEMU.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The root of what was unpacked.
    pub root: PathBuf,
}

impl Qemu {
    /// The emulator of an x86-64 PC.
    pub fn program(&self) -> PathBuf {
        self.root.join("usr/bin/qemu-system-x86_64")
    }

    /// Where its shared libraries are, for `LD_LIBRARY_PATH`: packages use both places.
    pub fn libraries(&self) -> std::ffi::OsString {
        let mut places = self.root.join("usr/lib/x86_64-linux-gnu").into_os_string();
        places.push(":");
        places.push(self.root.join("lib/x86_64-linux-gnu"));
        places
    }

    /// Where its firmware is, for `-L`, first one first.
    pub fn firmware(&self) -> [PathBuf; 2] {
        [self.root.join("usr/share/seabios"), self.root.join("usr/share/qemu")]
    }
}

impl Images<'_> {
    /// QEMU as backported to Debian 12.
    pub fn qemu(&self) -> Result<Qemu, ImageError> {
        let qemu = Qemu { root: self.cache.path("qemu") };
        let complete = self.cache.path("qemu/complete");
        if complete.is_file() && qemu.program().is_file() {
            return Ok(qemu);
        }
        let _lock = self.lock()?;
        (self.say)("fetching QEMU and what it needs from the package archive (about 100 MB)");
        std::fs::create_dir_all(&qemu.root).map_err(CacheError::io("create", &qemu.root))?;
        let fetched = self
            .archive(Suite::BookwormBackports)
            .and_then(|archive| archive.unpack_with_dependencies("qemu-system-x86", &qemu.root));
        fetched.map_err(|source| ImageError::Archive { what: "QEMU", source })?;
        replace(&complete, b"")?;
        Ok(qemu)
    }
}
