//! Which guest has which addresses.
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Names that guests bring along are remembered up to this number.
const LEARNT_MAX: usize = 4096;
/// Addresses of one name; older ones are forgotten. Guests change their temporary IPv6 addresses (RFC 8981) every day.
const ADDRESSES_MAX: usize = 8;

/// Names without a domain, in lower case.
#[derive(Clone, Debug, Default)]
pub struct Names {
    fixed: BTreeMap<String, Vec<IpAddr>>,
    learnt: BTreeMap<String, Vec<IpAddr>>,
}

impl Names {
    /// Sets names that guests cannot have.
    pub fn set_fixed(&mut self, names: BTreeMap<String, Vec<IpAddr>>) {
        self.fixed = names.into_iter().map(|(name, list)| (name.to_ascii_lowercase(), list)).collect();
    }
    /// Learns of a guest's address. One that another guest had is this one's now.
    pub fn learn(&mut self, name: &str, address: IpAddr) {
        let has_it = |list: &Vec<IpAddr>| list.contains(&address);
        if self.learnt.get(name).is_some_and(has_it) {
            return;
        }
        self.forget_address(address);
        if self.learnt.len() >= LEARNT_MAX && !self.learnt.contains_key(name) {
            return;
        }
        let list = self.learnt.entry(name.to_owned()).or_default();
        // A guest has one address of IPv4 in a network.
        list.retain(|other| other.is_ipv6() || address.is_ipv6());
        list.push(address);
        if list.len() > ADDRESSES_MAX {
            list.remove(0);
        }
    }
    /// Forgets an address that is nobody's now.
    pub fn forget_address(&mut self, address: IpAddr) {
        for list in self.learnt.values_mut() {
            list.retain(|&other| other != address);
        }
        self.learnt.retain(|_, list| !list.is_empty());
    }
    /// The addresses of a name, in whatever case.
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        let name = name.to_ascii_lowercase();
        self.fixed.get(&name).or_else(|| self.learnt.get(&name)).map(Vec::as_slice)
    }
    /// The name of an address: a guest's first.
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        let all = self.learnt.iter().filter(|(name, _)| !self.fixed.contains_key(*name)).chain(&self.fixed);
        all.into_iter().find(|(_, list)| list.contains(&address)).map(|(name, _)| name.as_str())
    }
}
