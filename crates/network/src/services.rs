//! What a network offers to its guests: addresses, names, answers to pings. Frames and a clock go in, frames and events
//! come out; files, sockets and clocks are the caller's.

pub mod dhcp;
pub mod dns;
mod label;
mod now;
mod plan;
pub mod refusal;

pub use dhcp::{Lease, Leases, Reservation, ReservationError};
pub use now::Now;
pub use plan::{Mode, Plan, PlanError, V4, V6};
