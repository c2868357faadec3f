//! Network cards: what the user wants ([`config`]), and the cables that they hang on ([`cable`]).

pub mod cable;
mod cable_poll;
pub mod config;

pub use cable::{Cable, LinkWatch};
pub use config::{CableEnd, NicConfig, NicModel};
