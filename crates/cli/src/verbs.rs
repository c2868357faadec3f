//! One file per verb.

pub mod disk;
pub mod doctor;
pub mod run;
