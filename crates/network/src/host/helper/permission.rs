//! What a net helper does for whom.
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::request::Request;

/// Where an administrator says which networks ordinary users may have, in the format of VirtualBox's `networks.conf`:
/// lines of `*` and prefixes. A line of `bridged` and names of interfaces opens those to bridging.
pub const FILE: &str = "/etc/gasang/networks.conf";

/// Bytes that are read of the file.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What ordinary users may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    ranges: Vec<IpNet>,
    interfaces: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Would be in the way of addresses of the internet.
    #[error(
        "{0} is not a private network; host-only networks are inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fc00::/7"
    )]
    NotPrivate(IpNet),
    /// No address for a host.
    #[error("{0} names a whole network or all of its hosts, not one host of it")]
    NotAHost(IpNet),
    /// Outside of the ranges.
    #[error("{0} is not among the networks that {FILE} allows ({1})")]
    Range(IpNet, String),
    /// Not opened by the administrator.
    #[error("bridging of {0:?} is root's, unless {FILE} has a line 'bridged {0}'")]
    Interface(String),
    /// The file cannot be trusted.
    #[error("{FILE} has to be root's, and closed to writing by others")]
    FileOwner,
    /// The file makes no sense.
    #[error("{FILE} line {line}: {what}")]
    File {
        /// Counted from one.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read.
    #[error("{FILE} cannot be read")]
    Unreadable(#[source] std::io::Error),
}

impl Default for Permissions {
    /// As VirtualBox has it.
    fn default() -> Self {
        let ranges = ["192.168.56.0/21", "fd00::/8"];
        Self { ranges: ranges.iter().filter_map(|text| text.parse().ok()).collect(), interfaces: Vec::new() }
    }
}

impl Permissions {
    /// What the file says; the default if there is none.
    pub fn read() -> Result<Self, Refusal> {
        Self::of_file(Path::new(FILE))
    }
    fn of_file(path: &Path) -> Result<Self, Refusal> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Refusal::Unreadable(error)),
        };
        const WRITABLE_BY_OTHERS: u32 = 0o022;
        let metadata = file.metadata().map_err(Refusal::Unreadable)?;
        if metadata.uid() != 0 || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(Refusal::FileOwner);
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(Refusal::Unreadable)?;
        Self::of_text(&text)
    }
    fn of_text(text: &str) -> Result<Self, Refusal> {
        let mut found = Self { ranges: Vec::new(), interfaces: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: String| Refusal::File { line: number + 1, what };
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            match words.next() {
                None => {}
                Some("*") => {
                    for word in words {
                        let range = word.parse().map_err(|_| wrong(format!("{word:?} is no prefix")))?;
                        found.ranges.push(range);
                    }
                }
                Some("bridged") => found.interfaces.extend(words.map(str::to_owned)),
                Some(other) => return Err(wrong(format!("neither '*' nor 'bridged', but {other:?}"))),
            }
        }
        Ok(found)
    }
    /// Whether an ordinary user may have this.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Bridged(interface) if self.interfaces.contains(interface) => Ok(()),
            Request::Bridged(interface) => Err(Refusal::Interface(interface.clone())),
            Request::Tap(config) => {
                for net in &config.addresses {
                    if !self.ranges.iter().any(|range| range.contains(net)) {
                        let ranges: Vec<_> = self.ranges.iter().map(IpNet::to_string).collect();
                        return Err(Refusal::Range(*net, ranges.join(", ")));
                    }
                }
                Ok(())
            }
        }
    }
}

/// Whether anybody, root included, may have this.
pub fn check_for_all(request: &Request) -> Result<(), Refusal> {
    let Request::Tap(config) = request else { return Ok(()) };
    for net in &config.addresses {
        if !is_private(*net) {
            return Err(Refusal::NotPrivate(*net));
        }
        let is_network = net.addr() == net.network();
        let is_broadcast = net.addr() == net.broadcast() && matches!(net, IpNet::V4(_));
        if is_network || is_broadcast {
            return Err(Refusal::NotAHost(*net));
        }
    }
    Ok(())
}

fn is_private(net: IpNet) -> bool {
    const UNIQUE_LOCAL: u16 = 0xfc00;
    match net {
        IpNet::V4(net) => {
            net.prefix_len() >= 8
                && [Ipv4Net::network(&net), net.broadcast()].iter().all(std::net::Ipv4Addr::is_private)
        }
        IpNet::V6(net) => {
            net.prefix_len() >= 8 && Ipv6Net::network(&net).segments()[0] & 0xfe00 == UNIQUE_LOCAL
        }
    }
}

/// Addresses of the host that a new interface's addresses would be in the way of.
pub fn overlapping(wanted: &[IpNet], there: &[IpNet]) -> Option<(IpNet, IpNet)> {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.addr()) || b.contains(&a.addr());
    let is_loopback = |net: &IpNet| match net.addr() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    wanted.iter().find_map(|net| {
        there.iter().find(|other| !is_loopback(other) && overlap(net, other)).map(|other| (*net, *other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        Request::of_arguments(&words).unwrap()
    }

    #[test]
    fn the_default_allows_what_virtualbox_does() {
        let permissions = Permissions::default();
        let allowed = |text| permissions.check(&request(text)).is_ok();
        assert!(allowed("tap gasang-a 192.168.56.1/24 fd00:1::1/64"));
        assert!(allowed("tap gasang-a 192.168.63.1/24"));
        assert!(!allowed("tap gasang-a 192.168.64.1/24"));
        assert!(!allowed("tap gasang-a 192.168.56.1/16"));
        assert!(!allowed("tap gasang-a 192.168.56.1/24 10.0.0.1/24"));
        assert!(!allowed("bridged eth0"));
    }

    #[test]
    fn a_file_replaces_the_default() {
        let permissions = Permissions::of_text("# ours\n* 10.7.0.0/16 # a lab\nbridged eth1\n\n").unwrap();
        assert!(permissions.check(&request("tap gasang-a 10.7.3.1/24")).is_ok());
        assert!(permissions.check(&request("tap gasang-a 192.168.56.1/24")).is_err());
        assert!(permissions.check(&request("bridged eth1")).is_ok());
        assert!(Permissions::of_text("* 10.7.0.0/99").is_err());
        let error = Permissions::of_text("\nuser joe").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert_eq!(Permissions::of_file(Path::new("/nonexistent")).unwrap(), Permissions::default());
    }

    #[test]
    fn nobody_gets_networks_of_others() {
        let refused = |text: &str| check_for_all(&request(text)).is_err();
        for text in
            ["8.8.8.1/24", "192.168.0.1/8", "10.0.0.1/7", "10.1.2.0/24", "10.1.2.255/24", "2001:db8::1/64"]
        {
            assert!(refused(&format!("tap gasang-a {text}")), "{text}");
        }
        for text in ["10.0.0.1/8", "172.31.0.1/16", "192.168.56.1/24", "fd12::1/64", "fc00::1/8"] {
            assert!(!refused(&format!("tap gasang-a {text}")), "{text}");
        }
    }

    #[test]
    fn overlaps_are_found_both_ways() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let there = nets(&["127.0.0.1/8", "10.1.2.3/24", "fe80::1/64"]);
        assert!(overlapping(&nets(&["10.1.0.1/16"]), &there).is_some());
        assert!(overlapping(&nets(&["10.1.2.129/25"]), &there).is_some());
        assert!(overlapping(&nets(&["10.1.3.1/24", "fd00::1/64"]), &there).is_none());
    }
}
