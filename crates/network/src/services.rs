//! What a network offers to its guests: addresses, names, answers to pings. Frames and a clock go in, frames and events
//! come out; files, sockets and clocks are the caller's.
//!
//! [`Gateway`] is the front. [`Plan`] says which addresses a network has, [`Leases`] which of them were given away.

mod arp;
pub mod dhcp;
mod dhcpv6;
pub mod dns;
mod echo;
mod gateway;
mod label;
mod ndp;
mod neighbours;
mod now;
mod outbox;
mod plan;
mod port;
pub mod refusal;

pub use dhcp::{Lease, Leases, Reservation, ReservationError};
pub use gateway::{DnsClient, Gateway, Handled};
pub use neighbours::{Neighbour, Neighbours};
pub use now::Now;
pub use outbox::{Destination, Event, Outbox, Outgoing};
pub use plan::{Mode, Plan, PlanError, V4, V6};
pub use port::{PortId, PortView};
