//! What leaves a network: connections of guests are spliced to sockets of the host, so that no packet needs a privilege.

pub mod connections;
pub mod datagrams;
pub mod echoes;
mod far;
pub mod forwards;
pub mod lookups;
pub mod names;
pub mod outside;
pub mod socket;
pub mod tcp;
mod to_port;
