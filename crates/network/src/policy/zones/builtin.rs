//! The zones that always exist, with firewalld's settings.
use std::collections::BTreeMap;

use super::{Target, Zone};

/// Name, label, target, services, masquerading.
const ZONES: [(&str, &str, Target, &[&str], bool); 9] = [
    ("block", "Block", Target::BlockReject, &[], false),
    ("dmz", "DMZ", Target::Default, &["ssh"], false),
    ("drop", "Drop", Target::Drop, &[], false),
    ("external", "External", Target::Default, &["ssh"], true),
    ("home", "Home", Target::Default, &["ssh", "mdns", "samba-client", "dhcpv6-client"], false),
    ("internal", "Internal", Target::Default, &["ssh", "mdns", "samba-client", "dhcpv6-client"], false),
    ("public", "Public", Target::Default, &["ssh", "dhcpv6-client"], false),
    ("trusted", "Trusted", Target::Accept, &[], false),
    ("work", "Work", Target::Default, &["ssh", "dhcpv6-client"], false),
];

/// All of them.
pub fn zones() -> BTreeMap<String, Zone> {
    let zone = |(name, short, target, services, masquerade): (&str, &str, Target, &[&str], bool)| {
        let zone = Zone {
            short: short.to_owned(),
            target,
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            masquerade,
            forward: true,
            ..Zone::default()
        };
        (name.to_owned(), zone)
    };
    ZONES.into_iter().map(zone).collect()
}

/// Whether a zone is one of them.
pub fn has(name: &str) -> bool {
    ZONES.iter().any(|zone| zone.0 == name)
}
