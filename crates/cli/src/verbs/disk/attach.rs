//! `gasang disk attach`.
use api::{AttachDisk, Reply, Request};
use clap::Args;

use crate::disks::DiskOption;
use crate::exit::Code;
use crate::output::say;
use crate::remote;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk attach web data.qcow2\n  \
                         gasang disk attach web data.qcow2,bus=virtio,ro")]
pub struct Attach {
    /// The machine's name ('gasang run --name')
    machine: String,
    /// The image, with the options of 'gasang run --disk'
    #[arg(value_name = "FILE[,OPTION…]")]
    disk: DiskOption,
}

impl Attach {
    /// Asks the machine to take the disk.
    pub fn execute(self) -> anyhow::Result<Code> {
        let DiskOption { path, format, bus, read_only, cdrom, name, serial } = self.disk;
        let path = std::path::absolute(path)?;
        let format = format.map(|format| format.name().to_owned());
        let bus = bus.name().to_owned();
        let request = AttachDisk { path, format, bus, read_only, cdrom, name, serial };
        let Reply::Attached(disk) = remote::ask(&self.machine, Request::AttachDisk(request))? else {
            return Err(remote::unexpected());
        };
        say(&format!("{} has the disk {:?} now ({})", self.machine, disk.name, disk.bus));
        Ok(Code::OK)
    }
}
