//! What can be measured: a script, the guest that it runs in, and where its results go.
use clap::ValueEnum;
use manager::images::{Images, Script};

use super::native::Host;
use crate::programs::{self, PROGRAMS};

/// A set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Set {
    /// Small workloads of busybox
    Busybox,
    /// Programs from Debian's packages, with checked results
    Programs,
    /// Work for two CPUs: two virtual CPUs compared with one
    Parallel,
    /// A Debian's boot from a disk, and fio on another, on each kind of bus
    Disks,
    /// iperf3 in a Debian, through NAT to a server outside
    Networks,
}

impl Set {
    /// Its script, from the project's root; `None` for disks and networks, which are measured from outside.
    pub fn script(self) -> Option<&'static str> {
        match self {
            Set::Busybox => Some("benches/guest-workloads.sh"),
            Set::Programs => Some("benches/programs.sh"),
            Set::Parallel => Some("benches/parallel.sh"),
            Set::Disks | Set::Networks => None,
        }
    }

    /// Guest memory; more than the workloads need.
    pub fn memory_mib(self) -> u32 {
        match self {
            Set::Busybox => 512,
            Set::Programs | Set::Parallel | Set::Disks | Set::Networks => 2048,
        }
    }

    /// A word for it in names of files and in the README.
    pub fn name(self) -> &'static str {
        match self {
            Set::Busybox => "bench",
            Set::Programs => "bench-programs",
            Set::Parallel => "bench-parallel",
            Set::Disks => "bench-disks",
            Set::Networks => "bench-networks",
        }
    }

    /// The guest's initramfs, and where the host can run the same.
    pub fn prepare(self, images: &Images, text: String) -> anyhow::Result<(std::path::PathBuf, Host)> {
        let script = Script::of(self.name(), text);
        if self == Set::Busybox {
            return Ok((images.initramfs(&script)?, Host::Busybox(images.busybox()?)));
        }
        let script = programs::with_files(script, "benches/programs")?;
        let initrd = images.package_initramfs(&PROGRAMS, &script)?;
        Ok((initrd, Host::root(images.package_root(&PROGRAMS)?)))
    }
}
