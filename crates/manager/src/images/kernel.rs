//! Stock Debian kernels, by the packages that Debian's metapackages depend on.
use std::fs;
use std::path::Path;

use super::{ImageError, Images};
use crate::archive::{ArchiveError, Suite};
use crate::cache::CacheError;
use crate::cpio::{DIRECTORY, FILE, Writer};

/// Modules that the guests here need, in the order in which they are loaded, by their paths below a kernel's own. Not
/// every kernel has all.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/ethernet/intel/e1000/e1000.ko",
];

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

    pub(super) fn modules_cache_name(self) -> String {
        format!("kernels/{}/modules.cpio", self.name())
    }

    /// The modules of a kernel that was fetched, as an archive for its initramfs: `/modules/01-virtio.ko` and so on.
    pub(super) fn fetch_modules(self, images: &Images, kernel: &[u8]) -> Result<Vec<u8>, ImageError> {
        let failed = |source| ImageError::Archive { what: "the kernel's modules", source };
        let missing = |package: &str| {
            let package = package.to_owned();
            failed(ArchiveError::Contents { package, what: "modules for the kernel that is here" })
        };
        let version = version(kernel).ok_or_else(|| missing(self.metapackage()))?;
        let package = format!("linux-image-{version}");
        (images.say)("fetching modules for the kernel from the package archive (25 to 70 MB)");
        let archive = images.archive(self.suite()).map_err(failed)?;
        let unpacked = archive.scratch().map_err(|error| failed(error.into()))?;
        archive.unpack(&package, unpacked.path()).map_err(failed)?;
        let places = ["lib", "usr/lib"]
            .map(|lib| unpacked.path().join(lib).join("modules").join(&version).join("kernel"));
        let place = places.iter().find(|place| place.is_dir()).ok_or_else(|| missing(&package))?;
        Ok(pack(place).map_err(CacheError::io("pack", place))?)
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

/// The archive of the modules below a directory.
fn pack(place: &Path) -> std::io::Result<Vec<u8>> {
    let mut archive = Writer::new(Vec::new());
    archive.add("modules", DIRECTORY, &[])?;
    let found = MODULES.iter().map(|module| place.join(module)).filter(|path| path.is_file());
    for (number, path) in found.enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        archive.add(&format!("modules/{number:02}-{name}"), FILE, &fs::read(&path)?)?;
    }
    archive.finish()
}

/// The version that a bzImage says (Linux, Documentation/arch/x86/boot.rst: `kernel_version`).
fn version(kernel: &[u8]) -> Option<String> {
    let at = 0x200 + usize::from(u16::from_le_bytes(*kernel.get(0x20e..)?.first_chunk()?));
    let text = kernel.get(at..)?.split(|byte| matches!(byte, 0 | b' ')).next()?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+~".contains(byte);
    let is_version = text.first().is_some_and(u8::is_ascii_digit) && text.iter().all(is_name);
    is_version.then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_its_version() {
        let mut kernel = vec![0; 0x400];
        kernel[0x20e..0x210].copy_from_slice(&[0x20, 0]);
        kernel[0x220..0x22e].copy_from_slice(b"6.1.0-57 (x) #");
        assert_eq!(version(&kernel).as_deref(), Some("6.1.0-57"));
        kernel[0x221] = b'/';
        assert_eq!(version(&kernel), None);
        assert_eq!(version(&[0; 0x20f]), None);
    }
}
