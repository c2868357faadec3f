//! `gasang disk attached`.
use api::{Disk, Reply, Request};
use clap::Args;

use crate::exit::Code;
use crate::quantity::show_size;
use crate::{output, remote};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk attached web")]
pub struct Attached {
    /// The machine's name
    machine: String,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Attached {
    /// Prints the machine's disks.
    pub fn execute(self) -> anyhow::Result<Code> {
        let Reply::Disks(disks) = remote::ask(&self.machine, Request::Disks)? else {
            return Err(remote::unexpected());
        };
        output::print(self.format, &disks, |disks| text(disks))?;
        Ok(Code::OK)
    }
}

fn text(disks: &[Disk]) -> String {
    let row = |disk: &Disk| {
        let kind = match (disk.cdrom, disk.read_only) {
            (true, _) => "cdrom",
            (false, true) => "read-only",
            (false, false) => "disk",
        };
        let Disk { name, path, format, bus, length, .. } = disk;
        vec![
            name.clone(),
            bus.clone(),
            kind.to_owned(),
            show_size(*length),
            format.clone(),
            path.display().to_string(),
        ]
    };
    output::table(
        &["NAME", "BUS", "KIND", "SIZE", "FORMAT", "IMAGE"],
        &disks.iter().map(row).collect::<Vec<_>>(),
    )
}
