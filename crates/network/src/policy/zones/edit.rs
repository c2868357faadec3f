//! Changes of what is in force, with firewalld's checks and words.
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use platform::net::Mac;

use super::{Fault, FaultCode, Firewall, Setting, Timed, Zone, icmp_type, protocols};
use crate::policy::zones::rich::Element;

/// An address, or a network with its prefix's length or mask.
pub fn net_of(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let address: IpAddr = address.parse().ok()?;
    match (address, prefix.parse::<Ipv4Addr>()) {
        (IpAddr::V4(_), Ok(mask)) => IpNet::with_netmask(address, IpAddr::V4(mask)).ok(),
        _ if !prefix.bytes().all(|digit| digit.is_ascii_digit()) => None,
        _ => IpNet::new(address, prefix.parse().ok()?).ok(),
    }
}

/// A source as it is kept: addresses as they were written, Ethernet addresses in capitals.
pub(super) fn source_of(text: &str) -> Option<String> {
    match text.parse::<Mac>() {
        Ok(_) if text.contains(':') => Some(text.to_uppercase()),
        _ => net_of(text).map(|_| text.to_owned()),
    }
}

pub(super) fn fault(code: FaultCode, detail: impl Into<String>) -> Fault {
    Fault::new(code, detail)
}

impl Firewall {
    /// A zone by name.
    pub fn zone(&self, name: &str) -> Result<&Zone, Fault> {
        self.zones.get(name).ok_or_else(|| fault(FaultCode::InvalidZone, name))
    }
    /// Whether a zone has a setting.
    pub fn query(&self, zone: &str, setting: &Setting) -> Result<bool, Fault> {
        let zone = self.zone(zone)?;
        match setting {
            Setting::RichRule { .. } => {}
            other => self.check(other)?,
        }
        Ok(zone.has(&stored_form(setting)))
    }
    /// Adds a setting to a zone, until a time if one is given (seconds since 1970).
    pub fn add(&mut self, zone: &str, setting: &Setting, until: Option<u64>) -> Result<(), Fault> {
        self.zone(zone)?;
        self.check(setting)?;
        let setting = stored_form(setting);
        self.check_binding(zone, &setting)?;
        if self.zone(zone)?.has(&setting) && setting != Setting::Forward {
            return Err(fault(
                FaultCode::AlreadyEnabled,
                match setting.is_switch() {
                    true => format!("{} already enabled in '{zone}'", setting.text()),
                    false => format!("'{}' already in '{zone}'", setting.text()),
                },
            ));
        }
        if let Some(found) = self.zones.get_mut(zone) {
            found.add(&setting);
        }
        self.timed.extend(until.map(|until| Timed { zone: zone.to_owned(), setting, until }));
        Ok(())
    }
    /// Removes a setting from a zone.
    pub fn remove(&mut self, zone: &str, setting: &Setting) -> Result<(), Fault> {
        self.zone(zone)?;
        self.check(setting)?;
        let setting = stored_form(setting);
        if let Some((name, what)) = binding(&setting) {
            let bound = self.bound_to(&setting);
            match bound {
                None if what == "source" => {
                    return Err(fault(FaultCode::UnknownSource, format!("'{name}' is not in any zone")));
                }
                None => {
                    return Err(fault(FaultCode::UnknownInterface, format!("'{name}' is not in any zone")));
                }
                Some(other) if other != zone => {
                    let at = if what == "source" { "zos" } else { "zoi" };
                    let detail = format!("remove_{what}({zone}, {name}): {at}='{other}'");
                    return Err(fault(FaultCode::ZoneConflict, detail));
                }
                Some(_) => {}
            }
        } else if !self.zone(zone)?.has(&setting) && setting != Setting::Forward {
            return Err(fault(
                FaultCode::NotEnabled,
                match setting.is_switch() {
                    true => format!("{} not enabled in '{zone}'", setting.text()),
                    false => format!("'{}' not in '{zone}'", setting.text()),
                },
            ));
        }
        if let Some(found) = self.zones.get_mut(zone) {
            found.remove(&setting);
        }
        self.timed.retain(|timed| timed.zone != zone || timed.setting != setting);
        Ok(())
    }
    /// Moves a source or an interface to a zone, wherever it was.
    pub fn change(&mut self, zone: &str, setting: &Setting) -> Result<(), Fault> {
        self.zone(zone)?;
        self.check(setting)?;
        let setting = stored_form(setting);
        for other in self.zones.values_mut() {
            other.remove(&setting);
        }
        self.add(zone, &setting, None)
    }
    /// The zone that a source or an interface is bound to.
    pub fn bound_to(&self, setting: &Setting) -> Option<&str> {
        let setting = stored_form(setting);
        self.zones.iter().find(|(_, zone)| zone.has(&setting)).map(|(name, _)| name.as_str())
    }
    /// Chooses the default zone.
    pub fn set_default_zone(&mut self, name: &str) -> Result<(), Fault> {
        self.zone(name)?;
        if self.default_zone == name {
            return Err(fault(FaultCode::ZoneAlreadySet, name));
        }
        self.default_zone = name.to_owned();
        Ok(())
    }
    /// Panic mode on or off.
    pub fn set_panic(&mut self, on: bool) -> Result<(), Fault> {
        match (self.panic, on) {
            (true, true) => Err(fault(FaultCode::AlreadyEnabled, "panic mode already enabled")),
            (false, false) => Err(fault(FaultCode::NotEnabled, "panic mode is not enabled")),
            _ => {
                self.panic = on;
                Ok(())
            }
        }
    }

