//! `gasang sg allow`.
use clap::Args;
use network::policy::groups::{Direction, IcmpMatch, Peer, PortRange, Rule, RuleProtocol};
use network::wire::Protocol;

use crate::exit::{Code, Usage};
use crate::output::say;
use crate::policy::change_groups;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang sg allow web ingress tcp 80\n  gasang sg allow web ingress tcp 8000-8100\n  \
                         gasang sg allow web ingress icmp echo-request --from 192.0.2.0/24\n  \
                         gasang sg allow db ingress tcp 5432 --from group:web\n  gasang sg allow web egress any"
)]
pub struct Allow {
    /// The group's name
    group: String,
    /// ingress (to the machine) or egress (from it)
    direction: Direction,
    /// tcp, udp, icmp, icmpv6, any, or the number of a protocol
    protocol: RuleProtocol,
    /// A port or a range of ports; of ICMP, a type or type/code [default: all]
    #[arg(value_name = "PORTS|TYPE")]
    what: Option<String>,
    /// Who begins: an address, a network or group:NAME [default: anybody]
    #[arg(long, value_name = "PEER")]
    from: Option<Peer>,
    /// Who is spoken to: an address, a network or group:NAME [default: anybody]
    #[arg(long, value_name = "PEER")]
    to: Option<Peer>,
}

impl Allow {
    /// Adds the rule.
    pub fn execute(self) -> anyhow::Result<Code> {
        let rule = self.rule()?;
        let id = change_groups(false, |groups| Ok(groups.allow(&self.group, rule.clone())?))?;
        say(&format!("{} has the rule {id} now: {rule}", self.group));
        Ok(Code::OK)
    }

    fn rule(&self) -> anyhow::Result<Rule> {
        let Self { direction, protocol, .. } = *self;
        let (peer, other, wrong) = match direction {
            Direction::Ingress => (&self.from, &self.to, "--to is for egress"),
            Direction::Egress => (&self.to, &self.from, "--from is for ingress"),
        };
        if other.is_some() {
            let advice = "the machine's own end is the group's members".to_owned();
            return Err(Usage { what: wrong.to_owned(), advice }.into());
        }
        let numbers = numbers(protocol, self.what.as_deref())?;
        let peer = peer.clone().unwrap_or_default();
        Ok(Rule { protocol, ports: numbers.0, icmp: numbers.1, ..Rule::any(0, direction, peer) })
    }
}

/// Ports or ICMP types, as the protocol has them.
pub fn numbers(
    protocol: RuleProtocol,
    text: Option<&str>,
) -> Result<(Option<PortRange>, Option<IcmpMatch>), Usage> {
    let Some(text) = text else { return Ok((None, None)) };
    let usage = |what: String| {
        let advice = "for example: tcp 80, udp 5000-5010, icmp echo-request, any".to_owned();
        Usage { what, advice }
    };
    match protocol {
        RuleProtocol::One(Protocol::TCP | Protocol::UDP | Protocol(33 | 132)) => Ok((
            Some(
                text.parse()
                    .map_err(|error: network::policy::groups::ParseError| usage(error.to_string()))?,
            ),
            None,
        )),
        RuleProtocol::One(protocol @ (Protocol::ICMP | Protocol::ICMPV6)) => {
            let parsed = IcmpMatch::parse(text, protocol);
            Ok((None, Some(parsed.map_err(|error| usage(error.to_string()))?)))
        }
        _ => Err(usage(format!("{protocol} has no ports"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_protocol_has() {
        let tcp = "tcp".parse().unwrap();
        assert_eq!(numbers(tcp, Some("80")).unwrap().0.unwrap().first, 80);
        assert_eq!(numbers("icmp".parse().unwrap(), Some("3/4")).unwrap().1.unwrap().code, Some(4));
        assert!(numbers("any".parse().unwrap(), Some("80")).is_err());
        assert!(numbers(tcp, Some("http")).is_err());
        assert_eq!(numbers(tcp, None).unwrap(), (None, None));
    }
}
