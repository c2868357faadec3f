//! Forward ports of the firewall: what is led elsewhere, and the answers to it.
use std::net::SocketAddr;
use std::time::Instant;

use super::Filter;
use crate::policy::track::{Seen, is_opening, quoted};
use crate::policy::zones;
use crate::wire::{Ip, Protocol, Tuple};

impl Filter {
    /// Whether anything is led elsewhere at all.
    #[inline]
    pub fn leads(&self) -> bool {
        self.leads || self.flows.has_led()
    }
    /// Where a packet is led whose sender wants to reach the network or somebody on it; none if it stays as it is. Flows that
    /// are known stay where they are, whatever the firewall says by now.
    pub fn led_to(&mut self, seen: &Seen, now: Instant) -> Option<SocketAddr> {
        let Seen { tuple, flags } = *seen;
        let opens = is_opening(tuple.protocol, flags);
        if let Some(flow) = self.flows.find_original(&tuple, now).and_then(|found| self.flows.flow(found))
            && !(opens && flow.state.is_ending())
        {
            return Some(flow.tuple.to());
        }
        if !self.leads || (tuple.protocol == Protocol::TCP && !opens) {
            return None;
        }
        let to = zones::forward(&self.firewall, &tuple)
            .filter(|to| to.is_ipv4() == tuple.destination.is_ipv4() && *to != tuple.to())?;
        let led = Tuple { destination: to.ip(), destination_port: to.port(), ..tuple };
        // A flow of either kind that this one could not be told from.
        let is_taken = [tuple, led].into_iter().any(|tuple| {
            let flow = self.flows.find(&tuple, now).and_then(|found| self.flows.flow(found));
            flow.is_some_and(|flow| !(opens && flow.state.is_ending()))
        });
        (!is_taken).then_some(to)
    }
    /// What the receiver of a packet knows as its sender: of an answer in a flow that was led elsewhere, or of an ICMP error
    /// about a packet of such a flow.
    pub fn led_from(&mut self, ip: &Ip, frame: &[u8], now: Instant) -> Option<SocketAddr> {
        let (tuple, is_error) = match quoted(ip, frame) {
            Some(quoted) if quoted.source == ip.destination => (quoted, true),
            Some(_) => return None,
            None => (ip.tuple(), false),
        };
        let found = self.flows.find(&tuple, now)?;
        let original = self.flows.flow(found)?.original?;
        (found.from_initiator == is_error).then(|| original.to())
    }
}
