//! `gasang net exec`.
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use manager::networks::start::StartError;
use manager::networks::{Definition, Mode, start};
use manager::running::Client;
use network::host::namespace::Room;

use crate::exit::{Code, Usage};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net exec hostonly -- curl http://192.168.56.101\n  \
                         gasang net exec hostonly -- ssh root@192.168.56.101")]
pub struct Exec {
    /// The host-only network
    network: String,
    /// The command, which runs as the host on that network, and nowhere else
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What the network calls such a host, with its process's number behind it.
const PREFIX: &str = "exec-";

impl Exec {
    /// Runs it; its exit code is ours.
    pub fn execute(self) -> anyhow::Result<Code> {
        let definition = Definition::load(&self.network)?;
        if definition.mode != Mode::Hostonly {
            let what = format!("the network {:?} is {}", self.network, definition.mode.name());
            let advice = "commands run on host-only networks, where the host has an address".to_owned();
            return Err(Usage { what, advice }.into());
        }
        let plan = definition.plan()?;
        // The room's interface first: namespaces are made before there are threads.
        let tap = start::host_tap(&self.network, &plan);
        let (room, trunk) = Room::new(&tap)?;
        let mut client = start::running(&definition, &plan)?;
        if let Some(nic) = host_on(&mut client)? {
            let (what, advice) = match nic.strip_prefix(PREFIX) {
                Some(process) => (
                    format!("the process {process} is the host on the network {:?}", self.network),
                    "one command at a time is; start a shell as that one".to_owned(),
                ),
                None => (
                    format!("the host is on the network {:?} already", self.network),
                    "run the command as it is".to_owned(),
                ),
            };
            return Err(Usage { what, advice }.into());
        }
        let name = format!("{PREFIX}{}", std::process::id());
        start::attach_room(&mut client, name, &trunk, start::host_mac(&self.network))?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        let status = room.run(&mut command).with_context(|| format!("cannot run {:?}", self.command[0]))?;
        // As a shell says it.
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(Code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }
}

/// What the host's port on a network is called. That of a command which has just ended is waited for until it is gone.
fn host_on(client: &mut Client) -> Result<Option<String>, StartError> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let port = start::info(client)?.ports.into_iter().find(|port| port.vm == "host");
        let Some(nic) = port.map(|port| port.nic) else { return Ok(None) };
        let process = nic.strip_prefix(PREFIX).map(|process| Path::new("/proc").join(process));
        if process.is_none_or(|process| process.exists()) || Instant::now() > deadline {
            return Ok(Some(nic));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
