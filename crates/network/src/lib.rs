//! Virtual networks: frames in, frames out, and sockets of the host for what leaves the network.
//!
//! `wire` knows formats and nothing else. `policy` decides what may pass; `services` are what a network offers to its
//! guests (addresses, names); both see frames and a clock, never a socket. `capture` writes frames down. `host` opens what
//! only the host's kernel has: TAP devices, namespaces, packet sockets.

pub mod capture;
pub mod host;
pub mod policy;
pub mod services;
pub mod wire;
