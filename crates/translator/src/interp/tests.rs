//! The interpreter on a small machine: modes, faults, privilege changes, and results of every family.

mod alu;
mod machine;
mod modes;
mod privilege;
mod vectors;
