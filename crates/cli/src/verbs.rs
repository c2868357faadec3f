//! One file per verb.

pub mod disk;
pub mod doctor;
pub mod image;
pub mod net_helper;
pub mod net;
pub mod network_process;
pub mod run;
