//! What is on disk: a directory with `firewalld.conf`, and zones and services in firewalld's own formats.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::xml::Node;
use super::{
    Carrier, Fault, FaultCode, Firewall, ForwardPort, PortSpec, Service, Target, Zone, builtin, parse_ports,
    rich,
};
use crate::policy::groups::write_whole;

/// A directory that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The host failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{} makes no sense: {why}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// What is on disk, and gets in force by a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permanent {
    /// The firewall runs when the network does.
    pub started: bool,
    /// The zone of everything that no other zone claims.
    pub default_zone: String,
    /// All zones.
    pub zones: BTreeMap<String, Zone>,
    /// Services of the user's own.
    pub services: BTreeMap<String, Service>,
}

impl Default for Permanent {
    fn default() -> Self {
        let Firewall { default_zone, zones, services, .. } = Firewall::default();
        Self { started: false, default_zone, zones, services }
    }
}

impl Permanent {
    /// What a network's directory says; firewalld's own zones where it says nothing.
    pub fn load(directory: &Path) -> Result<Self, StoreError> {
        let mut permanent = Self::default();
        let path = directory.join("firewalld.conf");
        for line in read(&path)?.unwrap_or_default().lines() {
            match line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("DefaultZone", value)) => permanent.default_zone = value.to_owned(),
                Some(("Started", value)) => permanent.started = value == "yes",
                _ => {}
            }
        }
        for (name, path, node) in files(&directory.join("zones"))? {
            let zone = zone_of_xml(&node).map_err(|fault| malformed(&path, &fault))?;
            permanent.zones.insert(name, zone);
        }
        for (name, path, node) in files(&directory.join("services"))? {
            let service = service_of_xml(&node).map_err(|fault| malformed(&path, &fault))?;
            permanent.services.insert(name, service);
        }
        if !permanent.zones.contains_key(&permanent.default_zone) {
            permanent.default_zone = super::DEFAULT_ZONE.to_owned();
        }
        Ok(permanent)
    }
    /// What is on disk, put in force.
    pub fn to_firewall(&self) -> Firewall {
        Firewall {
            running: self.started,
            panic: false,
            default_zone: self.default_zone.clone(),
            zones: self.zones.clone(),
            services: self.services.clone(),
            timed: Vec::new(),
        }
    }
    /// Writes what has changed since `before`; each file is either the old one or the new one.
    pub fn save(&self, directory: &Path, before: &Self) -> Result<(), StoreError> {
        let conf = |of: &Self| {
            let started = if of.started { "yes" } else { "no" };
            format!("DefaultZone={}\nStarted={started}\n", of.default_zone)
        };
        make(directory)?;
        if conf(self) != conf(before) {
            write(&directory.join("firewalld.conf"), &conf(self))?;
        }
        let (zones, services) = (directory.join("zones"), directory.join("services"));
        save_all(&zones, &self.zones, &before.zones, zone_to_xml)?;
        save_all(&services, &self.services, &before.services, service_to_xml)
    }
    /// The file that a zone is kept in, if it has one.
    pub fn zone_path(directory: &Path, name: &str) -> Option<PathBuf> {
        Some(directory.join("zones").join(format!("{name}.xml"))).filter(|path| path.exists())
    }
    /// Keeps others from changing the directory, as long as the file is open.
    pub fn lock(directory: &Path) -> Result<File, StoreError> {
        make(directory)?;
        let path = directory.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(|source| StoreError::Io { path, source })
    }
}

fn malformed(path: &Path, why: &impl ToString) -> StoreError {
    StoreError::Malformed { path: path.to_owned(), why: why.to_string() }
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    write_whole(path, text.as_bytes()).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn make(directory: &Path) -> Result<(), StoreError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| StoreError::Io { path: directory.to_owned(), source })
}

/// XML files of a directory: name, path, contents.
fn files(directory: &Path) -> Result<Vec<(String, PathBuf, Node)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".xml"));
        let Some(name) = name.filter(|name| super::edit::check_name(name).is_ok()) else { continue };
        let node = Node::parse(&read(&path)?.unwrap_or_default()).map_err(|why| malformed(&path, &why))?;
        found.push((name.to_owned(), path.clone(), node));
    }
    Ok(found)
}

fn save_all<T: PartialEq>(
    directory: &Path,
    all: &BTreeMap<String, T>,
    before: &BTreeMap<String, T>,
    to_xml: fn(&T) -> Node,
) -> Result<(), StoreError> {
    for (name, value) in all.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
        make(directory)?;
        write(&directory.join(format!("{name}.xml")), &to_xml(value).print())?;
    }
    for name in before.keys().filter(|name| !all.contains_key(*name) && !builtin::has(name)) {
        let path = directory.join(format!("{name}.xml"));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn wanted<'a>(node: &'a Node, name: &str) -> Result<&'a str, Fault> {
    node.get(name).ok_or_else(|| Fault::new(FaultCode::Unknown, format!("<{}> without {name}", node.name)))
}

fn port_of_xml(node: &Node) -> Result<PortSpec, Fault> {
    let (port, protocol) = (wanted(node, "port")?, wanted(node, "protocol")?);
    let ports = parse_ports(port).ok_or_else(|| Fault::new(FaultCode::InvalidPort, port))?;
    let carrier =
        Carrier::of_name(protocol).ok_or_else(|| Fault::new(FaultCode::InvalidProtocol, protocol))?;
    Ok(PortSpec { ports, carrier })
}

fn port_to_xml(name: &str, spec: PortSpec) -> Node {
    Node::new(name).with("port", spec.ports.to_string()).with("protocol", spec.carrier.name())
}

