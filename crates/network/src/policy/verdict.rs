//! Who sends, who receives, and what becomes of a frame.
use std::collections::BTreeMap;
use std::fmt;

pub use crate::switch::PortId;

/// Where a frame comes from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// A guest's card.
    Port(PortId),
    /// The network's own services: DHCP, DNS and so on.
    Gateway,
    /// What is behind the NAT.
    Outside,
    /// The host, by an address of its own on this network.
    Host,
}

impl End {
    /// The port, if it is one.
    pub fn port(self) -> Option<PortId> {
        match self {
            Self::Port(port) => Some(port),
            Self::Gateway | Self::Outside | Self::Host => None,
        }
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It vanishes.
    Drop(Reason),
    /// It vanishes, and its sender is told so.
    Reject(Reject),
}

/// How a sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// ICMP type 3 code 13, ICMPv6 type 1 code 1: communication administratively prohibited.
    Prohibited,
    /// ICMP type 3 code 3, ICMPv6 type 1 code 4: port unreachable.
    PortUnreachable,
    /// ICMP type 3 code 1, ICMPv6 type 1 code 3: host or address unreachable.
    HostUnreachable,
    /// A TCP segment with RST; of other protocols as [`Self::PortUnreachable`].
    TcpReset,
}

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Its source is not the card's address.
    SourceMac,
    /// An ARP packet that speaks for somebody else.
    ArpSender,
    /// Its IP source is none of the card's.
    SourceAddress,
    /// A guest that plays DHCP server.
    DhcpServer,
    /// A guest that plays router.
    RouterAdvertisement,
    /// A guest that sends others another way.
    Redirect,
    /// The zones are in panic mode.
    Panic,
    /// No rule of the sender's security groups lets it out.
    EgressGroups,
    /// The firewall's zone.
    Zone,
    /// No rule of the receiver's security groups lets it in.
    IngressGroups,
    /// A TCP segment, an ICMP error or a fragment of a flow that is not known.
    NotTracked,
    /// No port of that number.
    NoPort,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::SourceMac,
        Self::ArpSender,
        Self::SourceAddress,
        Self::DhcpServer,
        Self::RouterAdvertisement,
        Self::Redirect,
        Self::Panic,
        Self::EgressGroups,
        Self::Zone,
        Self::IngressGroups,
        Self::NotTracked,
        Self::NoPort,
    ];

    /// For tables and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::SourceMac => "source-mac",
            Self::ArpSender => "arp-sender",
            Self::SourceAddress => "source-address",
            Self::DhcpServer => "dhcp-server",
            Self::RouterAdvertisement => "router-advertisement",
            Self::Redirect => "redirect",
            Self::Panic => "panic",
            Self::EgressGroups => "egress-groups",
            Self::Zone => "zone",
            Self::IngressGroups => "ingress-groups",
            Self::NotTracked => "not-tracked",
            Self::NoPort => "no-port",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How many frames were dropped for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; Reason::ALL.len()]);

impl Drops {
    /// One more.
    pub fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }
    /// Of one reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }
    /// By name, without those that never were.
    pub fn named(&self) -> BTreeMap<String, u64> {
        let all = Reason::ALL.iter().map(|reason| (reason.name().to_owned(), self.of(*reason)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}
