//! Names (RFC 1035): those of a network's guests are answered here, others are the host's resolvers' to answer.

mod answer;
mod names;
mod resolvers;
mod shorten;

pub use answer::{Answer, Over, Zone, answer};
pub use names::Names;
pub use resolvers::{Resolver, resolvers};
pub use shorten::{datagram_limit, shorten};

/// The port that names are asked for at.
pub const PORT: u16 = 53;

#[cfg(test)]
mod tests;
