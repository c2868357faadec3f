//! The 8254 interval timer and port 0x61 (Intel 8254 data sheet, order number 231164).

mod channel;
mod device;
mod spec;

pub use device::{PIT_PORT_B_REGION, PIT_REGION, Pit};

#[cfg(test)]
mod tests;
