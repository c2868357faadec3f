//! The host's own addresses, from which guests are kept away.
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use parking_lot::Mutex;
use rustix::io::Errno;

use super::netlink::Netlink;

/// How long an answer of the kernel is believed.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What the kernel of this network namespace takes for itself, asked again when it is older than a second.
#[derive(Debug)]
pub struct HostAddresses {
    netlink: Netlink,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    asked: Instant,
    own: Vec<IpNet>,
}

impl HostAddresses {
    /// Asks the kernel for the first time.
    pub fn new() -> Result<Self, Errno> {
        let netlink = Netlink::open()?;
        let own = ask(&netlink)?;
        Ok(Self { netlink, known: Mutex::new(Known { asked: Instant::now(), own }) })
    }
    /// Whether packets to this address would end at the host itself. If the kernel does not answer, as it last answered.
    pub fn is_own(&self, address: IpAddr) -> bool {
        let mut known = self.known.lock();
        if known.asked.elapsed() > AGE_MAX {
            match ask(&self.netlink) {
                Ok(own) => known.own = own,
                Err(error) => tracing::warn!(%error, "the host's addresses cannot be asked for"),
            }
            known.asked = Instant::now();
        }
        let address = address.to_canonical();
        known.own.iter().any(|net| net.contains(&address))
    }
    /// Whether the host can send to addresses of the internet by IPv6: it has one that is good for that.
    pub fn has_global_ipv6(&self) -> bool {
        let is_global = |net: &IpNet| matches!(net.addr(), IpAddr::V6(address) if address.segments()[0] & 0xe000 == 0x2000);
        self.known.lock().own.iter().any(is_global)
    }
}

/// Both what is routed to the host and what its interfaces have: an interface that is down has no routes.
fn ask(netlink: &Netlink) -> Result<Vec<IpNet>, Errno> {
    let routes = netlink.local_routes()?.into_iter().map(|route| route.0);
    let addresses = netlink.addresses()?.into_iter().map(|address| IpNet::from(address.net.addr()));
    let mut own: Vec<_> = routes.chain(addresses).collect();
    own.sort_unstable();
    own.dedup();
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_the_hosts_own() {
        let addresses = HostAddresses::new().unwrap();
        if addresses.known.lock().own.is_empty() {
            return eprintln!("skipped: the loopback of this namespace is down");
        }
        for own in ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1"] {
            assert!(addresses.is_own(own.parse().unwrap()), "{own}");
        }
        for other in ["192.0.2.1", "2001:db8::1"] {
            assert!(!addresses.is_own(other.parse().unwrap()), "{other}");
        }
    }
}
