//! `gasang sg stats`.
use std::collections::BTreeMap;

use api::{NetReply, NetRequest};
use clap::Args;
use manager::running::{Kind, Place};
use network::policy::Stats as Counters;

use crate::exit::Code;
use crate::output;
use crate::{policy, remote};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg stats\n  gasang sg stats lab --format json")]
pub struct Stats {
    /// Networks [default: all that run]
    networks: Vec<String>,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Stats {
    /// Asks networks for their counters.
    pub fn execute(self) -> anyhow::Result<Code> {
        let names = if self.networks.is_empty() { Place::of(Kind::Network).names() } else { self.networks };
        let mut found = BTreeMap::new();
        for name in names {
            let NetReply::PolicyStats(counters) = policy::ask(&name, NetRequest::PolicyStats)? else {
                return Err(remote::unexpected());
            };
            found.insert(name, policy::value::<Counters>(counters)?);
        }
        output::print(self.format, &found, table)?;
        Ok(Code::OK)
    }
}

fn table(found: &BTreeMap<String, Counters>) -> String {
    let mut rows = Vec::new();
    for (network, counters) in found {
        let mut row = |what: &str, name: String, count: u64| {
            rows.push(vec![network.clone(), what.to_owned(), name, count.to_string()]);
        };
        row("flows", String::new(), counters.flows as u64);
        for rule in counters.rules.iter().filter(|rule| rule.hits > 0) {
            row("allowed", format!("{} rule {}: {}", rule.group, rule.rule, rule.text), rule.hits);
        }
        for port in &counters.ports {
            for (reason, count) in &port.drops {
                row("dropped", format!("{}:{} {reason}", port.vm, port.nic), *count);
            }
        }
        for (reason, count) in &counters.drops {
            row("dropped", format!("all {reason}"), *count);
        }
    }
    output::table(&["NETWORK", "WHAT", "WHICH", "COUNT"], &rows)
}
