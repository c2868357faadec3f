//! Instruction oracles. A [`Case`] (code, registers, memory) runs on every engine and, natively, on the CPU that the
//! tests themselves run on; all must end alike.
//!
//! Cases come from readable rows ([`row`], the files in `rows/`) and from a seeded generator ([`generate`]). Whoever
//! differs is shown as the shortest row that still differs ([`shrink`]).

pub mod amd;
pub mod bare;
pub mod case;
pub mod compare;
pub mod encodings;
pub mod engine;
pub mod generate;
pub mod layout;
pub mod legacy;
pub mod oracle;
pub mod random;
pub mod row;
pub mod shrink;
pub mod state;
pub mod watchdog;

pub use case::{Case, Runner};
pub use state::{Ending, Outcome, UserState};
