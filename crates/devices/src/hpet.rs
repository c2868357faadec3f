//! The high precision event timer (IA-PC HPET specification 1.0a).

mod device;
mod legacy;
mod spec;
mod state;

pub use device::{Hpet, HpetLines};
pub use legacy::LegacyLine;
pub use spec::COMPARATORS;

#[cfg(test)]
mod tests;
