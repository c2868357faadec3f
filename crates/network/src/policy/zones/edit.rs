//! Changes of what is in force and of what is on disk, with firewalld's checks and words.
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use platform::net::Mac;

use super::{
    Fault, FaultCode, Firewall, Permanent, Setting, Timed, Zone, builtin, builtin_services, icmp_type,
    protocols,
};
use crate::policy::zones::rich::Element;

/// Longest name of a zone: firewalld makes names of chains of them.
const ZONE_NAME_MAX: usize = 17;

/// Which of the two states a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What is in force.
    Runtime,
    /// What is on disk.
    Permanent,
}

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

fn fault(code: FaultCode, detail: impl Into<String>) -> Fault {
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
            let rules =
                zone.rules.iter().map(|rule| Setting::RichRule { rule: rule.clone(), typed: String::new() });
            services.chain(rules).try_for_each(|setting| self.check(&setting))?;
        }
        Ok(())
    }
}

impl Permanent {
    /// A zone by name.
    pub fn zone(&self, name: &str) -> Result<&Zone, Fault> {
        self.zones.get(name).ok_or_else(|| fault(FaultCode::InvalidZone, name))
    }
    /// Whether a zone has a setting.
    pub fn query(&self, zone: &str, setting: &Setting) -> Result<bool, Fault> {
        if let Setting::Protocol(name) = setting {
            check_protocol(name)?;
        }
        Ok(self.zone(zone)?.has(&stored_form(setting)))
    }
    /// Adds a setting to a zone.
    pub fn add(&mut self, name: &str, setting: &Setting) -> Result<(), Fault> {
        let zone = self.zone(name)?;
        let setting = stored_form(setting);
        if let Some((what, _)) = binding(&setting)
            && self.zones.iter().any(|(other, zone)| other != name && zone.has(&setting))
        {
            return Err(fault(FaultCode::ZoneConflict, what));
        }
        if zone.has(&setting) && setting != Setting::Forward {
            return Err(fault(FaultCode::AlreadyEnabled, setting.permanent_text()));
        }
        self.check(name, &setting)?;
        self.zones.entry(name.to_owned()).or_default().add(&setting);
        Ok(())
    }
    /// Removes a setting from a zone.
    pub fn remove(&mut self, name: &str, setting: &Setting) -> Result<(), Fault> {
        let setting = stored_form(setting);
        if !self.zone(name)?.has(&setting) && setting != Setting::Forward {
            return Err(fault(FaultCode::NotEnabled, setting.permanent_text()));
        }
        self.zones.entry(name.to_owned()).or_default().remove(&setting);
        Ok(())
    }
    /// Moves a source or an interface to a zone, wherever it was.
    pub fn change(&mut self, name: &str, setting: &Setting) -> Result<(), Fault> {
        self.zone(name)?;
        let setting = stored_form(setting);
        self.check(name, &setting)?;
        self.zones.values_mut().for_each(|zone| zone.remove(&setting));
        self.add(name, &setting)
    }
    /// Makes a zone.
    pub fn new_zone(&mut self, name: &str) -> Result<(), Fault> {
        if self.zones.contains_key(name) {
            return Err(fault(FaultCode::NameConflict, format!("new_zone(): '{name}'")));
        }
        let invalid = |why: String| Err(fault(FaultCode::InvalidName, why));
        if name.starts_with('/') {
            return invalid(format!("Zone '{name}': name can't start with '/'"));
        }
        check_name(name)?;
        if name.chars().count() > ZONE_NAME_MAX {
            let length = name.chars().count();
            return invalid(format!("Zone '{name}': name has {length} chars, max is {ZONE_NAME_MAX}"));
        }
        self.zones.insert(name.to_owned(), Zone::default());
        Ok(())
    }
    /// Removes a zone.
    pub fn delete_zone(&mut self, name: &str) -> Result<(), Fault> {
        self.zone(name)?;
        if builtin::has(name) {
            return Err(fault(FaultCode::BuiltinZone, format!("'{name}' is built-in zone")));
        }
        self.zones.remove(name);
        Ok(())
    }
    /// Says what becomes of what no rule of a zone speaks of.
    pub fn set_target(&mut self, name: &str, target: &str) -> Result<(), Fault> {
        self.zone(name)?;
        let parsed = super::Target::of_name(target).ok_or_else(|| {
            fault(FaultCode::InvalidTarget, format!("Zone '{name}': invalid target '{target}'"))
        })?;
        self.zones.entry(name.to_owned()).or_default().target = parsed;
        Ok(())
    }
    /// Makes an empty service.
    pub fn new_service(&mut self, name: &str) -> Result<(), Fault> {
        if self.services.contains_key(name) || builtin_services().contains_key(name) {
            return Err(fault(FaultCode::NameConflict, format!("new_service(): '{name}'")));
        }
        check_name(name)?;
        self.services.insert(name.to_owned(), super::Service::default());
        Ok(())
    }
    /// Removes a service of the user's own.
    pub fn delete_service(&mut self, name: &str) -> Result<(), Fault> {
        match (self.services.remove(name), builtin_services().contains_key(name)) {
            (Some(_), _) => Ok(()),
            (None, true) => Err(fault(FaultCode::BuiltinService, format!("'{name}' is built-in service"))),
            (None, false) => Err(fault(FaultCode::InvalidService, name)),
        }
    }

    fn check(&self, zone: &str, setting: &Setting) -> Result<(), Fault> {
        let unknown_icmp = |name: &String| {
            let told = format!("Zone '{zone}': '{name}' not among existing ICMP types");
            Err(fault(FaultCode::InvalidIcmpType, told))
        };
        match setting {
            Setting::Service(name)
                if !self.services.contains_key(name) && !builtin_services().contains_key(name) =>
            {
                let told = format!("Zone '{zone}': '{name}' not among existing services");
                Err(fault(FaultCode::InvalidService, told))
            }
            Setting::IcmpBlock(name) if icmp_type(name).is_none() => unknown_icmp(name),
            Setting::Protocol(name) => check_protocol(name),
            Setting::Source(text) if source_of(text).is_none() => {
                Err(fault(FaultCode::InvalidAddress, format!("Zone '{zone}': invalid source '{text}'")))
            }
            Setting::Interface(name) => check_interface(name),
            Setting::RichRule { rule, .. } => match &rule.element {
                Some(Element::IcmpBlock(name) | Element::IcmpType(name)) if icmp_type(name).is_none() => {
                    unknown_icmp(name)
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Ethernet addresses are kept in capitals.
fn stored_form(setting: &Setting) -> Setting {
    match setting {
        Setting::Source(text) => Setting::Source(source_of(text).unwrap_or_else(|| text.clone())),
        other => other.clone(),
    }
}

/// What is bound to one zone: its name, and its kind as messages call it.
fn binding(setting: &Setting) -> Option<(&str, &'static str)> {
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

fn check_protocol(name: &str) -> Result<(), Fault> {
    match protocols::number_of(name) {
        Some(_) => Ok(()),
        None => Err(fault(FaultCode::InvalidProtocol, name)),
    }
}

/// As Linux names interfaces.
fn check_interface(name: &str) -> Result<(), Fault> {
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '/' | '!' | '*');
    match name.is_empty() || name.len() > 16 || name.contains(is_odd) {
        true => Err(fault(FaultCode::InvalidInterface, name)),
        false => Ok(()),
    }
}
