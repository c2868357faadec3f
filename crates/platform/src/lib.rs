//! Contracts between the parts of a machine, guest RAM, and the memory of the program itself.
//!
//! Engines, devices, disks and networks are strangers to one another; what they share is named here, and only the `machine`
//! crate brings implementations together.

pub mod bus;
pub mod clock;
pub mod cpu;
pub mod device;
pub mod disk;
pub mod irq;
pub mod memory;
pub mod net;
pub mod program;
pub mod ram;
pub mod resident;
pub mod saved;

pub use bus::{Bus, BusError};
pub use clock::{Clock, HostClock, ManualClock, Timer, TimerCallback};
pub use cpu::{Attention, CpuIo, Port, RestoreError, ShutdownCause, Stop, Vcpu};
pub use device::{Device, Region, SharedDevice};
pub use disk::{DiskBackend, DiskError, DiskOperation, DiskPort, DiskRequest, DiskShape};
pub use irq::{IrqLine, IrqSink, MsiSink};
pub use memory::{Buffers, Span};
pub use ram::{CodeWatch, GuestRam, RamError, RamLayout};
pub use saved::{SavedError, SavedState};
