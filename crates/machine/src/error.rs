//! Why a machine cannot be built or go on.
use crate::acpi::AcpiError;
use crate::boot::BootError;
use crate::chipset::disks::DiskPlaceError;
use crate::chipset::nics::NicError;
use crate::config::ConfigError;
use crate::engine::EngineError;

/// Why a machine cannot be built or go on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The description is impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel cannot be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The host has no memory for the guest.
    #[error(transparent)]
    Ram(#[from] platform::RamError),
    /// The ACPI tables do not fit.
    #[error(transparent)]
    Acpi(#[from] AcpiError),
    /// The host cannot run the engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Two devices want the same address.
    #[error("the board plan contradicts itself")]
    Board(#[from] platform::BusError),
    /// Two PCI functions want the same slot.
    #[error("the board plan contradicts itself")]
    Slots(#[from] devices::pci::PciError),
    /// A disk has no place.
    #[error(transparent)]
    Disk(#[from] DiskPlaceError),
    /// A network card has no place or no cable.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The engine refused the state in which the kernel starts.
    #[error("the engine refused the kernel's first state")]
    Entry(#[from] platform::RestoreError),
    /// The host gives no thread for timers.
    #[error("the machine's clock cannot be started")]
    Clock(#[source] std::io::Error),
    /// The host gives no thread for the console.
    #[error("the console's thread cannot be started")]
    Console(#[source] std::io::Error),
    /// The host has no threads left.
    #[error("no thread for CPU {cpu}")]
    Thread {
        /// Which CPU.
        cpu: usize,
        /// The host's reason.
        source: std::io::Error,
    },
    /// A bug in this program: the thread of a CPU panicked.
    #[error("the thread of CPU {0} died of a bug in this program (its message is above)")]
    CpuDied(usize),
    /// `run` was called twice.
    #[error("the machine has already run")]
    Over,
}
