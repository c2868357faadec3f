//! The I/O APIC (Intel 82093AA; ICH9 §13.5, which adds the EOI register).

mod device;
mod spec;

pub use device::IoApic;

#[cfg(test)]
mod tests;
