//! Disks.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A disk to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachDisk {
    /// The image's absolute path.
    pub path: PathBuf,
    /// The image's format; none to go by what is in it.
    pub format: Option<String>,
    /// "sata", "scsi" or "virtio".
    pub bus: String,
    /// It cannot be written.
    pub read_only: bool,
    /// It is a CD-ROM.
    pub cdrom: bool,
    /// What to call it; none for a name of the machine's choice.
    pub name: Option<String>,
    /// The serial number that the guest sees.
    pub serial: Option<String>,
}

/// A disk of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// What it is called.
    pub name: String,
    /// The image's path.
    pub path: PathBuf,
    /// The image's format.
    pub format: String,
    /// What it hangs on.
    pub bus: String,
    /// Bytes.
    pub length: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// It is a CD-ROM.
    pub cdrom: bool,
}
