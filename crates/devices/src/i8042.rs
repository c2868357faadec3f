//! The keyboard controller (IBM PS/2 hardware interface reference; "keyboard controller", OSDev).

mod device;
mod keyboard;
mod spec;

pub use device::{I8042, I8042_COMMAND_REGION, I8042_DATA_REGION};

#[cfg(test)]
mod tests;
