//! What a network answers.
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use api::{
    AttachCard, AttachTrunk, Failure, FailureKind, NetReply, NetRequest, NetworkInfo, NetworkPort,
    PortForward, TraceFlow,
};
use network::capture::{Capture, Options};
use network::engine::{AttachError, Attachment, Handle, Member, MemberKind, Network};
use network::host::trunk::{Trunk, TrunkKind};
use network::nat::forwards::{Carries, Forward, ForwardError, Target};
use network::policy::groups::Direction;
use network::port::{Cable, Counters, Link, Packets};
use network::wire::Protocol;
use platform::net::Mac;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::definition::Mode;
use crate::running::Talk;

/// Answers for a network.
pub struct Answers {
    name: String,
    mode: Mode,
    handle: Handle,
}

impl Answers {
    pub fn new(name: String, mode: Mode, handle: Handle) -> Self {
        Self { name, mode, handle }
    }
    pub fn answer(&self, request: NetRequest, talk: &Talk<'_>) -> NetReply {
        let done = match request {
            NetRequest::Info => self.info().map(NetReply::Info),
            NetRequest::Attach(card) => self.attach(card, talk),
            NetRequest::AttachTrunk(trunk) => self.attach_trunk(trunk, talk),
            NetRequest::AddForward(forward) => self.add_forward(&forward),
            NetRequest::RemoveForward { carries, host } => self.remove_forward(&carries, host),
            NetRequest::Capture { bytes_max } => self.capture(bytes_max, talk),
            NetRequest::EndCapture => self.ask(|network| network.set_capture(None)).map(|()| NetReply::Done),
            NetRequest::SetGroups { groups, cut } => self.set_groups(groups, cut),
            NetRequest::Firewall => {
                self.value(|network| network.filter().firewall().clone()).map(NetReply::Firewall)
            }
            NetRequest::SetFirewall { firewall, cut } => self.set_firewall(firewall, cut),
            NetRequest::PolicyStats => {
                self.value(|network| network.filter().stats()).map(NetReply::PolicyStats)
            }
            NetRequest::Trace(flow) => self.trace(flow),
            NetRequest::Stop => self.ask(Network::stop).map(|()| NetReply::Done),
        };
        done.unwrap_or_else(NetReply::Failed)
    }

    fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Network) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let ended = || failure(FailureKind::WrongState, "the network is ending".to_owned());
        self.handle.ask(what).ok_or_else(ended)
    }
    fn value<T: Serialize + Send + 'static>(
        &self,
        what: impl FnOnce(&mut Network) -> T + Send + 'static,
    ) -> Result<Value, Failure> {
        serde_json::to_value(self.ask(what)?).map_err(|error| failure(FailureKind::Other, error.to_string()))
    }

    fn info(&self) -> Result<NetworkInfo, Failure> {
        let (name, mode) = (self.name.clone(), self.mode.name().to_owned());
        self.ask(move |network| {
            let plan = network.gateway().plan();
            NetworkInfo {
                name,
                mode,
                pid: std::process::id(),
                prefix: plan.v4.as_ref().map(|v4| v4.prefix.to_string()),
                prefix6: plan.v6.as_ref().map(|v6| v6.prefix.to_string()),
                gateway: plan.v4.as_ref().and_then(|v4| v4.gateway).map(Into::into),
                connections: network.connections(),
                ports: network.members().map(|(_, member, counters)| port(member, counters)).collect(),
                forwards: network.forwards().iter().map(described).collect(),
            }
        })
    }

    fn attach(&self, card: AttachCard, talk: &Talk<'_>) -> Result<NetReply, Failure> {
        let mac = mac_of(&card.mac)?;
        let descriptor = receive(talk)?;
        let AttachCard { vm, nic, address, .. } = card;
        self.ask(move |network| {
            let known =
                network.gateway().leases().and_then(|leases| leases.get(mac)).map(|lease| lease.address);
            let addresses = address.into_iter().chain(known.map(Into::into)).collect();
            let member = Member { vm, nic, mac, kind: MemberKind::Guest, addresses };
            network.attach(Attachment { link: Box::new(Cable(descriptor)), member })
        })?
        .map_err(|error| of_attach(&error))?;
        Ok(NetReply::Done)
    }
    fn attach_trunk(&self, trunk: AttachTrunk, talk: &Talk<'_>) -> Result<NetReply, Failure> {
        let kind: TrunkKind = serde_json::from_value(Value::String(trunk.kind.clone()))
            .map_err(|_| failure(FailureKind::Invalid, format!("{:?} is no kind of trunk", trunk.kind)))?;
        // A card that is not known is one that nobody has.
        let mac = trunk.mac.as_deref().map(mac_of).transpose()?.unwrap_or(Mac([0x52, 0x56, 0, 0, 0, 1]));
        let descriptor = receive(talk)?;
        let while_connected = trunk.while_connected;
        let port = self.ask(move |network| {
            let link: Box<dyn Link> = match Trunk::of_descriptor(kind, descriptor) {
                Trunk::Tap(device) => Box::new(Cable(device)),
                trunk @ Trunk::Packet(_) => Box::new(Packets::new(trunk)),
            };
            let (vm, nic) = ("host".to_owned(), trunk.name);
            let member = Member { vm, nic, mac, kind: MemberKind::Trunk, addresses: Vec::new() };
            network.attach(Attachment { link, member })
        })?;
        let port = port.map_err(|error| of_attach(&error))?;
        if while_connected {
            let handle = self.handle.clone();
            let leave = move || {
                // Where the network has ended, nobody is on it.
                let _ = handle.ask(move |network| network.detach(port));
            };
            talk.at_end(leave).map_err(|error| failure(FailureKind::Other, error.to_string()))?;
        }
        Ok(NetReply::Done)
    }

    fn add_forward(&self, wanted: &PortForward) -> Result<NetReply, Failure> {
        let forward = forward_of(wanted)?;
        self.ask(move |network| network.add_forward(forward))?.map_err(|error| of_forward(&error))?;
        Ok(NetReply::Done)
    }
    fn remove_forward(&self, carries: &str, host: SocketAddr) -> Result<NetReply, Failure> {
        let carries = carries_of(carries)?;
        let removed = self.ask(move |network| network.remove_forward(carries, host))?;
        removed.map(|_| NetReply::Done).map_err(|error| of_forward(&error))
    }
    fn capture(&self, bytes_max: Option<u64>, talk: &Talk<'_>) -> Result<NetReply, Failure> {
        let file = std::fs::File::from(receive(talk)?);
        let options = Options { bytes_max, ..Options::default() };
        self.ask(move |network| {
            let to: Box<dyn std::io::Write> = Box::new(std::io::BufWriter::new(file));
            Capture::new(to, options).map(|capture| network.set_capture(Some(capture)))
        })?
        .map_err(|error| failure(FailureKind::Other, format!("cannot write the capture: {error}")))?;
        Ok(NetReply::Done)
    }
    fn trace(&self, flow: TraceFlow) -> Result<NetReply, Failure> {
        let direction = flow.direction.parse::<Direction>();
        let direction = direction.map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
        let TraceFlow { vm, protocol, number, peer, .. } = flow;
        let traced = self.ask(move |network| {
            network.filter().trace_peer(&vm, direction, Protocol(protocol), number, peer)
        })?;
        let value = traced.map(serde_json::to_value).transpose();
        value.map(NetReply::Traced).map_err(|error| failure(FailureKind::Other, error.to_string()))
    }
    fn set_groups(&self, groups: Value, cut: bool) -> Result<NetReply, Failure> {
        let groups = parse(groups)?;
        self.ask(move |network| {
            network.filter().set_groups(groups);
            if cut {
                network.cut();
            }
        })?;
        Ok(NetReply::Done)
    }
    fn set_firewall(&self, firewall: Value, cut: bool) -> Result<NetReply, Failure> {
        let firewall = parse(firewall)?;
        self.ask(move |network| {
            network.filter().set_firewall(firewall);
            if cut {
                network.cut();
            }
        })?;
        Ok(NetReply::Done)
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| failure(FailureKind::Invalid, error.to_string()))
}

