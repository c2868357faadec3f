//! Where guests' packets lead outside, and where they must not.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::host::addresses::HostAddresses;
use crate::host::reach;

/// What is behind the NAT.
#[derive(Debug)]
pub struct Outside {
    addresses: HostAddresses,
    /// Whether guests reach the host: its loopback by the gateway's address, and all of its addresses.
    allow_host: bool,
}

/// A destination that guests must not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not for guests")]
pub struct Dark(pub IpAddr);

impl Outside {
    /// Of this host.
    pub fn new(allow_host: bool) -> std::io::Result<Self> {
        Ok(Self { addresses: HostAddresses::new()?, allow_host })
    }
    /// Whether the gateway's address is the host's loopback.
    pub fn allows_host(&self) -> bool {
        self.allow_host
    }
    /// Whether IPv6 leads outside.
    pub fn has_ipv6(&self) -> bool {
        self.addresses.has_global_ipv6()
    }
    /// Checks where a packet leads to.
    pub fn check(&self, to: IpAddr) -> Result<(), Dark> {
        let own = self.addresses.is_own(to);
        if own && self.allow_host && !to.is_loopback() {
            return Ok(());
        }
        if own || reach::is_dark(to).is_some() { Err(Dark(to)) } else { Ok(()) }
    }
    /// The host's loopback, in place of the gateway's address.
    pub fn loopback(of: SocketAddr) -> SocketAddr {
        let address = match of.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(address, of.port())
    }
}
