//! Formats of frames and packets: bytes in, fields out, and the other way round.

mod checksum;
mod ethernet;
mod ethertype;
pub mod fragments;
mod icmp;
mod ip;
pub mod offload;
mod packet;
mod protocol;
mod rewrite;
mod tuple;
mod udp;

pub use checksum::Checksum;
pub use ethernet::{ethernet_header, ipv6_group_mac};
pub use ethertype::EtherType;
pub use icmp::{ICMP_BYTES, IcmpHeader, icmp_frame};
pub use ip::IpHeader;
pub use packet::{ETHERNET_BYTES, Fragment, Ip, Malformed, Packet, Transport, tcp_flag};
pub use protocol::Protocol;
pub use rewrite::{Side, set_end, set_quoted};
pub use tuple::Tuple;
pub use udp::{UDP_BYTES, udp_frame, udp_header};
