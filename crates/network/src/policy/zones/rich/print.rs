//! Rules as firewalld prints them.
use std::fmt::{Formatter, Result, Write};

use super::{Action, Element, Match, Part, RichRule, Station};

/// An element as it was written, in the order in which it is printed.
pub(super) fn part_text(part: &Part) -> String {
    let mut text = part.name.clone();
    let order =
        ["group", "prefix", "queue-size", "level", "name", "value", "port", "protocol", "to-port", "to-addr"];
    for name in order.iter().chain(&["type"]) {
        if let Some(value) = part.get(name) {
            let _ = write!(text, " {name}=\"{value}\"");
        }
    }
    if let Some(limit) = &part.limit {
        let _ = write!(text, " limit value=\"{limit}\"");
    }
    text
}

pub(super) fn print(rule: &RichRule, to: &mut Formatter<'_>) -> Result {
    to.write_str("rule")?;
    if rule.priority != 0 {
        write!(to, " priority=\"{}\"", rule.priority)?;
    }
    if let Some(family) = rule.family {
        write!(to, " family=\"{}\"", family.name())?;
    }
    for (name, station) in [("source", &rule.source), ("destination", &rule.destination)] {
        if let Some(station) = station {
            print_station(name, station, to)?;
        }
    }
    if let Some(element) = &rule.element {
        print_element(element, to)?;
    }
    for text in [&rule.log, &rule.audit].into_iter().flatten() {
        write!(to, " {text}")?;
    }
    match &rule.action {
        None => return Ok(()),
        Some(Action::Accept) => to.write_str(" accept")?,
        Some(Action::Drop) => to.write_str(" drop")?,
        Some(Action::Mark(set)) => write!(to, " mark set={set}")?,
        Some(Action::Reject(None)) => to.write_str(" reject")?,
        Some(Action::Reject(Some(kind))) => write!(to, " reject type=\"{kind}\"")?,
    }
    match &rule.limit {
        Some(limit) => write!(to, " limit value=\"{limit}\""),
        None => Ok(()),
    }
}

fn print_station(name: &str, station: &Match, to: &mut Formatter<'_>) -> Result {
    let not = if station.is_inverted { " NOT" } else { "" };
    let (kind, value) = match &station.what {
        Station::Address(value) => ("address", value),
        Station::Mac(value) => ("mac", value),
        Station::Set(value) => ("ipset", value),
    };
    write!(to, " {name}{not} {kind}=\"{value}\"")
}

fn print_element(element: &Element, to: &mut Formatter<'_>) -> Result {
    match element {
        Element::Service(name) => write!(to, " service name=\"{name}\""),
        Element::Port(spec) => write!(to, " port port=\"{}\" protocol=\"{}\"", spec.ports, spec.carrier),
        Element::SourcePort(spec) => {
            write!(to, " source-port port=\"{}\" protocol=\"{}\"", spec.ports, spec.carrier)
        }
        Element::Protocol(value) => write!(to, " protocol value=\"{value}\""),
        Element::IcmpBlock(name) => write!(to, " icmp-block name=\"{name}\""),
        Element::IcmpType(name) => write!(to, " icmp-type name=\"{name}\""),
        Element::Masquerade => to.write_str(" masquerade"),
        Element::ForwardPort(forward) => {
            write!(to, " forward-port port=\"{}\" protocol=\"{}\"", forward.ports, forward.carrier)?;
            if let Some(ports) = forward.to_ports {
                write!(to, " to-port=\"{ports}\"")?;
            }
            forward.to_address.map_or(Ok(()), |address| write!(to, " to-addr=\"{address}\""))
        }
    }
}
