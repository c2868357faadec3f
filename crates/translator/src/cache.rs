//! Translated code: where it lives, how it is found, linked and thrown away.

mod ages;
pub mod block;
pub mod blocks;
pub mod code;
pub mod directory;
pub mod finder;
mod gauge;
mod give_back;
mod links;
pub mod marks;
pub(crate) mod record;
mod records;
pub mod shared;
mod touch;
