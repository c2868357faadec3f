//! Building the board: every chip, its addresses and its wires.
use std::sync::Arc;

use devices::apic::HostTsc;
use devices::interrupts::{
    IOAPIC_REGION, Interrupts, IoApicWindow, PIC_ELCR_REGION, PIC_MASTER_REGION, PIC_SLAVE_REGION, PicPorts,
};
use devices::uart::Uart;
use parking_lot::Mutex;
use platform::{
    Attention, Bus, BusError, Clock, Device, GuestRam, HostClock, Region, SharedDevice, TimerCallback,
};

use crate::board::{irq, mmio, port};
use crate::config::MachineConfig;
use crate::console::{BufferedOutput, ConsoleOutput, OutputBuffer, Writer};
use crate::control::CpuControl;
use crate::cpu_io::CpuPort;
use crate::error::MachineError;
use crate::tsc::GuestTsc;
use crate::vcpu::Report;

/// What a board is built from.
pub struct Parts<'a> {
    /// The user's choices.
    pub config: &'a MachineConfig,
    /// Guest RAM, for devices that read and write it.
    pub ram: &'a GuestRam,
    /// The guest's time-stamp counter.
    pub tsc: GuestTsc,
    /// Called when the first serial port has room for input again; wakes a thread.
    pub input_room: TimerCallback,
    /// Where chips report power-off and reset.
    pub report: Arc<dyn Report>,
}

/// All chips of a machine.
pub struct Chipset {
    ports: Arc<Bus>,
    memory: Arc<Bus>,
    interrupts: Arc<Interrupts>,
    devices: Vec<SharedDevice>,
    serial: Arc<Mutex<Uart>>,
    serial_output: Arc<OutputBuffer>,
}

impl Chipset {
    /// Builds and wires all chips, in the state after power-on.
    pub fn build(parts: Parts<'_>) -> Result<Self, MachineError> {
        let clock: Arc<dyn Clock> = Arc::new(HostClock::start().map_err(MachineError::Clock)?);
        let tsc = HostTsc { frequency_hz: parts.tsc.frequency_hz, offset: parts.tsc.offset };
        let interrupts = Interrupts::new(parts.config.cpus.into(), Arc::clone(&clock), Arc::new(tsc));
        let serial_output = Arc::<OutputBuffer>::default();
        let serial = Uart::new(
            Arc::clone(&clock),
            interrupts.isa_line(irq::COM1),
            Box::new(BufferedOutput(Arc::clone(&serial_output))),
            parts.input_room,
        );
        let mut chipset = Self {
            ports: Arc::new(Bus::of_ports()),
            memory: Arc::new(Bus::of_memory()),
            interrupts,
            devices: Vec::new(),
            serial,
            serial_output,
        };
        chipset.add_interrupt_controllers()?;
        chipset.add_serial_port()?;
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

    /// Starts passing on what the guest writes to the first serial port.
    pub fn start_console(&self, console: Box<dyn ConsoleOutput>) -> std::io::Result<Writer> {
        Writer::start(Arc::clone(&self.serial_output), Arc::clone(&self.serial), console)
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

    fn add_interrupt_controllers(&mut self) -> Result<(), BusError> {
        let pic = self.add(PicPorts(Arc::clone(&self.interrupts)));
        self.ports.add(port::PIC_MASTER.into(), 2, PIC_MASTER_REGION, Arc::clone(&pic))?;
        self.ports.add(port::PIC_SLAVE.into(), 2, PIC_SLAVE_REGION, Arc::clone(&pic))?;
        self.ports.add(port::ELCR.into(), 2, PIC_ELCR_REGION, pic)?;
        let ioapic = self.add(IoApicWindow(Arc::clone(&self.interrupts)));
        self.memory.add(mmio::IOAPIC_BASE, mmio::IOAPIC_BYTES, IOAPIC_REGION, ioapic)
    }

    fn add_serial_port(&mut self) -> Result<(), BusError> {
        let serial: SharedDevice = Arc::<Mutex<Uart>>::clone(&self.serial);
        self.devices.push(Arc::clone(&serial));
        self.ports.add(port::COM1.into(), port::COM1_PORTS, Region(0), serial)
    }

    /// Takes a chip in, so that it is reset with the others.
    fn add<D: Device + 'static>(&mut self, device: D) -> SharedDevice {
        let device: SharedDevice = Arc::new(Mutex::new(device));
        self.devices.push(Arc::clone(&device));
        device
    }
}
