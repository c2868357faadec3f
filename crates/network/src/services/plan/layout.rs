//! Places of addresses in a network, before it is known which network.
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{PlanError, V4};

/// Places, counted from the network's address. The pool ends with the network, at most at `pool_end` of a /24.
#[derive(Clone, Copy)]
pub struct Layout {
    gateway: Option<u32>,
    host: Option<u32>,
    dhcp: u32,
    dns: Option<u32>,
    pool_start: u32,
    /// The pool has this one address.
    is_single: bool,
}

/// Prefix lengths of networks.
const SHORTEST: u8 = 8;
const LONGEST: u8 = 29;

impl Layout {
    pub const NAT: Self =
        Self { gateway: Some(2), host: None, dhcp: 2, dns: Some(3), pool_start: 15, is_single: true };
    pub const NATNET: Self =
        Self { gateway: Some(1), host: None, dhcp: 3, dns: Some(1), pool_start: 4, is_single: false };
    pub const HOSTONLY: Self =
        Self { gateway: None, host: Some(1), dhcp: 100, dns: None, pool_start: 101, is_single: false };
    pub const INTERNAL: Self = Self { host: None, ..Self::HOSTONLY };

    /// In a network that a user chose.
    pub fn within(self, prefix: Ipv4Net) -> Result<V4, PlanError> {
        let prefix = prefix.trunc();
        if prefix.prefix_len() > LONGEST {
            return Err(PlanError::TooSmall(prefix));
        }
        if prefix.prefix_len() < SHORTEST {
            return Err(PlanError::TooLarge(prefix));
        }
        let network = prefix.network();
        let is_special = network.is_loopback()
            || network.is_link_local()
            || network.octets()[0] == 0
            || network.octets()[0] >= 224;
        if is_special {
            return Err(PlanError::Special(prefix));
        }
        Ok(self.at(prefix))
    }

    /// In a network of 6 guests or more.
    pub fn at(self, prefix: Ipv4Net) -> V4 {
        let last = u32::from(prefix.broadcast()) - u32::from(prefix.network()) - 1;
        let fitted = self.fitted(last);
        let address = |place: u32| Ipv4Addr::from(u32::from(prefix.network()) + place);
        let pool_end = if self.is_single { fitted.pool_start } else { last };
        V4 {
            prefix,
            gateway: fitted.gateway.map(address),
            host: fitted.host.map(address),
            dhcp: Some(address(fitted.dhcp)),
            dns: fitted.dns.map(address),
            pool: (address(fitted.pool_start), address(pool_end)),
            default_route: fitted.gateway.is_some(),
        }
    }

    /// Moved together, so that the pool starts before the network ends.
    fn fitted(self, last: u32) -> Self {
        match self {
            _ if self.pool_start <= last => self,
            Self { is_single: true, .. } => Self { pool_start: last, ..self },
            _ => Self { dhcp: 2, pool_start: 3, ..self },
        }
    }
}
