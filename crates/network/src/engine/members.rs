//! Who is on the network.
use std::net::IpAddr;

use platform::net::{Mac, Offloads};

use super::Network;
use crate::policy::{End, Identity};
use crate::poller::{Kind, Token};
use crate::port::{Counters, Link, Port};
use crate::services::PortView;
use crate::switch::PortId;

/// What is at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A guest's card.
    Guest,
    /// The host, or a network outside that it is joined to.
    Trunk,
}

/// Somebody on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The machine.
    pub vm: String,
    /// Its card.
    pub nic: String,
    /// The card's address.
    pub mac: Mac,
    /// What it is.
    pub kind: MemberKind,
    /// Addresses that it may have.
    pub addresses: Vec<IpAddr>,
}

/// Somebody who comes.
pub struct Attachment {
    /// What carries its frames.
    pub link: Box<dyn Link>,
    /// Who it is.
    pub member: Member,
}

/// Why somebody cannot come.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Somebody else has the address.
    #[error("the address {0} is on the network already")]
    MacTaken(Mac),
    /// There is one.
    #[error("{vm}'s {nic} is on the network already")]
    NameTaken {
        /// The machine.
        vm: String,
        /// Its card.
        nic: String,
    },
    /// No more can come.
    #[error("the network is full: {0} ports")]
    Full(usize),
    /// The host failed.
    #[error("cannot wait for frames")]
    Host(#[source] std::io::Error),
}

/// Ports at most.
const PORTS_MAX: usize = 254;

impl Network {
    /// Gives somebody a port.
    pub fn attach(&mut self, attachment: Attachment) -> Result<PortId, AttachError> {
        let Attachment { link, member } = attachment;
        if self.members.len() >= PORTS_MAX {
            return Err(AttachError::Full(PORTS_MAX));
        }
        if self.members.values().any(|other| (&other.vm, &other.nic) == (&member.vm, &member.nic)) {
            return Err(AttachError::NameTaken { vm: member.vm, nic: member.nic });
        }
        let mut port = Port::new(link, member.mac);
        if member.kind == MemberKind::Trunk {
            // The host's kernel does all of it.
            port.accepts = Offloads { checksum: true, tcp4: true, tcp6: true };
        }
        let id = match member.mac == self.gateway.mac() {
            true => None,
            false => self.ports.insert(port),
        };
        let id = id.ok_or(AttachError::MacTaken(member.mac))?;
        if let Some(port) = self.ports.get(id) {
            let token = Token { kind: Kind::Port, index: id.0, generation: 0 };
            if let Err(error) = self.poller.add(port.descriptor(), token) {
                self.ports.remove(id);
                return Err(AttachError::Host(error));
            }
        }
        if member.kind == MemberKind::Guest {
            let identity = Identity {
                vm: member.vm.clone(),
                nic: member.nic.clone(),
                mac: member.mac,
                addresses: member.addresses.clone(),
                // Guests choose their addresses of IPv6 themselves.
                prefixes: self.gateway.plan().v6.iter().map(|v6| v6.prefix).collect(),
                strict: self.strict,
            };
            self.filter.add_port(id, identity);
        }
        tracing::info!(vm = member.vm, nic = member.nic, mac = %member.mac, "a port is there");
        self.members.insert(id, member);
        self.tell_stations();
        Ok(id)
    }
    fn tell_stations(&self) {
        let guests = self.members.values().filter(|member| member.kind == MemberKind::Guest);
        let stations: Vec<Mac> = guests.map(|guest| guest.mac).chain([self.gateway.mac()]).collect();
        for (id, _) in self.members.iter().filter(|(_, member)| member.kind == MemberKind::Trunk) {
            if let Some(port) = self.ports.get(*id) {
                port.set_stations(&stations);
            }
        }
    }
    /// Takes a port away, with everything that goes through it.
    pub fn detach(&mut self, id: PortId) {
        let Some(member) = self.members.remove(&id) else { return };
        tracing::info!(vm = member.vm, nic = member.nic, "a port is gone");
        self.ports.remove(id);
        self.filter.remove_port(id);
        self.gateway.forget_port(id);
        self.datagrams.forget_port(id);
        self.echoes.forget_port(id);
        self.lookups.forget_port(id);
        self.forwards.forget_port(id);
        self.reassembly.remove(&id);
        self.connections.cut(&mut self.ports, &|port, _, _| port == id);
        self.connections.forget_port(id);
        self.tell_stations();
    }
    /// Everybody on the network, with what has passed.
    pub fn members(&self) -> impl Iterator<Item = (PortId, &Member, Counters)> {
        let counters = |id| self.ports.get(id).map(|port| port.counters).unwrap_or_default();
        self.members.iter().map(move |(id, member)| (*id, member, counters(*id)))
    }
    /// How many guests there are.
    pub fn guests(&self) -> usize {
        self.members.values().filter(|member| member.kind == MemberKind::Guest).count()
    }

    pub(super) fn end_of(&self, id: PortId) -> End {
        match self.members.get(&id).map(|member| member.kind) {
            Some(MemberKind::Trunk) => End::Host,
            _ => End::Port(id),
        }
    }
    pub(super) fn view(
        members: &std::collections::BTreeMap<PortId, Member>,
        id: PortId,
    ) -> Option<PortView<'_>> {
        let member = members.get(&id)?;
        let name = (member.kind == MemberKind::Guest).then_some(member.vm.as_str());
        Some(PortView { id, mac: member.mac, name })
    }
    /// A guest has an address from now on, unless somebody else has it.
    pub(super) fn has_address(&mut self, id: PortId, address: IpAddr) {
        let taken =
            self.members.iter().any(|(other, member)| *other != id && member.addresses.contains(&address));
        let Some(member) = self.members.get_mut(&id).filter(|_| !taken) else { return };
        if !member.addresses.contains(&address) {
            // One of IPv4; of IPv6 as many as a guest has at a time.
            if address.is_ipv4() {
                member.addresses.retain(IpAddr::is_ipv6);
            }
            member.addresses.push(address);
            if member.addresses.len() > ADDRESSES_MAX {
                member.addresses.remove(0);
            }
            let addresses = member.addresses.clone();
            self.filter.set_addresses(id, addresses);
        }
    }
}

/// Addresses of a card at most.
const ADDRESSES_MAX: usize = 16;
