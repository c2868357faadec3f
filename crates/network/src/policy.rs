//! What may pass: frames and a clock in, verdicts out.
//!
//! [`Filter`] is asked for each frame. In its order: [`spoof`] (a port sends as itself only), [`track`] (flows that were let
//! in go on), [`groups`] (security groups of the sender and of the receiver) and [`zones`] (firewalld's model, for flows
//! to a guest).

mod filter;
pub mod groups;
pub mod spoof;
pub mod track;
mod verdict;
pub mod zones;

pub use filter::{Filter, Identity, PortStats, RuleStats, Stats, Traced};
pub use verdict::{Drops, End, PortId, Reason, Reject, Verdict};
