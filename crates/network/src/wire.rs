//! Formats of frames and packets: bytes in, fields out, and the other way round.

mod checksum;
mod ethertype;
pub mod offload;
mod packet;
mod protocol;
mod tuple;

pub use checksum::Checksum;
pub use ethertype::EtherType;
pub use packet::{ETHERNET_BYTES, Fragment, Ip, Malformed, Packet, Transport, tcp_flag};
pub use protocol::Protocol;
pub use tuple::Tuple;
