//! The addresses of a network.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

mod layout;
mod ula;

use layout::Layout;

/// What a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One VM behind an address translation.
    Nat,
    /// VMs that see one another, behind an address translation.
    Natnet,
    /// VMs and the host.
    Hostonly,
    /// VMs alone.
    Internal,
}

/// The addresses of a network, and what its guests are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What the network is for.
    pub mode: Mode,
    /// IPv4; none if guests see to it themselves.
    pub v4: Option<V4>,
    /// IPv6; none if guests see to it themselves.
    pub v6: Option<V6>,
    /// Bytes of an IP packet at most.
    pub mtu: u16,
    /// Below it are the names of the VMs.
    pub domain: String,
    /// Whether names of others are looked up for guests.
    pub forwards_names: bool,
}

/// A network's IPv4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V4 {
    /// The network.
    pub prefix: Ipv4Net,
    /// The network's own address that leads outside.
    pub gateway: Option<Ipv4Addr>,
    /// The host's own address, if the host is on the network.
    pub host: Option<Ipv4Addr>,
    /// Where addresses are given away.
    pub dhcp: Option<Ipv4Addr>,
    /// Where names are looked up.
    pub dns: Option<Ipv4Addr>,
    /// First and last of the addresses that are given away.
    pub pool: (Ipv4Addr, Ipv4Addr),
    /// Whether the gateway leads anywhere.
    pub default_route: bool,
}

/// A network's IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V6 {
    /// The network, a /64.
    pub prefix: Ipv6Net,
    /// The network's own address; names are looked up there.
    pub gateway: Ipv6Addr,
    /// The host's own address, if the host is on the network.
    pub host: Option<Ipv6Addr>,
    /// Whether names are looked up at the gateway.
    pub dns: bool,
    /// Whether the gateway leads anywhere.
    pub default_route: bool,
}

/// A prefix that a network cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too few addresses.
    #[error("{0} has too few addresses for a network; /29 is the smallest")]
    TooSmall(Ipv4Net),
    /// Addresses that are of somebody else for sure.
    #[error("{0} is too large for a network; /8 is the largest")]
    TooLarge(Ipv4Net),
    /// Addresses with a meaning of their own.
    #[error("{0} is not for networks: loopback, link-local, multicast or reserved addresses")]
    Special(Ipv4Net),
}

/// Below it are the names of VMs, unless a plan says otherwise (reserved for that by ICANN).
const DOMAIN: &str = "internal";
/// Ethernet's own.
const MTU: u16 = 1500;

impl Plan {
    /// The network of a VM's card number `card`, from 0: 10.0.2.0/24, and the next ones for more cards. `name` tells it from
    /// others, and IPv6 addresses come of it.
    pub fn nat(name: &str, card: u8) -> Self {
        let network = u32::from(Ipv4Addr::new(10, 0, 2, 0)) + (u32::from(card) << 8);
        let v4 = Layout::NAT.at(prefix24(network.into()));
        Self::new(Mode::Nat, Some(v4), Some(V6::outward(name)))
    }
    /// A shared network: 10.0.2.0/24.
    pub fn natnet(name: &str) -> Self {
        let v4 = Layout::NATNET.at(prefix24(Ipv4Addr::new(10, 0, 2, 0)));
        Self::new(Mode::Natnet, Some(v4), Some(V6::outward(name)))
    }
    /// A network with the host: 192.168.56.0/24. Nothing leads outside, and there are no names, so that a VM that has
    /// another card asks there.
    pub fn hostonly(name: &str) -> Self {
        let v4 = Layout::HOSTONLY.at(prefix24(Ipv4Addr::new(192, 168, 56, 0)));
        Self::new(Mode::Hostonly, Some(v4), Some(V6::inward(name)))
    }
    /// A network of VMs alone, which see to their addresses themselves.
    pub fn internal() -> Self {
        Self::new(Mode::Internal, None, None)
    }
    /// A network of VMs alone that has DHCP.
    pub fn internal_with_dhcp(prefix: Ipv4Net) -> Result<Self, PlanError> {
        Ok(Self::new(Mode::Internal, Some(Layout::INTERNAL.within(prefix)?), None))
    }
    /// The same network elsewhere: each address keeps its place in the network. In a network that is too small for that, the
    /// addresses move together.
    pub fn with_prefix(mut self, prefix: Ipv4Net) -> Result<Self, PlanError> {
        let layout = match self.mode {
            Mode::Nat => Layout::NAT,
            Mode::Natnet => Layout::NATNET,
            Mode::Hostonly => Layout::HOSTONLY,
            Mode::Internal => Layout::INTERNAL,
        };
        self.v4 = Some(layout.within(prefix)?);
        Ok(self)
    }
    /// Whether an address is the network's own: ARP and neighbour discovery answer for it.
    pub fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.as_ref().is_some_and(|v4| v4.owns(address)),
            IpAddr::V6(address) => self.v6.as_ref().is_some_and(|v6| v6.gateway == address),
        }
    }

    fn new(mode: Mode, v4: Option<V4>, v6: Option<V6>) -> Self {
        let forwards_names = matches!(mode, Mode::Nat | Mode::Natnet);
        Self { mode, v4, v6, mtu: MTU, domain: DOMAIN.to_owned(), forwards_names }
    }
}

impl V4 {
    /// Whether an address is the network's own.
    pub fn owns(&self, address: Ipv4Addr) -> bool {
        [self.gateway, self.dhcp, self.dns].contains(&Some(address))
    }
    /// Whether a guest can have an address: it is of the network, and not one of those with a meaning.
    pub fn is_guest(&self, address: Ipv4Addr) -> bool {
        self.prefix.contains(&address)
            && address != self.prefix.network()
            && address != self.prefix.broadcast()
            && !self.owns(address)
            && self.host != Some(address)
    }
    /// What is given away, as numbers.
    pub(super) fn pool(&self) -> RangeInclusive<u32> {
        self.pool.0.into()..=self.pool.1.into()
    }
}

impl V6 {
    /// Of a network that may lead outside; whether it does is the host's to say.
    pub fn outward(name: &str) -> Self {
        let prefix = ula::prefix(name);
        Self { prefix, gateway: ula::address(prefix, 1), host: None, dns: true, default_route: false }
    }
    /// Of a network with the host, which has the first address.
    pub fn inward(name: &str) -> Self {
        let prefix = ula::prefix(name);
        let (gateway, host) = (ula::address(prefix, 0x100), Some(ula::address(prefix, 1)));
        Self { prefix, gateway, host, dns: false, default_route: false }
    }
    /// Whether a guest can have an address: it is of the network, and not one of those with a meaning.
    pub fn is_guest(&self, address: Ipv6Addr) -> bool {
        self.prefix.contains(&address)
            && address != self.prefix.network()
            && address != self.gateway
            && self.host != Some(address)
    }
}

fn prefix24(network: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::new_assert(network, 24)
}

#[cfg(test)]
mod tests;
