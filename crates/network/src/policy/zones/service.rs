//! Services: names for what programs listen on.
use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::PortSpec;

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// What people call it.
    pub short: String,
    /// What it is.
    pub description: String,
    /// Ports that it listens on.
    pub ports: Vec<PortSpec>,
    /// Protocols that it speaks.
    pub protocols: Vec<String>,
    /// Ports that its answers come from.
    pub source_ports: Vec<PortSpec>,
    /// Modules of Linux; kept and printed.
    pub modules: Vec<String>,
    /// Where it is spoken to, by IP version ("ipv4", "ipv6"); nothing for everywhere.
    pub destination: BTreeMap<String, String>,
    /// Other services that are part of it.
    pub includes: Vec<String>,
    /// Helpers of Linux; kept and printed.
    pub helpers: Vec<String>,
}

/// The services that need no file, by name.
pub fn builtin_services() -> &'static BTreeMap<String, Service> {
    static SERVICES: OnceLock<BTreeMap<String, Service>> = OnceLock::new();
    SERVICES.get_or_init(|| {
        let lines = include_str!("services.txt").lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(of_line).collect()
    })
}

/// `name | what it listens on | what people call it`.
fn of_line(line: &str) -> Option<(String, Service)> {
    let mut fields = line.split(" | ");
    let (name, words) = (fields.next()?, fields.next()?);
    let mut service = Service { short: fields.next().unwrap_or_default().to_owned(), ..Service::default() };
    for word in words.split_whitespace() {
        let owned = |text: &str| text.to_owned();
        match word.split_once(':') {
            Some(("include", name)) => service.includes.push(owned(name)),
            Some(("helper", name)) => service.helpers.push(owned(name)),
            Some(("module", name)) => service.modules.push(owned(name)),
            Some(("protocol", name)) => service.protocols.push(owned(name)),
            Some(("source", port)) => service.source_ports.push(numbers(port)?),
            Some((version @ ("ipv4" | "ipv6"), address)) => {
                service.destination.insert(owned(version), owned(address));
            }
            _ => service.ports.push(numbers(word)?),
        }
    }
    Some((name.to_owned(), service))
}

/// Ports by number only: names are what this table is for.
fn numbers(text: &str) -> Option<PortSpec> {
    let (ports, carrier) = text.split_once('/')?;
    Some(PortSpec { ports: ports.parse().ok()?, carrier: super::Carrier::of_name(carrier)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_service() {
        let lines = include_str!("services.txt").lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(builtin_services().len(), lines);
        assert_eq!(builtin_services()["https"].ports[0].to_string(), "443/tcp");
        assert_eq!(builtin_services()["samba"].includes, ["samba-client"]);
        assert_eq!(builtin_services()["dhcpv6-client"].destination["ipv6"], "fe80::/64");
        let known = |name: &String| builtin_services().contains_key(name);
        assert!(builtin_services().values().all(|service| service.includes.iter().all(known)));
    }
}
