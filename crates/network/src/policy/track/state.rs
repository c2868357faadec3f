//! What a flow does.
use crate::wire::{Protocol, tcp_flag};

/// What a flow does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP: asked for, not yet answered.
    SynSent,
    /// TCP: answered, not yet confirmed.
    SynReceived,
    /// TCP: both sides talk.
    Established,
    /// TCP: somebody has nothing more to say.
    Closing,
    /// TCP: there was an RST.
    Closed,
    /// Not TCP: one side has spoken.
    OneWay,
    /// Not TCP: both sides have spoken.
    BothWays,
}

impl State {
    /// That of a flow that its first packet begins.
    pub fn first(protocol: Protocol, flags: u8) -> Self {
        match protocol {
            Protocol::TCP if flags & tcp_flag::RST != 0 => Self::Closed,
            Protocol::TCP if flags & tcp_flag::FIN != 0 => Self::Closing,
            Protocol::TCP if flags & tcp_flag::SYN != 0 && flags & tcp_flag::ACK == 0 => Self::SynSent,
            // Begun before anybody looked.
            Protocol::TCP => Self::Established,
            _ => Self::OneWay,
        }
    }
    /// That after one more packet.
    pub fn after(self, flags: u8, from_initiator: bool) -> Self {
        let has = |flag| flags & flag != 0;
        match self {
            Self::OneWay | Self::BothWays if from_initiator => self,
            Self::OneWay | Self::BothWays => Self::BothWays,
            _ if has(tcp_flag::RST) => Self::Closed,
            Self::Closed => Self::Closed,
            _ if has(tcp_flag::FIN) => Self::Closing,
            Self::SynSent if !from_initiator && has(tcp_flag::ACK) => Self::SynReceived,
            Self::SynReceived if from_initiator && has(tcp_flag::ACK) && !has(tcp_flag::SYN) => {
                Self::Established
            }
            _ => self,
        }
    }
    /// Seconds of silence after which the flow is forgotten.
    pub fn idle_seconds(self, protocol: Protocol) -> u32 {
        match self {
            Self::Established => 432_000,
            Self::SynSent | Self::SynReceived | Self::Closing => 120,
            Self::Closed => 10,
            Self::OneWay => 30,
            Self::BothWays if matches!(protocol, Protocol::ICMP | Protocol::ICMPV6) => 30,
            Self::BothWays => 180,
        }
    }
    /// Both sides have agreed to talk; such flows are the last to be given up when there are too many.
    pub fn is_established(self) -> bool {
        matches!(self, Self::Established | Self::BothWays)
    }
    /// A TCP flow that is over, or about to be: a SYN begins another.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}
