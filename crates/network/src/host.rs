//! What the host's kernel has for networks.
//!
//! `tap` and `bridged` join a network to an interface of the host, as a [`trunk::Trunk`]; both need privileges, which
//! `helper` has if this process has none, and `namespace` does without any. `addresses` and `reach` know what guests are
//! kept away from. `jail` is what a network's process locks itself into.

pub mod addresses;
pub mod bridged;
pub mod capability;
pub mod descriptors;
pub mod error_queue;
pub mod helper;
pub mod interface_name;
pub mod jail;
pub mod namespace;
mod netlink;
mod packet_socket;
pub mod ping;
pub mod reach;
pub mod resolver_file;
pub mod tap;
pub mod trunk;
