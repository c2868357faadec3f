//! The local APIC of one CPU, xAPIC and x2APIC (Intel SDM 3A chapter 11).

mod base;
mod device;
mod message;
mod msr;
mod spec;
mod state;
mod timer;
mod tsc;

pub use device::{Effect, LocalApic};
pub use message::{Command, DeliveryMode, Message, Shorthand};
pub use spec::TIMER_HZ;
pub use state::ApicState;
pub use tsc::{GuestTsc, HostTsc};

#[cfg(test)]
mod tests;