    /// Whether what a setting names exists.
    fn check(&self, setting: &Setting) -> Result<(), Fault> {
        let service = |name: &str| match self.service(name) {
            Some(_) => Ok(()),
            None => Err(fault(FaultCode::InvalidService, name)),
        };
        let icmp = |name: &str| match icmp_type(name) {
            Some(_) => Ok(()),
            None => Err(fault(FaultCode::InvalidIcmpType, name)),
        };
        match setting {
            Setting::Service(name) => service(name),
            Setting::IcmpBlock(name) => icmp(name),
            Setting::Protocol(name) => check_protocol(name),
            Setting::Source(text) if source_of(text).is_none() => {
                Err(fault(FaultCode::InvalidAddress, text.clone()))
            }
            Setting::Interface(name) => check_interface(name),
            Setting::RichRule { rule, .. } => match &rule.element {
                Some(Element::Service(name)) => service(name),
                Some(Element::IcmpBlock(name) | Element::IcmpType(name)) => icmp(name),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
    /// A source or an interface is bound to one zone at most.
    fn check_binding(&self, zone: &str, setting: &Setting) -> Result<(), Fault> {
        let (Some((name, what)), Some(bound)) = (binding(setting), self.bound_to(setting)) else {
            return Ok(());
        };
        Err(match (bound == zone, what) {
            (true, _) => fault(FaultCode::ZoneAlreadySet, format!("'{name}' already bound to '{zone}'")),
            (false, "source") => fault(FaultCode::ZoneConflict, format!("'{name}' already bound to a zone")),
            (false, _) => fault(FaultCode::ZoneConflict, format!("'{name}' already bound to '{bound}'")),
        })
    }
    /// Whether everything that zones name exists.
    pub fn check_all(&self) -> Result<(), Fault> {
        for zone in self.zones.values() {
            let services = zone.services.iter().cloned().map(Setting::Service);
            let rules = zone
                .rules
                .iter()
                .map(|rule| Setting::RichRule { rule: Box::new(rule.clone()), typed: String::new() });
            services.chain(rules).try_for_each(|setting| self.check(&setting))?;
        }
        Ok(())
    }
}

/// Ethernet addresses are kept in capitals.
pub(super) fn stored_form(setting: &Setting) -> Setting {
    match setting {
        Setting::Source(text) => Setting::Source(source_of(text).unwrap_or_else(|| text.clone())),
        other => other.clone(),
    }
}

/// What is bound to one zone: its name, and its kind as messages call it.
pub(super) fn binding(setting: &Setting) -> Option<(&str, &'static str)> {
    match setting {
        Setting::Source(name) => Some((name, "source")),
        Setting::Interface(name) => Some((name, "interface")),
        _ => None,
    }
}

pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let is_odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match name.chars().find(is_odd) {
        Some(c) => Err(fault(FaultCode::InvalidName, format!("'{c}' is not allowed in '{name}'"))),
        None => Ok(()),
    }
}

pub(super) fn check_protocol(name: &str) -> Result<(), Fault> {
    match protocols::number_of(name) {
        Some(_) => Ok(()),
        None => Err(fault(FaultCode::InvalidProtocol, name)),
    }
}

/// As Linux names interfaces.
pub(super) fn check_interface(name: &str) -> Result<(), Fault> {
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '/' | '!' | '*');
    match name.is_empty() || name.len() > 16 || name.contains(is_odd) {
        true => Err(fault(FaultCode::InvalidInterface, name)),
        false => Ok(()),
    }
}
