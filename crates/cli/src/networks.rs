//! A machine's network cards: what the user wants, and getting each onto its network.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::str::FromStr;

use api::{NetReply, NetRequest, PortForward};
use machine::{CableEnd, NicConfig, NicModel};
use manager::networks::{Card, Definition, Mode, StartError, join, start};
use network::services::Plan;
use platform::net::Mac;
use serde::{Deserialize, Serialize};

use crate::exit::Usage;
use crate::output::say;

/// What a card is joined to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No card.
    Nothing,
    /// A network of its own, behind an address translation.
    Nat,
    /// A named network.
    Named(String, Mode),
}

/// `--net`: a mode, and options after commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetOption {
    /// What it is joined to.
    pub wanted: Wanted,
    /// What it is.
    pub model: NicModel,
    /// Its address, if the user chooses.
    pub mac: Option<Mac>,
    /// The guest's address, if the user chooses.
    pub address: Option<IpAddr>,
    /// Guests reach the host by the gateway's address; for NAT.
    pub allow_host: bool,
}

impl NetOption {
    /// Whether there is a card.
    pub fn is_card(&self) -> bool {
        self.wanted != Wanted::Nothing
    }
    /// What a machine has if the user says nothing.
    pub fn nat() -> Self {
        Self { wanted: Wanted::Nat, model: NicModel::Virtio, mac: None, address: None, allow_host: false }
    }
}

/// What `--net` can be.
const MODES: &str = "nat, natnet:NAME, hostonly:NAME, internal:NAME, bridged:INTERFACE or none";

impl FromStr for NetOption {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mode = parts.next().unwrap_or_default();
        let wanted = match mode.split_once(':').unwrap_or((mode, "")) {
            ("none", "") => Wanted::Nothing,
            ("nat", "") => Wanted::Nat,
            ("natnet", name) => Wanted::Named(named(name, "default"), Mode::Natnet),
            ("hostonly", name) => Wanted::Named(named(name, "hostonly"), Mode::Hostonly),
            ("internal", name) => Wanted::Named(named(name, "internal"), Mode::Internal),
            ("bridged", interface) if !interface.is_empty() => {
                let mode = Mode::Bridged { interface: interface.to_owned() };
                Wanted::Named(format!("bridged.{interface}"), mode)
            }
            _ => return Err(format!("{mode:?} is no network: {MODES}")),
        };
        let mut option = Self { wanted, ..Self::nat() };
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("model", "virtio") => option.model = NicModel::Virtio,
                ("model", "e1000") => option.model = NicModel::E1000,
                ("mac", mac) => option.mac = Some(card_address(mac)?),
                ("ip", address) => {
                    let address = address.parse();
                    option.address = Some(address.map_err(|_| format!("{part:?} has no IP address"))?);
                }
                ("allow-host", "") if option.wanted == Wanted::Nat => option.allow_host = true,
                _ => {
                    return Err(format!(
                        "{part:?} is no option of a card: model=virtio|e1000, mac=…, ip=…, and for nat allow-host"
                    ));
                }
            }
        }
        Ok(option)
    }
}

fn named(name: &str, usual: &str) -> String {
    if name.is_empty() { usual.to_owned() } else { name.to_owned() }
}

fn card_address(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|error: platform::net::NoMac| error.to_string())?;
    if mac.is_unicast() { Ok(mac) } else { Err(format!("{mac} is a group's address, not a card's")) }
}

/// `--publish [HOSTIP:]HOSTPORT:GUESTPORT[/tcp|udp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest_port: u16,
    /// "tcp" or "udp".
    pub carries: &'static str,
}

impl Publish {
    /// For a machine.
    fn to(&self, vm: &str) -> PortForward {
        let Self { host, guest_port, carries } = *self;
        PortForward { carries: carries.to_owned(), host, guest: vm.to_owned(), guest_port }
    }
}

impl FromStr for Publish {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not [HOSTIP:]HOSTPORT:GUESTPORT[/tcp|udp], such as 8080:80");
        let (ports, carries) = match text.rsplit_once('/') {
            None => (text, "tcp"),
            Some((ports, "tcp")) => (ports, "tcp"),
            Some((ports, "udp")) => (ports, "udp"),
            Some(_) => return Err(wrong()),
        };
        let (host, guest_port) = ports.rsplit_once(':').ok_or_else(wrong)?;
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong);
        Ok(Self { host: host_address(host).ok_or_else(wrong)?, guest_port: port(guest_port)?, carries })
    }
}

/// An address of the host with a port, or a port alone: that of the loopback.
pub fn host_address(text: &str) -> Option<SocketAddr> {
    match text.parse::<u16>() {
        Ok(0) => None,
        Ok(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0),
    }
}

/// A card with its cable.
pub struct Nic {
    /// What the machine calls it.
    pub name: String,
    /// What it is.
    pub model: NicModel,
    /// Its address.
    pub mac: Mac,
    /// Bytes of an IP packet at most.
    pub mtu: u16,
    /// How it came onto its network.
    pub again: Again,
    /// Its end of the cable.
    pub cable: OwnedFd,
}

/// What is needed to bring a card onto its network, again if need be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Again {
    /// The network.
    pub definition: Definition,
    /// Its addresses.
    pub plan: Plan,
    /// The card.
    pub card: Card,
    /// Ports of the host that lead to it.
    pub publish: Vec<PortForward>,
}

impl Nic {
    /// The card as others are told of it, and as the machine gets it.
    pub fn into_config(self) -> (api::Nic, NicConfig) {
        let Self { name, model, mac, mtu, again, cable } = self;
        let described = api::Nic {
            name: name.clone(),
            model: model.name().to_owned(),
            mac: mac.to_string(),
            network: again.definition.name.clone(),
            link: true,
            again: serde_json::to_value(&again).unwrap_or_default(),
        };
        (described, NicConfig { name, model, mac, mtu, cable: Some(CableEnd::new(cable)) })
    }
}

