//! From elements to a rule that makes sense, with firewalld's complaints.
use super::{Action, Element, Family, Match, Part, Parts, RichRule, Station, port_spec};
use crate::policy::zones::{Carrier, Fault, FaultCode, ForwardPort, edit, parse_ports, protocols};

const REJECT_V4: &str = "icmp-host-prohibited, host-prohib, icmp-net-unreachable, net-unreach, icmp-host-unreachable, \
                         host-unreach, icmp-port-unreachable, port-unreach, icmp-proto-unreachable, proto-unreach, \
                         icmp-net-prohibited, net-prohib, tcp-reset, tcp-rst, icmp-admin-prohibited, admin-prohib";
const REJECT_V6: &str = "icmp6-adm-prohibited, adm-prohibited, icmp6-no-route, no-route, icmp6-addr-unreachable, \
                         addr-unreach, icmp6-port-unreachable, port-unreach, tcp-reset";
const LOG_LEVELS: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

fn wrong(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::InvalidRule, detail)
}

/// Makes a rule of its elements.
pub(super) fn check(parts: &Parts, is_empty: bool) -> Result<RichRule, Fault> {
    if is_empty {
        return Err(wrong("no element, no action"));
    }
    let named = |names: &[&str]| parts.parts.iter().find(|part| names.contains(&part.name.as_str()));
    let station = |name| named(&[name]).map(of_station).transpose();
    let (source, destination) = (station("source")?, station("destination")?);
    let element = parts.parts.iter().find(|part| is_element(part));
    let (log, audit) = (named(&["log", "nflog"]), named(&["audit"]));
    let action = named(&["accept", "drop", "reject", "mark"]);
    check_family(parts, source.as_ref(), destination.as_ref(), element)?;
    let priority = i16::try_from(parts.priority).map_err(|_| {
        let told = "'priority' attribute must be between -32768 and 32767.";
        Fault::new(FaultCode::InvalidPriority, told)
    })?;
    if element.is_none() && (log.is_none() || priority == 0) {
        if action.is_none() {
            return Err(wrong("no element, no action"));
        }
        if source.is_none() && destination.is_none() && priority == 0 {
            return Err(wrong("no element, no source, no destination"));
        }
    }
    let acts_alone = element
        .is_some_and(|part| matches!(part.name.as_str(), "icmp-block" | "forward-port" | "masquerade"));
    if !acts_alone && log.is_none() && audit.is_none() && action.is_none() {
        return Err(wrong("no action, no log, no audit"));
    }
    for station in [&source, &destination].into_iter().flatten() {
        check_station(station, parts.family)?;
    }
    let element = element.map(|part| of_element(part, parts.family, action.is_some())).transpose()?;
    for part in [log, audit, action].into_iter().flatten() {
        check_part(part)?;
    }
    if audit.is_some() && action.is_none_or(|part| part.name == "mark") {
        return Err(wrong("audit without accept, reject or drop"));
    }
    Ok(RichRule {
        priority,
        family: parts.family,
        source,
        destination,
        element,
        log: log.map(super::print::part_text),
        audit: audit.map(super::print::part_text),
        action: action.map(|part| of_action(part, parts.family)).transpose()?,
        limit: action.and_then(|part| part.limit.clone()),
    })
}

fn is_element(part: &Part) -> bool {
    !matches!(
        part.name.as_str(),
        "source" | "destination" | "log" | "nflog" | "audit" | "accept" | "drop" | "reject" | "mark"
    )
}

fn check_family(
    parts: &Parts,
    source: Option<&Match>,
    destination: Option<&Match>,
    element: Option<&Part>,
) -> Result<(), Fault> {
    let has_address = source.is_some_and(|source| matches!(source.what, Station::Address(_)));
    let needs_it =
        has_address || destination.is_some() || element.is_some_and(|part| part.name == "forward-port");
    match parts.family {
        None if needs_it => Err(Fault::new(FaultCode::MissingFamily, "")),
        _ => Ok(()),
    }
}

fn of_station(part: &Part) -> Result<Match, Fault> {
    let attribute = |name| part.get(name).map(str::to_owned);
    let what = match (attribute("address"), attribute("mac"), attribute("ipset")) {
        (Some(_), Some(_), _) => return Err(wrong("address and mac")),
        (Some(_), _, Some(_)) => return Err(wrong("address and ipset")),
        (_, Some(_), Some(_)) => return Err(wrong("mac and ipset")),
        (Some(address), ..) => Station::Address(address),
        (_, Some(mac), _) => Station::Mac(mac.to_uppercase()),
        (.., Some(set)) => Station::Set(set),
        _ if part.name == "source" => return Err(wrong("no address, mac and ipset")),
        _ => return Err(wrong("no address and ipset")),
    };
    Ok(Match { what, is_inverted: part.is_inverted })
}

