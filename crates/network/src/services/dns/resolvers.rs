//! The host's resolvers, of what `resolv.conf` says (resolv.conf(5)). Reading the file, and again when it changes, is the
//! caller's.
use std::net::{IpAddr, Ipv4Addr};

/// A resolver of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Its address, maybe one of the host's own.
    pub address: IpAddr,
    /// The interface that an address of a link is of: its name or its number.
    pub scope: Option<String>,
}

/// Resolvers that are looked at, as in glibc.
const RESOLVERS_MAX: usize = 3;
/// More than an interface's name has.
const SCOPE_MAX: usize = 15;

/// The resolvers in a `resolv.conf`, in order. If there are none, it is the host itself.
pub fn resolvers(text: &str) -> Vec<Resolver> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then_some(())?;
        resolver(words.next()?)
    });
    let list: Vec<_> = lines.take(RESOLVERS_MAX).collect();
    if list.is_empty() {
        return vec![Resolver { address: Ipv4Addr::LOCALHOST.into(), scope: None }];
    }
    list
}

fn resolver(word: &str) -> Option<Resolver> {
    let (address, scope) = match word.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (word, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let is_possible = |scope: &str| !scope.is_empty() && scope.len() <= SCOPE_MAX && address.is_ipv6();
    scope.is_none_or(is_possible).then(|| Resolver { address, scope: scope.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str) -> Vec<String> {
        let show = |resolver: &Resolver| match &resolver.scope {
            Some(scope) => format!("{}%{scope}", resolver.address),
            None => resolver.address.to_string(),
        };
        resolvers(text).iter().map(show).collect()
    }

    #[test]
    fn files_as_they_are_found() {
        assert_eq!(rows("# made by\nnameserver 192.0.2.1\nsearch example\n"), ["192.0.2.1"]);
        assert_eq!(rows("nameserver 127.0.0.53\noptions edns0 trust-ad\n"), ["127.0.0.53"]);
        assert_eq!(
            rows("nameserver\tfe80::1%eth0 # the router\r\n nameserver ::1\n"),
            ["fe80::1%eth0", "::1"]
        );
        assert_eq!(rows(";nameserver 192.0.2.1\nnameserver x\nnameservers 192.0.2.2\n"), ["127.0.0.1"]);
        assert_eq!(rows(""), ["127.0.0.1"]);
        assert_eq!(rows("nameserver 192.0.2.1%eth0\nnameserver fe80::1%\n"), ["127.0.0.1"]);
        assert_eq!(rows(&"nameserver 192.0.2.1\n".repeat(9)).len(), 3);
    }

    proptest! {
        #[test]
        fn any_text(text in "(nameserver [0-9a-f:.%]{0,20}\n|.{0,20}\n){0,9}") {
            prop_assert!((1..=3).contains(&resolvers(&text).len()));
        }
    }
}
