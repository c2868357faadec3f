//! Virtio over PCI (VirtIO 1.2 §4.1): a PCI function around a virtio device.
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};
use platform::{Device, GuestRam, IrqLine, MsiSink, Region, SavedError, SavedState};

use super::chains::Chains;
use super::completions::{Completions, Reply, Transport};
use super::layout::{self, MSIX_BAR, MSIX_PENDING, NOTIFY_MULTIPLIER, Part, REGISTERS_BAR};
use super::registers::{Effect, Registers};
use super::spec::{NO_VECTOR, capability, feature, isr, status};
use super::{QueueError, VirtioDevice, VirtioError};
use crate::pci::{ConfigSpace, Msix, PciFunction};

/// A virtio device in a PCI slot.
pub struct VirtioPci<D> {
    pub(super) device: D,
    pub(super) config: ConfigSpace,
    pub(super) msix: Msix,
    pub(super) registers: Registers,
    /// Causes of the pin's interrupt.
    pub(super) isr: u8,
    /// Offset of the capability that leads to the registers.
    access: u16,
    line: IrqLine,
    pub(super) ram: GuestRam,
    completions: Completions,
    /// Empty; kept for its room.
    replies: Vec<Reply>,
    /// Signalled when no chain is on its way any more.
    idle: Arc<Condvar>,
}

impl<D: VirtioDevice + 'static> VirtioPci<D> {
    /// A function after power-on. `line` is its slot's INTA#.
    pub fn new(device: D, ram: GuestRam, line: IrqLine, messages: Arc<dyn MsiSink>) -> Arc<Mutex<Self>> {
        let sizes = device.queue_sizes();
        let vectors = sizes.len() as u16 + 1;
        assert!(vectors <= layout::VECTORS_MAX, "{vectors} vectors");
        let (mut config, access) = layout::config_space(device.kind(), device.class());
        let msix = Msix::new(&mut config, vectors, (MSIX_BAR, 0), (MSIX_BAR, MSIX_PENDING), messages);
        let registers = Registers::new(device.features() | feature::TRANSPORT, sizes, vectors);
        Arc::new_cyclic(|function: &Weak<Mutex<Self>>| {
            let function: Weak<Mutex<dyn Transport>> = Weak::<Mutex<Self>>::clone(function);
            let completions = Completions::new(function);
            let (replies, idle) = (Vec::new(), Arc::default());
            let isr = 0;
            Mutex::new(Self {
                device,
                config,
                msix,
                registers,
                isr,
                access,
                line,
                ram,
                completions,
                replies,
                idle,
            })
        })
    }
    /// Waits until no chain is on its way, so that the function can be saved. No CPU may run meanwhile.
    pub fn settle(function: &Mutex<Self>) {
        let mut locked = function.lock();
        for queue in 0..locked.registers.queues.len() {
            locked.with_chains(queue, |device, chains| device.put_back(queue, chains));
        }
        let idle = Arc::clone(&locked.idle);
        while locked.registers.is_running() && locked.in_flight() > 0 {
            idle.wait(&mut locked);
        }
    }
}

