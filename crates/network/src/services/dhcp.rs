//! DHCP (RFC 2131): addresses for guests, the same ones for the same cards.
//!
//! A message becomes a [`request::Request`]; [`Server`] decides, with [`Leases`]; `reply` puts the answer together. A card is
//! known by its MAC: a client identifier is repeated in answers (RFC 6842), but no more is made of it, since clones of a disk
//! share it, and one guest may have several, of its firmware, its initramfs and its network manager.

mod leases;
mod reply;
mod request;
mod reservations;
mod server;

pub use leases::{Lease, Leases};
pub use request::SERVER_PORT;
pub use reservations::{Reservation, ReservationError, Reservations};
pub use server::{Outcome, Server, Terms};

#[cfg(test)]
mod tests;
