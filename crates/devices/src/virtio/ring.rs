//! Virtqueues (VirtIO 1.2 §2.6 to §2.8), split and packed, as a device sees them.
//!
//! [`Queue`] is what a driver sets up and a device takes chains from; [`split`] and [`packed`] know how the two kinds
//! lie in memory. What is in memory is the driver's and hostile: it is read once, checked, and kept as a [`Chain`].

mod chain;
mod collect;
mod error;
mod flight;
mod packed;
mod place;
mod queue;
mod segments;
mod split;
mod table;

pub use chain::Chain;
pub use error::QueueError;
pub use queue::{Queue, RingKind, SavedQueue};
pub use segments::{Segment, Segments};

#[cfg(test)]
pub mod driver;
#[cfg(test)]
pub use place::Place;
#[cfg(test)]
pub mod tests;