impl Again {
    /// Brings it there.
    pub fn join(&self) -> Result<OwnedFd, StartError> {
        let Self { definition, plan, card, publish } = self;
        let joined = join(definition, plan, card)?;
        if let Some(error) = joined.without_host {
            let advice = error.advice().map(|advice| format!("\n  {advice}")).unwrap_or_default();
            say(&format!("gasang: the host is not on the network {:?}: {error}{advice}", definition.name));
        }
        publish_all(definition, plan, publish)?;
        Ok(joined.cable)
    }
}

/// Gets all cards onto their networks, and publishes ports of the first one behind a NAT.
pub fn connect(vm: Option<&str>, wanted: &[NetOption], publish: &[Publish]) -> anyhow::Result<Vec<Nic>> {
    let vm_name = vm.map_or_else(|| format!("vm-{}", std::process::id()), str::to_owned);
    let mut nics = Vec::new();
    let mut published = publish.is_empty();
    let cards = wanted.iter().filter(|option| option.is_card());
    for (index, option) in cards.enumerate() {
        let name = format!("net{index}");
        let (definition, plan) = definition_of(option, &vm_name, index)?;
        let mac = option.mac.unwrap_or_else(|| match vm {
            Some(vm) => stable_mac(vm, index),
            None => random_mac(),
        });
        let card = Card { vm: vm_name.clone(), nic: name.clone(), mac, address: option.address };
        let mut forwards = Vec::new();
        if !published && matches!(definition.mode, Mode::Nat | Mode::Natnet) {
            published = true;
            forwards = publish.iter().map(|publish| publish.to(&vm_name)).collect();
        }
        let mtu = plan.mtu;
        let again = Again { definition, plan, card, publish: forwards };
        let cable = again.join()?;
        nics.push(Nic { name, model: option.model, mac, mtu, again, cable });
    }
    if !published {
        return Err(Usage {
            what: "--publish needs a card behind a NAT".to_owned(),
            advice: "with --net hostonly or bridged, the guest's ports are reached by its own address"
                .to_owned(),
        }
        .into());
    }
    Ok(nics)
}

fn definition_of(option: &NetOption, vm: &str, index: usize) -> anyhow::Result<(Definition, Plan)> {
    let definition = match &option.wanted {
        Wanted::Named(name, mode) => Definition::load_or_create(name, mode.clone())?,
        _ => {
            let name = nat_name(vm, index);
            Definition { allow_host: option.allow_host, ..Definition::new(&name, Mode::Nat) }
        }
    };
    let plan = match definition.mode {
        Mode::Nat => Plan::nat(&definition.name, u8::try_from(index).unwrap_or(u8::MAX)),
        _ => definition.plan()?,
    };
    Ok((definition, plan))
}

/// What the network of a machine's own card is called.
pub fn nat_name(vm: &str, index: usize) -> String {
    format!("nat.{vm}.net{index}")
}

/// A port that cannot be had is no reason not to run.
fn publish_all(definition: &Definition, plan: &Plan, publish: &[PortForward]) -> Result<(), StartError> {
    if publish.is_empty() {
        return Ok(());
    }
    let mut client = start::running(definition, plan)?;
    for forward in publish {
        if let NetReply::Failed(failure) = client.ask(NetRequest::AddForward(forward.clone()))? {
            let PortForward { host, guest_port, .. } = forward;
            let why = failure.message;
            say(&format!("gasang: {host} does not lead to the guest's port {guest_port}: {why}"));
        }
    }
    Ok(())
}

/// A card's address that stays from run to run.
fn stable_mac(vm: &str, index: usize) -> Mac {
    let sum = manager::cache::checksum(format!("{vm} {index}").as_bytes()).to_be_bytes();
    Mac([0x52, 0x54, 0, sum[5], sum[6], sum[7]])
}

fn random_mac() -> Mac {
    let [a, b, c] = rand::random();
    Mac([0x52, 0x54, 0, a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read() {
        let read = |text: &str| text.parse::<NetOption>();
        assert_eq!(read("nat").unwrap(), NetOption::nat());
        assert_eq!(read("natnet:lab").unwrap().wanted, Wanted::Named("lab".to_owned(), Mode::Natnet));
        let option = read("hostonly,model=e1000,mac=52:54:00:00:00:09,ip=192.168.56.7").unwrap();
        assert_eq!((option.model, option.mac.is_some()), (NicModel::E1000, true));
        assert!(read("nat,allow-host").unwrap().allow_host);
        for wrong in [
            "",
            "nut",
            "nat:x",
            "bridged",
            "nat,mac=ff:ff:ff:ff:ff:ff",
            "nat,model=ne2k",
            "hostonly,allow-host",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_read() {
        let read = |text: &str| text.parse::<Publish>();
        let publish = read("8080:80").unwrap();
        assert_eq!((publish.host.to_string().as_str(), publish.guest_port), ("127.0.0.1:8080", 80));
        assert_eq!(read("0.0.0.0:53:5353/udp").unwrap().carries, "udp");
        assert_eq!(read("[::1]:8080:80/tcp").unwrap().host.to_string(), "[::1]:8080");
        for wrong in ["", "80", "0:80", "80:0", "80:80/sctp", "x:80", "99999:1", "1.2.3:80:80"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_stay() {
        assert_eq!(stable_mac("web", 0), stable_mac("web", 0));
        assert_ne!(stable_mac("web", 0), stable_mac("web", 1));
        assert!(random_mac().is_unicast());
    }
}
