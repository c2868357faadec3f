//! Stock Debian kernels, by the packages that Debian's metapackages depend on.
use super::{ImageError, Images};
use crate::archive::Suite;

/// A kernel that Debian ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Debian 12's 6.1 for cloud machines: the default guest.
    Cloud61,
    /// Debian 12's 6.1 for any machine.
    Generic61,
    /// 6.12 for cloud machines, as backported to Debian 12.
    Cloud612,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Kernel; 3] = [Kernel::Cloud61, Kernel::Generic61, Kernel::Cloud612];

    /// A short name, the same on the command line, in the cache and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Cloud61 => "6.1-cloud",
            Kernel::Generic61 => "6.1-generic",
            Kernel::Cloud612 => "6.12-cloud",
        }
    }

    const fn suite(self) -> Suite {
        match self {
            Kernel::Cloud61 | Kernel::Generic61 => Suite::Bookworm,
            Kernel::Cloud612 => Suite::BookwormBackports,
        }
    }

    const fn metapackage(self) -> &'static str {
        match self {
            Kernel::Cloud61 | Kernel::Cloud612 => "linux-image-cloud-amd64",
            Kernel::Generic61 => "linux-image-amd64",
        }
    }

    pub(super) fn cache_name(self) -> String {
        format!("kernels/{}/vmlinuz", self.name())
    }

    pub(super) fn fetch(self, images: &Images) -> Result<Vec<u8>, ImageError> {
        (images.say)(&format!(
            "fetching Debian's {} kernel from the package archive (25 to 70 MB)",
            self.name()
        ));
        let failed = |source| ImageError::Archive { what: "the kernel", source };
        let archive = images.archive(self.suite()).map_err(failed)?;
        let package = archive.dependency(self.metapackage(), "linux-image-").map_err(failed)?;
        images.package_file("the kernel", &archive, &package, "kernel", |root| {
            let files = std::fs::read_dir(root.join("boot")).ok()?.flatten();
            files.map(|file| file.path()).find(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
            })
        })
    }
}
