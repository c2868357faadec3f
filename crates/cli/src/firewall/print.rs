//! Zones and services for people, as firewall-cmd prints them.
use std::fmt::Display;

use network::policy::zones::{Firewall, PortSpec, Service, Zone};

/// Words in a row.
pub fn words(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// Words in a row, sorted.
pub fn sorted(items: &[String]) -> String {
    let mut items: Vec<&String> = items.iter().collect();
    items.sort();
    words(items)
}

/// Ports in a row, by protocol and number.
pub fn sorted_ports(specs: &[PortSpec]) -> String {
    let mut specs = specs.to_vec();
    specs.sort_by_key(|spec| (spec.carrier.name(), spec.ports.first));
    words(specs)
}

/// One a line.
pub fn lines(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One a line, each indented, all below where they begin.
fn below(items: &[impl Display]) -> String {
    items.iter().map(|item| format!("\n\t{item}")).collect()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Everything about a zone.
pub fn zone(name: &str, zone: &Zone, verbose: bool) -> String {
    let mut rules = zone.rules.clone();
    rules.sort_by_key(|rule| rule.priority);
    let is_active = !zone.interfaces.is_empty() || !zone.sources.is_empty();
    let mut text = format!("{name}{}\n", if is_active { " (active)" } else { "" });
    if verbose {
        text += &format!("  summary: {}\n  description: {}\n", zone.short, zone.description);
    }
    let fields: [(&str, String); 13] = [
        ("target", zone.target.name().to_owned()),
        ("icmp-block-inversion", yes(zone.icmp_block_inversion).to_owned()),
        ("interfaces", sorted(&zone.interfaces)),
        ("sources", words(&zone.sources)),
        ("services", sorted(&zone.services)),
        ("ports", words(&zone.ports)),
        ("protocols", sorted(&zone.protocols)),
        ("forward", yes(zone.forward).to_owned()),
        ("masquerade", yes(zone.masquerade).to_owned()),
        ("forward-ports", below(&zone.forward_ports)),
        ("source-ports", words(&zone.source_ports)),
        ("icmp-blocks", words(&zone.icmp_blocks)),
        ("rich rules", below(&rules)),
    ];
    text += &fields.map(|(field, value)| format!("  {field}: {value}")).join("\n");
    text
}

/// Everything about a service.
pub fn service(name: &str, service: &Service, verbose: bool) -> String {
    let mut text = format!("{name}\n");
    if verbose {
        text += &format!("  summary: {}\n  description: {}\n", service.short, service.description);
    }
    let destination = service.destination.iter().map(|(version, address)| format!("{version}:{address}"));
    let fields: [(&str, String); 7] = [
        ("ports", words(&service.ports)),
        ("protocols", words(&service.protocols)),
        ("source-ports", words(&service.source_ports)),
        ("modules", words(&service.modules)),
        ("destination", words(destination)),
        ("includes", sorted(&service.includes)),
        ("helpers", sorted(&service.helpers)),
    ];
    text += &fields.map(|(field, value)| format!("  {field}: {value}")).join("\n");
    text
}

/// Zones with something bound to them.
pub fn active_zones(firewall: &Firewall) -> String {
    let mut text = String::new();
    for (name, zone) in &firewall.zones {
        if zone.interfaces.is_empty() && zone.sources.is_empty() {
            continue;
        }
        text += &format!("{name}\n");
        for (field, items) in [("interfaces", &zone.interfaces), ("sources", &zone.sources)] {
            if !items.is_empty() {
                text += &format!("  {field}: {}\n", words(items));
            }
        }
    }
    text
}
