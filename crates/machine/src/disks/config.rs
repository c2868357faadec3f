//! A disk, described.
use std::fmt;
use std::sync::Arc;

use platform::DiskBackend;

/// What a disk hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskBus {
    /// A port of the AHCI controller: `sdX` in Linux.
    Sata,
    /// A target of the virtio-scsi controller: `sdX` in Linux.
    Scsi,
    /// A virtio-blk device of its own: `vdX` in Linux.
    Virtio,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// A disk.
    Disk,
    /// A CD-ROM drive with a medium in it; on SATA or SCSI.
    CdRom,
}

/// A disk of a machine.
#[derive(Clone)]
pub struct DiskConfig {
    /// What the user calls it, unique in the machine.
    pub name: String,
    /// Where its bytes are.
    pub image: Arc<dyn DiskBackend>,
    /// What it hangs on.
    pub bus: DiskBus,
    /// What it is.
    pub kind: DiskKind,
    /// What the guest sees as its serial number: at most 20 printable ASCII characters.
    pub serial: String,
    /// Nobody needs it after the machine's end.
    pub throw_away: bool,
}

impl DiskBus {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sata => "sata",
            Self::Scsi => "scsi",
            Self::Virtio => "virtio",
        }
    }
}

impl fmt::Debug for DiskConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskConfig")
            .field("name", &self.name)
            .field("shape", &self.image.shape())
            .field("bus", &self.bus)
            .field("kind", &self.kind)
            .field("serial", &self.serial)
            .field("throw_away", &self.throw_away)
            .finish()
    }
}
