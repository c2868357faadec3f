//! `gasang disk`: images, and the disks of running machines.
mod attach;
mod attached;
mod cat;
mod check;
mod convert;
mod create;
mod detach;
mod info;
mod inside;
mod ls;
mod resize;

use clap::{Args, Subcommand};

use crate::exit::Code;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk create data.qcow2 10G\n  gasang disk info data.qcow2\n  \
                         gasang disk convert appliance.vmdk appliance.qcow2\n  \
                         gasang disk ls data.qcow2 /etc\n  gasang disk attach web data.qcow2")]
pub struct Disk {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make an empty image
    Create(create::Create),
    /// Say what images are
    Info(info::Info),
    /// Copy an image into a new one, of another format or the same
    Convert(convert::Convert),
    /// Change the length of an image's disk
    Resize(resize::Resize),
    /// Look for contradictions in an image, and mend them
    Check(check::Check),
    /// List an image's partitions and file systems, or a directory on one of them
    Ls(ls::Ls),
    /// Print a file that is in an image
    Cat(cat::Cat),
    /// List the disks of a running machine
    Attached(attached::Attached),
    /// Give a disk to a running machine
    Attach(attach::Attach),
    /// Take a disk away from a running machine
    Detach(detach::Detach),
}

impl Disk {
    /// Does it.
    pub fn execute(self) -> anyhow::Result<Code> {
        match self.action {
            Action::Create(create) => create.execute(),
            Action::Info(info) => info.execute(),
            Action::Convert(convert) => convert.execute(),
            Action::Resize(resize) => resize.execute(),
            Action::Check(check) => check.execute(),
            Action::Ls(ls) => ls.execute(),
            Action::Cat(cat) => cat.execute(),
            Action::Attached(attached) => attached.execute(),
            Action::Attach(attach) => attach.execute(),
            Action::Detach(detach) => detach.execute(),
        }
    }
}
