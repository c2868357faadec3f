//! The guest's serial console on this process's terminal, pipe or file.

pub mod escape;
pub mod input;
pub mod output;
pub mod quiet;
pub mod terminal;
