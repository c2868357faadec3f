//! QEMU, to compare with.
use std::path::PathBuf;

use super::{ImageError, Images, Unpacked};
use crate::archive::Suite;

/// An unpacked QEMU.
#[derive(Clone, Debug)]
pub struct Qemu(Unpacked);

impl Qemu {
    /// The emulator of an x86-64 PC.
    pub fn program(&self) -> PathBuf {
        self.0.program("qemu-system-x86_64")
    }

    /// Where its shared libraries are, for `LD_LIBRARY_PATH`.
    pub fn libraries(&self) -> std::ffi::OsString {
        self.0.libraries()
    }

    /// Where its firmware is, for `-L`, first one first.
    pub fn firmware(&self) -> [PathBuf; 2] {
        ["usr/share/seabios", "usr/share/qemu"].map(|place| self.0.root.join(place))
    }
}

impl Images<'_> {
    /// QEMU as backported to Debian 12.
    pub fn qemu(&self) -> Result<Qemu, ImageError> {
        self.unpacked("qemu", Suite::BookwormBackports, &["qemu-system-x86"]).map(Qemu)
    }
}
