//! Real guests, driven from the outside: their consoles, and the hosts and networks that are around them.
pub mod console;
pub mod lands;
