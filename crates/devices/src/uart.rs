//! The 16550A serial port (National Semiconductor PC16550D data sheet).

mod backend;
mod device;
mod spec;
mod state;
mod transfer;

pub use backend::SerialOutput;
pub use device::Uart;
pub use state::UartState;

#[cfg(test)]
mod tests;
