//! The pair of 8259A interrupt controllers of a PC (Intel 8259A data sheet, order number 231468).

mod chip;
mod pair;
mod spec;

pub use pair::{Pair, Register};

#[cfg(test)]
mod tests;
