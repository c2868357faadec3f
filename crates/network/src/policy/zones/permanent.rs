//! Changes of what is on disk, with firewalld's checks and words.
use super::edit::{binding, check_interface, check_name, check_protocol, fault, source_of, stored_form};
use super::rich::Element;
use super::{
    Fault, FaultCode, Permanent, Service, Setting, Target, Zone, builtin, builtin_services, icmp_type,
};

/// Longest name of a zone: firewalld makes names of chains of them.
const ZONE_NAME_MAX: usize = 17;

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
        let parsed = Target::of_name(target).ok_or_else(|| {
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
        self.services.insert(name.to_owned(), Service::default());
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
