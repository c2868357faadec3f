//! Which formats there are, and how to tell them apart.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A format of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The disk's bytes, and nothing else.
    Raw,
    /// QEMU's, versions 2 and 3.
    Qcow2,
    /// VirtualBox's.
    Vdi,
    /// VMware's.
    Vmdk,
    /// Virtual PC's; QEMU calls it vpc.
    Vhd,
    /// Hyper-V's.
    Vhdx,
}

/// A name that is no format's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no image format, only raw, qcow2, vdi, vmdk, vhd and vhdx are")]
pub struct UnknownFormat(String);

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Raw, Self::Qcow2, Self::Vdi, Self::Vmdk, Self::Vhd, Self::Vhdx];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
        }
    }
    /// The format that a file's name suggests for a new image.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "raw" | "img" | "iso" => Some(Self::Raw),
            "vpc" => Some(Self::Vhd),
            other => other.parse().ok(),
        }
    }
    /// The format of a file by its first bytes (512, fewer if the file has fewer) and its last 512; raw if by neither.
    pub fn of_contents(head: &[u8], tail: &[u8]) -> Self {
        let vmdk_text = b"# Disk DescriptorFile";
        if head.starts_with(b"QFI\xfb") {
            Self::Qcow2
        } else if head.get(0x40..0x44) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
            Self::Vdi
        } else if head.starts_with(b"KDMV") || head.starts_with(b"COWD") || head.starts_with(vmdk_text) {
            Self::Vmdk
        } else if head.starts_with(b"vhdxfile") {
            Self::Vhdx
        } else if head.starts_with(b"conectix") || tail.starts_with(b"conectix") {
            Self::Vhd
        } else {
            Self::Raw
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(Format::of_extension(&format.name().to_uppercase()), Some(format));
        }
        assert!("qcow".parse::<Format>().is_err());
        assert_eq!(Format::of_extension("vpc"), Some(Format::Vhd));
        assert_eq!(Format::of_extension("txt"), None);
    }

    #[test]
    fn short_files_are_raw() {
        assert_eq!(Format::of_contents(b"", b""), Format::Raw);
        assert_eq!(Format::of_contents(b"QFI", b"conectiX"), Format::Raw);
        assert_eq!(Format::of_contents(b"QFI\xfb", b""), Format::Qcow2);
        assert_eq!(Format::of_contents(&[0; 512], b"conectix"), Format::Vhd);
    }
}
