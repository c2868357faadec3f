//! Guests that gasang can make by itself: stock Debian kernels, and an initramfs with busybox or with Debian packages.
//!
//! Everything lives in one [`Cache`]; whatever is missing or damaged is made again from the archive.

mod debian;
mod initramfs;
mod kernel;
mod packages;
mod qemu;
mod unpacked;

use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError, Suite};
use crate::cache::{Cache, CacheError, CacheLock};
pub use debian::{DISK_COMMAND_LINE, DiskGuest, RECIPES, Recipe};
pub use initramfs::{INIT_MARKER, Script};
pub use kernel::Kernel;
pub use packages::PackageSet;
pub use qemu::Qemu;
pub use unpacked::Unpacked;

/// The kernel command line of the guests made here, before what the user appends: the console is the first serial port.
pub const COMMAND_LINE: &str = "console=ttyS0";

/// A guest could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive did not deliver.
    #[error("cannot fetch {what}")]
    Archive {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: ArchiveError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The host gives this user no ids for the files of a guest that belong to others.
    #[error(
        "a guest's disk has files of several users, and there is no 'newuidmap' that gives this user ids for them"
    )]
    NoIds,
    /// The disk image cannot be made.
    #[error("cannot make the guest's disk image")]
    Disk(#[from] storage::ImageError),
}

/// Makes guests, and keeps them.
pub struct Images<'a> {
    cache: Cache,
    say: Box<dyn Fn(&str) + 'a>,
}

impl<'a> Images<'a> {
    /// Guests in `cache`; `say` is told about steps that take long.
    pub fn new(cache: Cache, say: impl Fn(&str) + 'a) -> Self {
        Self { cache, say: Box::new(say) }
    }

    /// Where they are kept.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// A stock kernel's bzImage.
    pub fn kernel(&self, kernel: Kernel) -> Result<PathBuf, ImageError> {
        let relative = kernel.cache_name();
        self.made(&relative, || kernel.fetch(self))
    }

    /// Modules of a stock kernel, as an archive for its initramfs beside that of a script: `/init` loads them if there is a
    /// network card.
    pub fn modules(&self, kernel: Kernel) -> Result<PathBuf, ImageError> {
        let vmlinuz = self.kernel(kernel)?;
        self.made(&kernel.modules_cache_name(), || {
            let bytes = std::fs::read(&vmlinuz).map_err(CacheError::io("read", &vmlinuz))?;
            kernel.fetch_modules(self, &bytes)
        })
    }

    /// The busybox program, statically linked.
    pub fn busybox(&self) -> Result<PathBuf, ImageError> {
        self.busybox_of(Suite::Bookworm, "busybox/busybox")
    }

    /// The same for 32-bit PCs.
    pub fn busybox_i386(&self) -> Result<PathBuf, ImageError> {
        self.busybox_of(Suite::BookwormI386, "busybox/busybox-i386")
    }

    fn busybox_of(&self, suite: Suite, cached: &str) -> Result<PathBuf, ImageError> {
        self.made(cached, || {
            (self.say)("fetching busybox from the package archive");
            let archive =
                self.archive(suite).map_err(|source| ImageError::Archive { what: "busybox", source })?;
            self.package_file("busybox", &archive, "busybox-static", "busybox program", |root| {
                [root.join("bin/busybox"), root.join("usr/bin/busybox")]
                    .into_iter()
                    .find(|path| path.is_file())
            })
        })
    }

    /// An initramfs whose `/init` runs `script`.
    pub fn initramfs(&self, script: &Script) -> Result<PathBuf, ImageError> {
        let relative = format!("initramfs/{}.cpio", script.name());
        let read = |path: &Path| std::fs::read(path).map_err(CacheError::io("read", path));
        let busybox = read(&self.busybox()?)?;
        let other = if script.wants_i386() { Some(read(&self.busybox_i386()?)?) } else { None };
        let archive = initramfs::build(&busybox, other.as_deref(), script);
        let archive = archive.map_err(CacheError::io("build", &self.cache.path(&relative)))?;
        // Made each time, since it costs little and the script may have changed; kept if it is the same.
        if let Some(path) = self.cache.find(&relative)
            && read(&path)? == archive
        {
            return Ok(path);
        }
        let _lock = self.lock()?;
        Ok(self.cache.store(&relative, &archive)?)
    }

    /// The cached file, or what `make` returns, stored.
    fn made(
        &self,
        relative: &str,
        make: impl FnOnce() -> Result<Vec<u8>, ImageError>,
    ) -> Result<PathBuf, ImageError> {
        if let Some(path) = self.cache.find(relative) {
            return Ok(path);
        }
        let _lock = self.lock()?;
        // Another process may have made it while this one waited for the lock.
        if let Some(path) = self.cache.find(relative) {
            return Ok(path);
        }
        Ok(self.cache.store(relative, &make()?)?)
    }

    /// Keeps other processes from changing the cache.
    fn lock(&self) -> Result<CacheLock, CacheError> {
        self.cache.lock(|| (self.say)("waiting for another gasang that fetches guests"))
    }

    fn archive(&self, suite: Suite) -> Result<Archive, ArchiveError> {
        Archive::open(&self.cache.path("apt"), suite)
    }

    /// One file out of a package.
    fn package_file(
        &self,
        what: &'static str,
        archive: &Archive,
        package: &str,
        file: &'static str,
        find: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Result<Vec<u8>, ImageError> {
        let fetch = || {
            let unpacked = archive.scratch()?;
            archive.unpack(package, unpacked.path())?;
            let missing = || ArchiveError::Contents { package: package.to_owned(), what: file };
            let path = find(unpacked.path()).ok_or_else(missing)?;
            Ok(std::fs::read(&path).map_err(CacheError::io("read", &path))?)
        };
        fetch().map_err(|source| ImageError::Archive { what, source })
    }
}
