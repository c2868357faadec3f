//! `gasang net forward`.
use api::{NetRequest, PortForward};
use clap::{Args, Subcommand};

use super::ask;
use crate::exit::{Code, Usage};
use crate::networks::{Publish, host_address};
use crate::output;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net forward ls web\n  gasang net forward add web 8080:80\n  \
                         gasang net forward add lab 2222:22 --guest db\n  gasang net forward rm web 8080")]
pub struct Forward {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List a network's forwards
    Ls {
        /// The network, or the machine whose own network it is
        network: String,
        /// How to print it
        #[arg(long, default_value = "table")]
        format: output::Format,
    },
    /// Let a port of the host lead to a guest
    Add {
        /// The network, or the machine whose own network it is
        network: String,
        /// [HOSTIP:]HOSTPORT:GUESTPORT[/tcp|udp]; the host's address is 127.0.0.1 unless another is given
        #[arg(value_name = "PORTS")]
        publish: Publish,
        /// The machine's name or the guest's address; not needed if the network has one machine
        #[arg(long)]
        guest: Option<String>,
    },
    /// Close a port again; connections go on
    Rm {
        /// The network, or the machine whose own network it is
        network: String,
        /// [HOSTIP:]HOSTPORT[/tcp|udp]
        #[arg(value_name = "PORT")]
        port: String,
    },
}

impl Forward {
    /// Does it.
    pub fn execute(self) -> anyhow::Result<Code> {
        match self.action {
            Action::Ls { network, format } => {
                output::print(format, &ask::info(&network)?.forwards, |forwards| text(forwards))?;
            }
            Action::Add { network, publish, guest } => add(&network, &publish, guest)?,
            Action::Rm { network, port } => remove(&network, &port)?,
        }
        Ok(Code::OK)
    }
}

fn add(network: &str, publish: &Publish, guest: Option<String>) -> anyhow::Result<()> {
    let guest = match guest {
        Some(guest) => guest,
        None => {
            let info = ask::info(network)?;
            let mut machines: Vec<String> =
                info.ports.into_iter().map(|port| port.vm).filter(|vm| vm != "host").collect();
            machines.dedup();
            match <[String; 1]>::try_from(machines) {
                Ok([only]) => only,
                Err(machines) => {
                    let what = format!("the network {network:?} has {} machines", machines.len());
                    let advice = format!("choose one with --guest: {}", machines.join(", "));
                    return Err(Usage { what, advice }.into());
                }
            }
        }
    };
    let Publish { host, guest_port, carries } = publish;
    let forward = PortForward { carries: (*carries).to_owned(), host: *host, guest, guest_port: *guest_port };
    ask::ask(&mut ask::connect(network)?, NetRequest::AddForward(forward)).map(drop)
}

fn remove(network: &str, port: &str) -> anyhow::Result<()> {
    let (address, carries) = port.rsplit_once('/').unwrap_or((port, "tcp"));
    let host = host_address(address).ok_or_else(|| Usage {
        what: format!("{port:?} is not [HOSTIP:]HOSTPORT[/tcp|udp]"),
        advice: "'gasang net forward ls' lists what there is".to_owned(),
    })?;
    let request = NetRequest::RemoveForward { carries: carries.to_owned(), host };
    ask::ask(&mut ask::connect(network)?, request).map(drop)
}

fn text(forwards: &[PortForward]) -> String {
    let row = |forward: &PortForward| {
        vec![
            forward.host.to_string(),
            forward.carries.clone(),
            forward.guest.clone(),
            forward.guest_port.to_string(),
        ]
    };
    output::table(&["HOST", "CARRIES", "GUEST", "PORT"], &forwards.iter().map(row).collect::<Vec<_>>())
}
