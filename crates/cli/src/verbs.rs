//! One file per verb.

pub mod disk;
pub mod doctor;
pub mod firewall;
pub mod image;
pub mod net;
pub mod net_helper;
pub mod network_process;
pub mod run;
pub mod sg;