fn receive(talk: &Talk<'_>) -> Result<OwnedFd, Failure> {
    let received = talk.receive(NetReply::Ready);
    let descriptor = received.map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
    let set = rustix::fs::fcntl_getfl(&descriptor)
        .and_then(|known| rustix::fs::fcntl_setfl(&descriptor, known | rustix::fs::OFlags::NONBLOCK));
    set.map_err(|error| failure(FailureKind::Other, error.to_string()))?;
    Ok(descriptor)
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message }
}

fn mac_of(text: &str) -> Result<Mac, Failure> {
    let mac = text.parse::<Mac>().map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
    if mac.is_unicast() {
        Ok(mac)
    } else {
        Err(failure(FailureKind::Invalid, format!("{mac} cannot be a card's address")))
    }
}

fn carries_of(text: &str) -> Result<Carries, Failure> {
    match text {
        "tcp" => Ok(Carries::Tcp),
        "udp" => Ok(Carries::Udp),
        _ => Err(failure(FailureKind::Invalid, format!("{text:?} is neither tcp nor udp"))),
    }
}

fn forward_of(wanted: &PortForward) -> Result<Forward, Failure> {
    let target = wanted.guest.parse().map_or_else(|_| Target::Vm(wanted.guest.clone()), Target::Address);
    let carries = carries_of(&wanted.carries)?;
    Ok(Forward { carries, host: wanted.host, target, guest_port: wanted.guest_port })
}

fn described(forward: &Forward) -> PortForward {
    let carries = match forward.carries {
        Carries::Tcp => "tcp",
        Carries::Udp => "udp",
    };
    let guest = match &forward.target {
        Target::Vm(name) => name.clone(),
        Target::Address(address) => address.to_string(),
    };
    PortForward { carries: carries.to_owned(), host: forward.host, guest, guest_port: forward.guest_port }
}

fn port(member: &Member, counters: Counters) -> NetworkPort {
    NetworkPort {
        vm: member.vm.clone(),
        nic: member.nic.clone(),
        mac: member.mac.to_string(),
        addresses: member.addresses.clone(),
        received: counters.received,
        received_bytes: counters.received_bytes,
        sent: counters.sent,
        sent_bytes: counters.sent_bytes,
        dropped: counters.dropped,
        malformed: counters.malformed,
    }
}

fn of_attach(error: &AttachError) -> Failure {
    let kind = match error {
        AttachError::MacTaken(_) | AttachError::NameTaken { .. } | AttachError::Full(_) => {
            FailureKind::WrongState
        }
        AttachError::Host(_) => FailureKind::Other,
    };
    failure(kind, error.to_string())
}

fn of_forward(error: &ForwardError) -> Failure {
    let kind = match error {
        ForwardError::Missing(_) => FailureKind::NotFound,
        ForwardError::Exists(_) | ForwardError::Taken(_) | ForwardError::Privileged(_) => {
            FailureKind::WrongState
        }
        ForwardError::NoSuchAddress(_) => FailureKind::Invalid,
        ForwardError::Host(..) => FailureKind::Other,
    };
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    failure(kind, format!("{error}{source}"))
}
