//! Translated code: where it lives, how it is found, linked and thrown away.

pub mod block;
pub mod blocks;
pub mod code;
pub mod directory;
pub mod finder;
mod links;
pub mod marks;
mod record;
mod records;
pub mod shared;
mod touch;
