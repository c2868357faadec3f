//! `gasang net ls`.
use clap::Args;
use manager::networks::Definition;
use manager::running::{Kind, Place};
use serde::Serialize;

use super::ask;
use crate::exit::Code;
use crate::output;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net ls\n  gasang net ls --format json")]
pub struct Ls {
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

#[derive(Serialize)]
struct Row {
    name: String,
    mode: String,
    prefix: Option<String>,
    running: bool,
    machines: Vec<String>,
}

impl Ls {
    /// Prints all networks, defined or running.
    pub fn execute(self) -> anyhow::Result<Code> {
        let running = Place::of(Kind::Network).names();
        let mut names = Definition::names();
        names.extend(running.iter().cloned());
        names.sort();
        names.dedup();
        let rows = names.into_iter().map(|name| row(name, &running)).collect::<anyhow::Result<Vec<_>>>()?;
        output::print(self.format, &rows, |rows| text(rows))?;
        Ok(Code::OK)
    }
}

fn row(name: String, running: &[String]) -> anyhow::Result<Row> {
    // One that ended meanwhile is one that does not run.
    if running.contains(&name)
        && let Ok(info) = ask::info(&name)
    {
        let machines = info.ports.into_iter().filter(|port| port.vm != "host").map(|port| port.vm).collect();
        return Ok(Row { name, mode: info.mode, prefix: info.prefix, running: true, machines });
    }
    let definition = Definition::load(&name)?;
    let prefix = definition.plan()?.v4.map(|v4| v4.prefix.to_string());
    let mode = definition.mode.name().to_owned();
    Ok(Row { name, mode, prefix, running: false, machines: Vec::new() })
}

fn text(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        vec![
            row.name.clone(),
            row.mode.clone(),
            row.prefix.clone().unwrap_or_else(|| "-".to_owned()),
            if row.running { "running" } else { "stopped" }.to_owned(),
            row.machines.join(" "),
        ]
    };
    output::table(
        &["NAME", "MODE", "PREFIX", "STATE", "MACHINES"],
        &rows.iter().map(cells).collect::<Vec<_>>(),
    )
}
