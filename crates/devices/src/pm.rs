//! ACPI's fixed hardware: PM1 events and control, the power-management timer, general-purpose events (ACPI 6.5 §4.8).

mod device;
mod spec;

pub use device::Pm;

#[cfg(test)]
mod tests;
