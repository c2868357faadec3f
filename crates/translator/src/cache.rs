//! Translated code: where it lives, how it is found, linked and thrown away.

pub mod blocks;
pub mod code;
