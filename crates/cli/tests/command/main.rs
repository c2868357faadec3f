//! Tests of the built `gasang` command: what it refuses, how it ends, what it leaves behind.

mod arguments;
mod endings;
mod inside;
mod process;
mod sample;
mod terminal;