fn check_station(station: &Match, family: Option<Family>) -> Result<(), Fault> {
    match &station.what {
        Station::Address(text) => {
            let of_family = edit::net_of(text).is_some_and(|net| Some(Family::of(net.addr())) == family);
            of_family.then_some(()).ok_or_else(|| Fault::new(FaultCode::InvalidAddress, text.clone()))
        }
        Station::Mac(_) | Station::Set(_) => Ok(()),
    }
}

fn of_element(part: &Part, family: Option<Family>, has_action: bool) -> Result<Element, Fault> {
    let value = |name| part.get(name).unwrap_or_default().to_owned();
    Ok(match part.name.as_str() {
        "service" => Element::Service(value("name")),
        "port" => Element::Port(port_spec(part)?),
        "source-port" => Element::SourcePort(port_spec(part)?),
        "protocol" => {
            let name = value("value");
            protocols::number_of(&name).ok_or_else(|| Fault::new(FaultCode::InvalidProtocol, &*name))?;
            Element::Protocol(name)
        }
        "icmp-type" => Element::IcmpType(value("name")),
        "icmp-block" if has_action => return Err(wrong("icmp-block and action")),
        "icmp-block" => Element::IcmpBlock(value("name")),
        "forward-port" if has_action => return Err(wrong("forward-port and action")),
        "forward-port" => Element::ForwardPort(of_forward(part, family)?),
        _ if has_action => return Err(wrong("masquerade and action")),
        _ => Element::Masquerade,
    })
}

fn of_forward(part: &Part, family: Option<Family>) -> Result<ForwardPort, Fault> {
    let ports_of = |text: &str| parse_ports(text).ok_or_else(|| Fault::new(FaultCode::InvalidPort, text));
    let ports = ports_of(part.get("port").unwrap_or(""))?;
    let carrier = part.get("protocol").unwrap_or("");
    let carrier = Carrier::of_name(carrier).ok_or_else(|| Fault::new(FaultCode::InvalidProtocol, carrier))?;
    let to_ports = part.get("to-port").map(ports_of).transpose()?;
    let address = |text: &str| {
        let parsed = text.parse().ok().filter(|address| Some(Family::of(*address)) == family);
        parsed.ok_or_else(|| Fault::new(FaultCode::InvalidAddress, text))
    };
    let to_address = part.get("to-addr").map(address).transpose()?;
    if to_ports.is_none() && to_address.is_none() {
        return Err(Fault::new(FaultCode::InvalidPort, ""));
    }
    Ok(ForwardPort { ports, carrier, to_ports, to_address })
}

/// Limits and levels.
fn check_part(part: &Part) -> Result<(), Fault> {
    if let Some(level) = part.get("level").filter(|level| !LOG_LEVELS.contains(level)) {
        return Err(Fault::new(FaultCode::InvalidLogLevel, level));
    }
    let Some(limit) = &part.limit else { return Ok(()) };
    let rate = limit.split_once('/').filter(|(_, unit)| matches!(*unit, "s" | "m" | "h" | "d"));
    let rate = rate.and_then(|(rate, unit)| Some((rate.parse::<u32>().ok()?, unit)));
    match rate {
        Some((1, "d")) => Err(Fault::new(FaultCode::InvalidLimit, format!("{limit} too slow"))),
        Some((rate, _)) if rate > 0 => Ok(()),
        _ => Err(Fault::new(FaultCode::InvalidLimit, limit.clone())),
    }
}

fn of_action(part: &Part, family: Option<Family>) -> Result<Action, Fault> {
    Ok(match part.name.as_str() {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "mark" => Action::Mark(part.get("set").unwrap_or_default().to_owned()),
        _ => {
            let Some(kind) = part.get("type") else { return Ok(Action::Reject(None)) };
            let known = match family {
                None => {
                    return Err(wrong("When using reject type you must specify also rule family."));
                }
                Some(Family::Ipv4) => REJECT_V4,
                Some(Family::Ipv6) => REJECT_V6,
            };
            if !known.split(", ").any(|name| name == kind) {
                return Err(wrong(format!("Wrong reject type {kind}.\nUse one of: {known}.")));
            }
            Action::Reject(Some(kind.to_owned()))
        }
    })
}
