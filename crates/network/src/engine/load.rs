//! How much a network keeps for its guests at the moment.
use super::{BUDGET, Network};

/// Counts of what is kept. Each is bounded, whatever guests do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// TCP connections through the NAT.
    pub connections: usize,
    /// Bytes of theirs on their way.
    pub tcp_bytes: usize,
    /// Sockets for datagrams.
    pub datagrams: usize,
    /// Series of pings.
    pub echoes: usize,
    /// Queries for the host's resolvers.
    pub lookups: usize,
    /// Clients of forwarded ports for datagrams.
    pub clients: usize,
    /// Flows that the filter tracks.
    pub flows: usize,
    /// Packets whose other fragments the filter would let pass.
    pub fragmented: usize,
    /// Bytes of fragments that wait for the others.
    pub fragment_bytes: usize,
    /// DHCP's leases, expired or not.
    pub leases: usize,
    /// Addresses that guests were seen with.
    pub neighbours: usize,
    /// Bytes of frames that ports had no room for.
    pub backlog_bytes: usize,
}

impl Network {
    /// What is kept now.
    pub fn load(&self) -> Load {
        Load {
            connections: self.connections.len(),
            tcp_bytes: BUDGET - self.budget.free(),
            datagrams: self.datagrams.len(),
            echoes: self.echoes.len(),
            lookups: self.lookups.len(),
            clients: self.forwards.clients(),
            flows: self.filter.flows(),
            fragmented: self.filter.fragmented(),
            fragment_bytes: self.reassembly.values().map(crate::wire::fragments::Reassembly::bytes).sum(),
            leases: self.gateway.leases().map_or(0, |leases| leases.iter().count()),
            neighbours: self.members.keys().map(|id| self.gateway.addresses(*id).count()).sum(),
            backlog_bytes: self.ports.iter().map(|(_, port)| port.backlog_bytes()).sum(),
        }
    }
}
