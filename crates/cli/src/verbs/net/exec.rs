//! `gasang net exec`.
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use anyhow::Context;
use clap::Args;
use manager::networks::{Definition, Mode, start};
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
        let name = format!("exec-{}", std::process::id());
        let taken = start::info(&mut client)?.ports.iter().any(|port| port.vm == "host");
        if taken {
            let what = format!("the host is on the network {:?} already", self.network);
            let advice = "run the command as it is".to_owned();
            return Err(Usage { what, advice }.into());
        }
        start::attach_trunk(&mut client, &name, &trunk, start::host_mac(&self.network))?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        let status = room.run(&mut command).with_context(|| format!("cannot run {:?}", self.command[0]))?;
        // As a shell says it.
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(Code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
    }
}
