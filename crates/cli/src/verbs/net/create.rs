//! `gasang net create`.
use clap::{Args, ValueEnum};
use ipnet::Ipv4Net;
use manager::networks::{Definition, DefinitionError, Mode};

use crate::exit::{Code, Usage};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Machines see one another, and reach the outside through an address translation
    Natnet,
    /// Machines and the host
    Hostonly,
    /// Machines alone
    Internal,
    /// Machines on the network of one of the host's interfaces
    Bridged,
}

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net create lab --mode natnet --prefix 10.9.0.0/24\n  \
                         gasang net create office --mode hostonly\n  \
                         gasang net create wire --mode internal --dhcp --prefix 172.20.0.0/24\n  \
                         gasang net create lan --mode bridged --interface eth0")]
pub struct Create {
    /// The network's name
    name: String,
    /// What it is for
    #[arg(long, default_value = "natnet")]
    mode: ModeName,
    /// Its IPv4 network [default: 10.0.2.0/24, host-only 192.168.56.0/24]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<Ipv4Net>,
    /// Give away addresses on an internal network; needs --prefix
    #[arg(long, requires = "prefix")]
    dhcp: bool,
    /// Let guests reach the host by the gateway's address
    #[arg(long)]
    allow_host: bool,
    /// The host's interface, for bridged networks
    #[arg(long, value_name = "INTERFACE", required_if_eq("mode", "bridged"))]
    interface: Option<String>,
}

impl Create {
    /// Writes the definition.
    pub fn execute(self) -> anyhow::Result<Code> {
        let mode = match (self.mode, self.interface) {
            (ModeName::Natnet, None) => Mode::Natnet,
            (ModeName::Hostonly, None) => Mode::Hostonly,
            (ModeName::Internal, None) => Mode::Internal,
            (ModeName::Bridged, Some(interface)) => Mode::Bridged { interface },
            _ => {
                let what = "--interface is for --mode bridged".to_owned();
                return Err(Usage { what, advice: "leave out one of them".to_owned() }.into());
            }
        };
        match Definition::load(&self.name) {
            Err(DefinitionError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(DefinitionError::Exists(self.name).into()),
        }
        let definition = Definition {
            prefix: self.prefix.map(|prefix| prefix.trunc()),
            dhcp: self.dhcp,
            allow_host: self.allow_host,
            ..Definition::new(&self.name, mode)
        };
        definition.save()?;
        Ok(Code::OK)
    }
}
