//! Virtual networks: frames in, frames out, and sockets of the host for what leaves the network.
//!
//! `wire` knows formats and nothing else. `policy` decides what may pass; `services` are what a network offers to its
//! guests (addresses, names); both see frames and a clock, never a socket. `nat` has the host's sockets. `capture` writes
//! frames down. `host` opens what only the host's kernel has: TAP devices, namespaces, packet sockets.

pub mod capture;
pub mod engine;
pub mod host;
pub mod nat;
pub mod policy;
mod poller;
pub mod port;
pub mod services;
mod slots;
pub mod switch;
mod timers;
pub mod wire;

pub use poller::{Kind, Poller, Ready, Token};
