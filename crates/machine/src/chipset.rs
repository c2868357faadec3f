//! Building the board: every chip, its addresses and its wires.
//!
//! [`legacy`] has the chips that a PC has had since the AT, [`pci`] the root and what is in its slots, [`power`] what
//! ends or restarts the machine.
use std::sync::Arc;

use devices::apic::HostTsc;
use devices::interrupts::Interrupts;
use devices::pm::Pm;
use devices::uart::Uart;
use parking_lot::Mutex;
use platform::{Attention, Bus, Clock, Device, GuestRam, HostClock, SharedDevice, TimerCallback};

use crate::config::MachineConfig;
use crate::console::{ConsoleOutput, OutputBuffer, Writer};
use crate::control::CpuControl;
use crate::cpu_io::CpuPort;
use crate::disks::Trouble;
use crate::error::MachineError;
use crate::nics::LinkWatch;
use crate::vcpu::Report;
use channel::GuestChannel;
use disks::DiskBoard;
use nics::NicBoard;

pub mod channel;
pub mod disks;
mod legacy;
pub mod nics;
mod pci;
mod power;

/// What a board is built from.
pub struct Parts<'a> {
    /// The user's choices.
    pub config: &'a MachineConfig,
    /// Guest RAM, for devices that read and write it.
    pub ram: &'a GuestRam,
    /// The machine's time.
    pub clock: Arc<HostClock>,
    /// The guest's time-stamp counter.
    pub tsc: Arc<HostTsc>,
    /// Called when the first serial port has room for input again; wakes a thread.
    pub input_room: TimerCallback,
    /// Where chips report power-off and reset.
    pub report: Arc<dyn Report>,
    /// Where disks report that the host is full.
    pub trouble: Arc<dyn Trouble>,
    /// Where network cards report that their network is gone.
    pub links: Arc<dyn LinkWatch>,
}

/// All chips of a machine.
pub struct Chipset {
    ports: Arc<Bus>,
    memory: Arc<Bus>,
    interrupts: Arc<Interrupts>,
    devices: Vec<SharedDevice>,
    serial: Arc<Mutex<Uart>>,
    power: Arc<Mutex<Pm>>,
    /// Set once PCI is there.
    disks: Option<Arc<DiskBoard>>,
    nics: Option<Arc<NicBoard>>,
    channel: Option<GuestChannel>,
    output: Arc<OutputBuffer>,
}

impl Chipset {
    /// Builds and wires all chips, in the state after power-on.
    pub fn build(parts: Parts<'_>) -> Result<Self, MachineError> {
        let clock: Arc<dyn Clock> = Arc::<HostClock>::clone(&parts.clock);
        let tsc = Arc::<HostTsc>::clone(&parts.tsc);
        let interrupts = Interrupts::new(parts.config.cpus.into(), Arc::clone(&clock), tsc);
        let output = Arc::<OutputBuffer>::default();
        let mut chipset = Self {
            ports: Arc::new(Bus::of_ports()),
            memory: Arc::new(Bus::of_memory()),
            devices: Vec::new(),
            serial: legacy::serial_port(&clock, &interrupts, &output, &parts.input_room),
            power: power::management(&clock, &interrupts, &parts.report),
            disks: None,
            nics: None,
            channel: None,
            interrupts,
            output,
        };
        chipset.add_interrupt_controllers()?;
        chipset.add_timers(&clock, parts.ram.layout())?;
        chipset.add_serial_port()?;
        chipset.add_power_management()?;
        chipset.add_resets(&parts.report)?;
        chipset.add_pci(&parts, power::reset_control(&parts.report))?;
        chipset.add_keyboard(power::reset_signal(&parts.report))?;
        chipset.add_debug_devices(parts.config, &parts.report)?;
        Ok(chipset)
    }

    /// Power-on reset of everything.
    pub fn reset(&self) {
        self.interrupts.reset();
        self.devices.iter().for_each(|device| device.lock().reset());
    }

    /// The first serial port.
    pub fn serial(&self) -> &Arc<Mutex<Uart>> {
        &self.serial
    }

    /// ACPI's power management.
    pub fn power(&self) -> &Arc<Mutex<Pm>> {
        &self.power
    }

    /// What disks hang on.
    pub fn disks(&self) -> Option<&Arc<DiskBoard>> {
        self.disks.as_ref()
    }

    /// The network cards.
    pub fn nics(&self) -> Option<&Arc<NicBoard>> {
        self.nics.as_ref()
    }

    /// The host's end of the virtio console, if there is one.
    pub fn channel(&self) -> Option<&GuestChannel> {
        self.channel.as_ref()
    }

    /// Starts passing on what the guest writes to the first serial port and to the debug console.
    pub fn start_console(&self, console: Box<dyn ConsoleOutput>) -> std::io::Result<Writer> {
        Writer::start(Arc::clone(&self.output), Arc::clone(&self.serial), console)
    }

    /// Ties a CPU to its interrupt controller, once; `None` if the board has no such CPU.
    pub fn connect_cpu(
        &self,
        index: usize,
        attention: Arc<dyn Attention>,
        control: &Arc<CpuControl>,
    ) -> Option<CpuPort> {
        let sleeper = Arc::clone(control);
        self.interrupts.cpu(index)?.connect(attention, Arc::new(move || sleeper.parking.wake()));
        let (ports, memory) = (Arc::clone(&self.ports), Arc::clone(&self.memory));
        CpuPort::new(index, ports, memory, Arc::clone(&self.interrupts), Arc::clone(control))
    }

    /// Takes a new chip in, so that it is reset with the others.
    fn add<D: Device + 'static>(&mut self, device: D) -> SharedDevice {
        let device: SharedDevice = Arc::new(Mutex::new(device));
        self.devices.push(Arc::clone(&device));
        device
    }

    /// Takes a chip in that others share.
    fn add_shared<D: Device + 'static>(&mut self, device: &Arc<Mutex<D>>) -> SharedDevice {
        let device: SharedDevice = Arc::<Mutex<D>>::clone(device);
        self.devices.push(Arc::clone(&device));
        device
    }
}