impl<D: VirtioDevice> VirtioPci<D> {
    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }
    /// Has the device look at a queue, as if the driver had notified it.
    pub fn serve(&mut self, queue: usize) {
        self.with_chains(queue, |device, chains| device.serve(queue, chains));
    }
    /// Tells the driver that the device's configuration changed.
    pub fn config_changed(&mut self) {
        self.registers.generation = self.registers.generation.wrapping_add(1);
        if self.registers.status & status::DRIVER_OK != 0 {
            self.interrupt(self.registers.config_vector, isr::CONFIG);
        }
    }

    /// Has the device do something with its queues, if the driver has taken this one into use.
    pub(super) fn with_chains(
        &mut self,
        queue: usize,
        act: impl FnOnce(&mut D, &mut Chains<'_>) -> Result<(), VirtioError>,
    ) {
        let is_enabled = self.registers.queues.get(queue).is_some_and(|slot| slot.queue.is_enabled());
        if !is_enabled || !self.registers.is_running() || !self.config.is_bus_master() {
            return;
        }
        let mut chains = Chains::new(&mut self.registers.queues, queue, &self.ram, &self.completions);
        let done = act(&mut self.device, &mut chains);
        // What was completed before an error is the driver's all the same.
        if let Err(error) = done.and(self.tell_completed().map_err(VirtioError::from)) {
            self.give_up(&error);
        }
    }
    /// Interrupts for completed chains where the driver wants it.
    fn tell_completed(&mut self) -> Result<(), QueueError> {
        for index in 0..self.registers.queues.len() {
            let slot = &mut self.registers.queues[index];
            let vector = slot.vector;
            if slot.queue.wants_interrupt(&self.ram)? {
                self.interrupt(vector, isr::QUEUE);
            }
        }
        Ok(())
    }
    fn in_flight(&self) -> usize {
        self.registers.queues.iter().map(|slot| slot.queue.in_flight()).sum()
    }
    fn give_up(&mut self, error: &VirtioError) {
        tracing::debug!(device = self.device.name(), ?error, "virtio device needs a reset");
        self.registers.status |= status::NEEDS_RESET;
        self.config_changed();
    }
    fn interrupt(&mut self, vector: u16, cause: u8) {
        if !self.msix.is_enabled(&self.config) {
            self.isr |= cause;
            self.drive_line();
        } else if vector != NO_VECTOR {
            self.msix.notify(&self.config, vector);
        }
    }
    pub(super) fn drive_line(&mut self) {
        let asks = self.isr != 0;
        self.config.set_interrupt_status(asks);
        self.line.set(asks && self.config.is_pin_enabled() && !self.msix.is_enabled(&self.config));
    }
    fn start_over(&mut self) {
        self.device.drain();
        self.registers.reset();
        self.device.reset();
        self.isr = 0;
        self.idle.notify_all();
        self.drive_line();
    }

    fn read_registers(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        let (part, offset) = Part::at(offset);
        match part {
            Part::Common => {
                let bytes = self.registers.bytes();
                for (byte, value) in data.iter_mut().zip(bytes.iter().skip(offset as usize)) {
                    *byte = *value;
                }
            }
            Part::Isr => {
                if let (0, Some(byte)) = (offset, data.first_mut()) {
                    *byte = std::mem::take(&mut self.isr);
                    self.drive_line();
                }
            }
            Part::Device => self.device.read_config(offset, data),
            Part::Notify => {}
        }
    }
    fn write_registers(&mut self, offset: u64, data: &[u8]) {
        let (part, offset) = Part::at(offset);
        match part {
            Part::Common => match self.registers.write(offset, data, &self.ram) {
                Effect::None => {}
                Effect::Reset => self.start_over(),
                Effect::Activate => self.device.activate(self.registers.accepted),
                Effect::ResetQueue(queue) => {
                    self.device.drain();
                    self.registers.queues[queue].queue.reset();
                    self.device.reset_queue(queue);
                }
                Effect::Broken => self.give_up(&VirtioError::Queue(QueueError::Place)),
            },
            Part::Isr => {}
            Part::Device => self.device.write_config(offset, data),
            Part::Notify => self.serve((offset / u64::from(NOTIFY_MULTIPLIER)) as usize),
        }
    }
    /// What the capability for access through configuration space points at (§4.1.4.9): an offset in the register
    /// window, if window, alignment and length are right.
    fn pointed_at(&self) -> Option<(u64, usize)> {
        let mut raw = [0; 12];
        self.config.read(self.access + capability::BAR, &mut raw);
        let number = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let (offset, length) = (number(4), number(8));
        let fits = matches!(length, 1 | 2 | 4) && offset.is_multiple_of(length) && offset < 0x4000;
        (raw[0] == REGISTERS_BAR && fits).then_some((offset.into(), length as usize))
    }
    fn is_access_data(&self, register: u16) -> bool {
        register == self.access + capability::PCI_DATA
    }
}

impl<D: VirtioDevice> Transport for VirtioPci<D> {
    fn take_replies(&mut self) {
        let mut replies = std::mem::take(&mut self.replies);
        self.completions.swap_waiting(&mut replies);
        let mut done = Ok(());
        if self.registers.is_running() {
            let mut chains = Chains::new(&mut self.registers.queues, 0, &self.ram, &self.completions);
            done = replies.iter().try_for_each(|reply| chains.reply(reply));
        }
        replies.clear();
        self.replies = replies;
        if let Err(error) = done.and(self.tell_completed().map_err(VirtioError::from)) {
            self.give_up(&error);
        }
        if self.in_flight() == 0 || !self.registers.is_running() {
            self.idle.notify_all();
        }
    }
}

impl<D: VirtioDevice> Device for VirtioPci<D> {
    fn name(&self) -> &'static str {
        self.device.name()
    }
    fn reset(&mut self) {
        self.config.reset();
        self.msix.reset();
        self.registers.generation = 0;
        self.start_over();
    }
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        const PENDING: u64 = MSIX_PENDING as u64;
        match (region.0 as u8, offset) {
            (REGISTERS_BAR, _) => self.read_registers(offset, data),
            (MSIX_BAR, PENDING..) => self.msix.read_pending(offset - PENDING, data),
            (MSIX_BAR, _) => self.msix.read_table(offset, data),
            _ => {}
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        match region.0 as u8 {
            REGISTERS_BAR => self.write_registers(offset, data),
            MSIX_BAR => self.msix.write_table(&self.config, offset, data),
            _ => {}
        }
    }
    fn save(&self) -> SavedState {
        self.save_state()
    }
    fn restore(&mut self, saved: &SavedState) -> Result<(), SavedError> {
        self.restore_state(saved)
    }
}

impl<D: VirtioDevice> PciFunction for VirtioPci<D> {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }
    fn read_config(&mut self, register: u16, data: &mut [u8]) {
        self.config.read(register, data);
        if let Some((offset, length)) = self.pointed_at().filter(|_| self.is_access_data(register)) {
            let length = length.min(data.len());
            self.read_registers(offset, &mut data[..length]);
        }
    }
    fn write_config(&mut self, register: u16, data: &[u8]) {
        self.config.write(register, data);
        self.msix.config_written(&self.config);
        if let Some((offset, length)) = self.pointed_at().filter(|_| self.is_access_data(register)) {
            self.write_registers(offset, &data[..length.min(data.len())]);
        }
        self.drive_line();
    }
}
