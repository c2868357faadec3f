//! Guests with a disk: a Debian with systemd, made by mmdebstrap, kept as a qcow2 image beside its own kernel
//! and initrd.
mod build;
mod workshop;

use std::fs;
use std::path::PathBuf;

use super::{ImageError, Images};
use crate::cache::CacheError;

/// What a guest is made of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// What users call it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The suite of Debian's archive.
    suite: &'static str,
    /// Packages beside those that every Debian has.
    packages: &'static [&'static str],
    /// Bytes of its disk; the file grows with what is written.
    disk_bytes: u64,
}

/// The guests that can be made.
pub const RECIPES: &[Recipe] = &[Recipe {
    name: "debian-12",
    about: "Debian 12 with systemd, apache2, firewalld, ssh, and tools for disks and networks",
    suite: "bookworm",
    packages: &[
        "apache2",
        "bind9-host",
        "ca-certificates",
        "curl",
        "dbus",
        "e2fsprogs",
        "ethtool",
        "fdisk",
        "fio",
        "firewalld",
        "ifupdown",
        "initramfs-tools",
        "iperf3",
        "iproute2",
        "iputils-ping",
        "isc-dhcp-client",
        "kmod",
        "less",
        "linux-image-amd64",
        "netbase",
        "netcat-openbsd",
        "ntfs-3g",
        "openssh-server",
        "procps",
        "systemd",
        "systemd-sysv",
        "tcpdump",
        "udev",
        "util-linux",
        "xfsprogs",
        "zstd",
    ],
    disk_bytes: 8 << 30,
}];

/// A guest that is there.
#[derive(Clone, Debug)]
pub struct DiskGuest {
    /// Its disk, not to be written to.
    pub disk: PathBuf,
    /// Its own kernel.
    pub kernel: PathBuf,
    /// The initrd of that kernel.
    pub initrd: PathBuf,
}

/// The kernel command line of a [`DiskGuest`], before what the user appends. Its root is found by its label, whatever the
/// disk hangs on, and network cards keep the names that the kernel gives them: eth0, eth1.
pub const DISK_COMMAND_LINE: &str = "console=ttyS0 root=LABEL=gasang-root rw net.ifnames=0 quiet";

/// Changes when what [`build`] makes changes.
const LAYOUT: &str = "1";

impl Recipe {
    /// The recipe of a name.
    pub fn of(name: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }
    /// Where its guest is kept: another recipe is another directory.
    fn cache_name(&self) -> String {
        let words = self.packages.iter().fold(LAYOUT.to_owned(), |text, word| text + " " + word);
        let text = format!("{words} {} {} {}", self.suite, self.disk_bytes, workshop::SCRIPTS.concat());
        format!("disks/{}-{:016x}", self.name, crate::cache::checksum(text.as_bytes()))
    }
}

impl Images<'_> {
    /// A guest, if it has been made.
    pub fn disk_guest(&self, recipe: &Recipe) -> Option<DiskGuest> {
        let place = self.cache().path(&recipe.cache_name());
        let file = |name: &str| Some(place.join(name)).filter(|path| path.is_file());
        Some(DiskGuest { disk: file("disk.qcow2")?, kernel: file("vmlinuz")?, initrd: file("initrd.img")? })
    }
    /// A guest, made if need be.
    pub fn made_disk_guest(&self, recipe: &Recipe) -> Result<DiskGuest, ImageError> {
        if let Some(guest) = self.disk_guest(recipe) {
            return Ok(guest);
        }
        let _lock = self.lock()?;
        if let Some(guest) = self.disk_guest(recipe) {
            return Ok(guest);
        }
        let place = self.cache().path(&recipe.cache_name());
        build::build(self, recipe, &place)?;
        self.disk_guest(recipe).ok_or_else(|| {
            let missing = std::io::ErrorKind::NotFound.into();
            CacheError::io("find the new guest in", &place)(missing).into()
        })
    }
    /// Removes a guest; `false` if there is none.
    pub fn remove_disk_guest(&self, recipe: &Recipe) -> Result<bool, ImageError> {
        let place = self.cache().path(&recipe.cache_name());
        let _lock = self.lock()?;
        match fs::remove_dir_all(&place) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(CacheError::io("remove", &place)(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_have_names_of_their_own() {
        for recipe in RECIPES {
            assert_eq!(Recipe::of(recipe.name).unwrap().cache_name(), recipe.cache_name());
            assert!(recipe.packages.is_sorted(), "{}", recipe.name);
            let other = Recipe { disk_bytes: 1, ..*recipe };
            assert_ne!(other.cache_name(), recipe.cache_name());
        }
        assert!(Recipe::of("debian-1").is_none());
    }
}
