//! The interpreter on a small machine: modes, faults, privilege changes, and results of every family.

mod alu;
mod debugging;
mod encodings;
mod legacy;
mod machine;
mod modes;
mod paging;
mod privilege;
mod registers;
mod stacks;
mod tasks;
mod vector_state;
mod vectors;
