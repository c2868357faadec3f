//! `gasang sg trace`.
use std::net::{IpAddr, Ipv4Addr};

use api::{NetReply, NetRequest, TraceFlow};
use clap::Args;
use manager::running::{Kind, Place};
use network::policy::Traced;
use network::policy::groups::{Direction, Peer, Rule, RuleProtocol};
use network::wire::Protocol;

use super::allow::numbers;
use crate::exit::{Code, Usage};
use crate::output::{self, say};
use crate::{policy, remote};

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg trace vm1 ingress tcp 80 --from 192.0.2.7\n  \
                         gasang sg trace vm1 egress udp 53 --to 10.0.2.3\n\n\
                         Asks the networks that the machine is on, and exits with 0 if the connection would pass on \
                         all of them, else with 1.")]
pub struct Trace {
    /// The machine's name
    vm: String,
    /// ingress (to the machine) or egress (from it)
    direction: Direction,
    /// tcp, udp, icmp, icmpv6, or the number of a protocol
    protocol: RuleProtocol,
    /// The port, or the type of ICMP
    #[arg(value_name = "PORT|TYPE")]
    what: Option<String>,
    /// Who begins
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// Who is spoken to
    #[arg(long, value_name = "ADDRESS")]
    to: Option<IpAddr>,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Trace {
    /// Asks, and prints what decides.
    pub fn execute(self) -> anyhow::Result<Code> {
        let flow = self.flow()?;
        let mut found = std::collections::BTreeMap::new();
        for name in Place::of(Kind::Network).names() {
            match policy::ask(&name, NetRequest::Trace(flow.clone()))? {
                NetReply::Traced(Some(traced)) => {
                    found.insert(name, policy::value::<Traced>(traced)?);
                }
                NetReply::Traced(None) => {}
                _ => return Err(remote::unexpected()),
            }
        }
        if found.is_empty() {
            say(&format!("gasang: {:?} is on no network that runs", self.vm));
            return Ok(Code::NOT_FOUND);
        }
        output::print(self.format, &found, |found| {
            let text = |(name, traced): (&String, &Traced)| {
                let verdict = if traced.allowed { "passes" } else { "does not pass" };
                let steps: String = traced.steps.iter().map(|step| format!("  {step}\n")).collect();
                format!("{name}: {verdict}\n{steps}")
            };
            found.iter().map(text).collect()
        })?;
        Ok(if found.values().all(|traced| traced.allowed) { Code::OK } else { Code::FAILURE })
    }

    fn flow(&self) -> Result<TraceFlow, Usage> {
        let RuleProtocol::One(Protocol(protocol)) = self.protocol else {
            let advice = "for example tcp 80".to_owned();
            return Err(Usage { what: "a connection has one protocol".to_owned(), advice });
        };
        let (ports, icmp) = numbers(self.protocol, self.what.as_deref())?;
        let rule = Rule { ports, icmp, ..Rule::any(0, self.direction, Peer::Anybody) };
        let number = if ports.is_none() && icmp.is_none() { 0 } else { *rule.numbers().start() };
        let peer = match self.direction {
            Direction::Ingress => self.from,
            Direction::Egress => self.to,
        };
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Ok(TraceFlow { vm: self.vm.clone(), direction: self.direction.to_string(), protocol, number, peer })
    }
}
