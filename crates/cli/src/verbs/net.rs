//! `gasang net`: virtual networks.
mod ask;
mod capture;
mod create;
mod exec;
mod forward;
mod info;
mod ls;
mod restore;
mod rm;

use clap::{Args, Subcommand};

use crate::exit::Code;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net create lab --mode natnet\n  gasang net ls\n  \
                         gasang net info lab\n  gasang net forward add web 8080:80\n  \
                         gasang net exec hostonly -- curl http://192.168.56.101\n  \
                         gasang net capture lab lab.pcap")]
pub struct Net {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Define a network
    Create(create::Create),
    /// List networks
    Ls(ls::Ls),
    /// Say what a network is, and who is on it
    Info(info::Info),
    /// Remove a network that does not run
    Rm(rm::Rm),
    /// Ports of the host that lead to guests: list, add and remove them while the network runs
    Forward(forward::Forward),
    /// Run a command on a host-only network, without any privilege
    Exec(exec::Exec),
    /// Bring machines back onto a network whose process has ended
    Restore(restore::Restore),
    /// Write down what passes a network, for tcpdump and Wireshark
    Capture(capture::Capture),
}

impl Net {
    /// Does it.
    pub fn execute(self) -> anyhow::Result<Code> {
        match self.action {
            Action::Create(create) => create.execute(),
            Action::Ls(ls) => ls.execute(),
            Action::Info(info) => info.execute(),
            Action::Rm(rm) => rm.execute(),
            Action::Forward(forward) => forward.execute(),
            Action::Exec(exec) => exec.execute(),
            Action::Restore(restore) => restore.execute(),
            Action::Capture(capture) => capture.execute(),
        }
    }
}
