//! The MC146818 real-time clock and its CMOS memory (Motorola MC146818A data sheet).

mod calendar;
mod device;
mod spec;

pub use device::{Rtc, RtcConfig};

#[cfg(test)]
mod tests;
