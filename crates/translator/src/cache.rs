//! Translated code: where it lives, how it is found, linked and thrown away.

pub mod block;
pub mod blocks;
pub mod code;
mod links;
pub mod marks;
mod record;
pub mod shared;
mod touch;
