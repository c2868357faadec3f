//! Programs to compare with and to test with: unpacked into the cache, nothing is installed on the host.
use std::path::PathBuf;

use super::{ImageError, Images};
use crate::archive::Suite;
use crate::cache::{CacheError, replace};

/// Packages whose programs run where they were unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The root of what was unpacked.
    pub root: PathBuf,
}

impl Unpacked {
    /// A program of theirs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("usr/bin").join(name)
    }

    /// Where their shared libraries are, for `LD_LIBRARY_PATH`: packages use both places.
    pub fn libraries(&self) -> std::ffi::OsString {
        let mut places = self.root.join("usr/lib/x86_64-linux-gnu").into_os_string();
        places.push(":");
        places.push(self.root.join("lib/x86_64-linux-gnu"));
        places
    }
}

impl Images<'_> {
    /// iperf3 and passt as in Debian 12.
    pub fn network_tools(&self) -> Result<Unpacked, ImageError> {
        self.unpacked("network-tools", Suite::Bookworm, &["iperf3", "passt"])
    }

    /// Packages and what they need, in a directory of the cache.
    pub(super) fn unpacked(
        &self,
        name: &'static str,
        suite: Suite,
        packages: &[&str],
    ) -> Result<Unpacked, ImageError> {
        let unpacked = Unpacked { root: self.cache.path(name) };
        let complete = unpacked.root.join("complete");
        if complete.is_file() {
            return Ok(unpacked);
        }
        let _lock = self.lock()?;
        (self.say)(&format!("fetching {name} and what it needs from the package archive"));
        std::fs::create_dir_all(&unpacked.root).map_err(CacheError::io("create", &unpacked.root))?;
        let fetched = self.archive(suite).and_then(|archive| {
            packages.iter().try_for_each(|package| archive.unpack_with_dependencies(package, &unpacked.root))
        });
        fetched.map_err(|source| ImageError::Archive { what: name, source })?;
        replace(&complete, b"")?;
        Ok(unpacked)
    }
}
