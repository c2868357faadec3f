//! One file per verb.

pub mod disk;
pub mod doctor;
pub mod image;
pub mod run;