/// Elements that are not known are passed over, as firewalld does.
pub(super) fn zone_of_xml(node: &Node) -> Result<Zone, Fault> {
    let mut zone = Zone::default();
    if let Some(target) = node.get("target").filter(|target| !target.is_empty()) {
        zone.target = Target::of_name(target).ok_or_else(|| Fault::new(FaultCode::InvalidTarget, target))?;
    }
    for child in &node.children {
        let named = |name| wanted(child, name).map(str::to_owned);
        match child.name.as_str() {
            "short" => zone.short.clone_from(&child.text),
            "description" => zone.description.clone_from(&child.text),
            "service" => zone.services.push(named("name")?),
            "port" => zone.ports.push(port_of_xml(child)?),
            "source-port" => zone.source_ports.push(port_of_xml(child)?),
            "protocol" => zone.protocols.push(named("value")?),
            "icmp-block" => zone.icmp_blocks.push(named("name")?),
            "interface" => zone.interfaces.push(named("name")?),
            "source" => zone.sources.extend(child.get("address").map(str::to_owned)),
            "masquerade" => zone.masquerade = child.get("enabled").is_none_or(|enabled| enabled != "no"),
            "forward" => zone.forward = true,
            "icmp-block-inversion" => zone.icmp_block_inversion = true,
            "forward-port" => {
                let PortSpec { ports, carrier } = port_of_xml(child)?;
                let to_ports = child.get("to-port").filter(|port| !port.is_empty());
                let to_address = child.get("to-addr").filter(|address| !address.is_empty());
                zone.forward_ports.push(ForwardPort {
                    ports,
                    carrier,
                    to_ports: to_ports.and_then(parse_ports),
                    to_address: to_address.and_then(|address| address.parse().ok()),
                });
            }
            "rule" => zone.rules.push(rich::of_xml(child)?),
            _ => {}
        }
    }
    Ok(zone)
}

/// Elements in firewalld's order.
pub(super) fn zone_to_xml(zone: &Zone) -> Node {
    let mut node = Node::new("zone");
    if zone.target != Target::Default {
        node = node.with("target", zone.target.name());
    }
    let named = |element: &'static str, name: &'static str| {
        move |value: &String| Node::new(element).with(name, value.clone())
    };
    let switch = |name: &str, on: bool| on.then(|| Node::new(name));
    let text = |name: &str, text: &str| {
        (!text.is_empty()).then(|| Node { text: text.to_owned(), ..Node::new(name) })
    };
    let forward = |forward: &ForwardPort| {
        let spec = PortSpec { ports: forward.ports, carrier: forward.carrier };
        let mut node = port_to_xml("forward-port", spec);
        node.attributes.extend(forward.to_ports.map(|ports| ("to-port".to_owned(), ports.to_string())));
        node.attributes.extend(forward.to_address.map(|address| ("to-addr".to_owned(), address.to_string())));
        node
    };
    let children = &mut node.children;
    children.extend(text("short", &zone.short));
    children.extend(text("description", &zone.description));
    children.extend(zone.services.iter().map(named("service", "name")));
    children.extend(zone.ports.iter().map(|spec| port_to_xml("port", *spec)));
    children.extend(zone.protocols.iter().map(named("protocol", "value")));
    children.extend(zone.icmp_blocks.iter().map(named("icmp-block", "name")));
    children.extend(switch("masquerade", zone.masquerade));
    children.extend(zone.forward_ports.iter().map(forward));
    children.extend(zone.source_ports.iter().map(|spec| port_to_xml("source-port", *spec)));
    children.extend(zone.rules.iter().map(rich::to_xml));
    children.extend(zone.interfaces.iter().map(named("interface", "name")));
    children.extend(zone.sources.iter().map(named("source", "address")));
    children.extend(switch("icmp-block-inversion", zone.icmp_block_inversion));
    children.extend(switch("forward", zone.forward));
    node
}

pub(super) fn service_of_xml(node: &Node) -> Result<Service, Fault> {
    let mut service = Service::default();
    for child in &node.children {
        let named = |name| wanted(child, name).map(str::to_owned);
        match child.name.as_str() {
            "short" => service.short.clone_from(&child.text),
            "description" => service.description.clone_from(&child.text),
            // A port without a number is an old way to name a protocol.
            "port" if child.get("port") == Some("") => service.protocols.push(named("protocol")?),
            "port" => service.ports.push(port_of_xml(child)?),
            "source-port" => service.source_ports.push(port_of_xml(child)?),
            "protocol" => service.protocols.push(named("value")?),
            "module" => service.modules.push(named("name")?),
            "helper" => service.helpers.push(named("name")?),
            "include" => service.includes.push(named("service")?),
            "destination" => service.destination.extend(child.attributes.iter().cloned()),
            _ => {}
        }
    }
    Ok(service)
}

pub(super) fn service_to_xml(service: &Service) -> Node {
    let mut node = Node::new("service");
    let named = |element: &'static str, name: &'static str| {
        move |value: &String| Node::new(element).with(name, value.clone())
    };
    let text = |name: &str, text: &str| {
        (!text.is_empty()).then(|| Node { text: text.to_owned(), ..Node::new(name) })
    };
    let children = &mut node.children;
    children.extend(text("short", &service.short));
    children.extend(text("description", &service.description));
    children.extend(service.ports.iter().map(|spec| port_to_xml("port", *spec)));
    children.extend(service.protocols.iter().map(named("protocol", "value")));
    children.extend(service.source_ports.iter().map(|spec| port_to_xml("source-port", *spec)));
    children.extend(service.modules.iter().map(named("module", "name")));
    if !service.destination.is_empty() {
        let attributes = service.destination.clone().into_iter().collect();
        children.push(Node { attributes, ..Node::new("destination") });
    }
    children.extend(service.includes.iter().map(named("include", "service")));
    children.extend(service.helpers.iter().map(named("helper", "name")));
    node
}
