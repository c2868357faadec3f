//! What is said to a running network, and what it answers. Values of JSON are what `gasang-network` makes of its own types:
//! `groups` is its `Groups`, `firewall` its `Firewall`, and so on.
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// What a network is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetRequest {
    /// What it is, and who is on it.
    Info,
    /// A card comes: the answer is [`NetReply::Ready`], and one end of its cable is to be passed then.
    Attach(AttachCard),
    /// The host comes, or an interface of its: the answer is [`NetReply::Ready`], and a descriptor is to be passed then.
    AttachTrunk(AttachTrunk),
    /// A port of the host leads to a guest from now on.
    AddForward(PortForward),
    /// A port of the host is closed again.
    RemoveForward {
        /// "tcp" or "udp".
        carries: String,
        /// The host's address and port.
        host: SocketAddr,
    },
    /// Frames are written down from now on: the answer is [`NetReply::Ready`], and the file is to be passed then.
    Capture {
        /// Bytes of the file at most.
        bytes_max: Option<u64>,
    },
    /// Frames are not written down any more.
    EndCapture,
    /// Security groups, as they are kept.
    SetGroups {
        /// All of them.
        groups: Value,
        /// Connections that they do not allow are broken off.
        cut: bool,
    },
    /// The firewall's state.
    Firewall,
    /// Another state of the firewall.
    SetFirewall {
        /// All of it.
        firewall: Value,
        /// Connections that it does not allow are broken off.
        cut: bool,
    },
    /// Counters of what may pass.
    PolicyStats,
    /// Which rule decides about a flow.
    Trace(TraceFlow),
    /// The network ends.
    Stop,
}

/// What a network answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetReply {
    /// What it is.
    Info(NetworkInfo),
    /// A descriptor is to be passed now.
    Ready,
    /// It was done.
    Done,
    /// The firewall as it is in force.
    Firewall(Value),
    /// Counters of the policy.
    PolicyStats(Value),
    /// What would become of a flow; none if the machine is not on this network.
    Traced(Option<Value>),
    /// It was not done.
    Failed(Failure),
}

impl From<Failure> for NetReply {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A flow that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceFlow {
    /// To or from which machine.
    pub vm: String,
    /// "ingress" or "egress".
    pub direction: String,
    /// The protocol's number.
    pub protocol: u8,
    /// The receiver's port; of ICMP, type and code, 8 bits each; else zero.
    pub number: u16,
    /// The other end.
    pub peer: IpAddr,
}

/// A card that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachCard {
    /// The machine.
    pub vm: String,
    /// Its card.
    pub nic: String,
    /// The card's address.
    pub mac: String,
    /// An address that it shall have.
    pub address: Option<IpAddr>,
}

/// The host, or an interface of its, that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachTrunk {
    /// What to call it.
    pub name: String,
    /// "tap" or "packet".
    pub kind: String,
    /// The address of the host's card, if it is known.
    pub mac: Option<String>,
    /// It goes when this connection ends.
    #[serde(default)]
    pub while_connected: bool,
}

/// A port of the host that leads to a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForward {
    /// "tcp" or "udp".
    pub carries: String,
    /// The host's address and port.
    pub host: SocketAddr,
    /// The machine's name or the guest's address.
    pub guest: String,
    /// The guest's port.
    pub guest_port: u16,
}

/// What a network is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Its name.
    pub name: String,
    /// "nat", "natnet", "hostonly", "internal" or "bridged".
    pub mode: String,
    /// Its process.
    pub pid: u32,
    /// Its IPv4 network.
    pub prefix: Option<String>,
    /// Its IPv6 network.
    pub prefix6: Option<String>,
    /// Its own address.
    pub gateway: Option<IpAddr>,
    /// Connections through the NAT.
    pub connections: usize,
    /// Who is on it.
    pub ports: Vec<NetworkPort>,
    /// Ports of the host that lead to guests.
    pub forwards: Vec<PortForward>,
}

/// Somebody on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPort {
    /// The machine.
    pub vm: String,
    /// Its card.
    pub nic: String,
    /// The card's address.
    pub mac: String,
    /// Its IP addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
    /// Frames from it.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames for it.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames for it that found no room.
    pub dropped: u64,
    /// Frames from it that made no sense.
    pub malformed: u64,
}
