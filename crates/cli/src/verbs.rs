//! One file per verb.

pub mod disk;
pub mod doctor;
pub mod firewall;
pub mod image;
pub mod run;
pub mod sg;
