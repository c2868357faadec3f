//! What leaves a network: connections of guests are spliced to sockets of the host, so that no packet needs a privilege.

pub mod connections;
pub mod socket;
pub mod tcp;
