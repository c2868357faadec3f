//! A port: its registers, its link and its device (AHCI §3.3, §10).
use std::sync::Weak;

use parking_lot::Mutex;
use platform::GuestRam;
use serde::{Deserialize, Serialize};

use super::device::Ahci;
use super::spec::{self, cmd, header, interrupt, received, register, sctl, serr};
use crate::ata::{Drive, Identity, Registers, signature, status};
use crate::scsi::Unit;

/// What is on a port.
pub(super) enum Attached {
    Disk(Drive),
    CdRom(Unit, Identity),
}

/// A port.
pub(super) struct Port {
    pub(super) number: usize,
    pub(super) ram: GuestRam,
    pub(super) owner: Weak<Mutex<Ahci>>,
    pub(super) device: Option<Attached>,
    /// Whether the function may use memory.
    pub(super) is_master: bool,
    /// Goes up whenever commands are given up: their answers are nobody's then.
    pub(super) generation: u64,
    pub(super) state: State,
}

/// What a port remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) list: u64,
    pub(super) received: u64,
    /// Interrupt status, as far as it is not derived from the link's errors.
    pub(super) interrupts: u32,
    pub(super) enables: u32,
    pub(super) command: u32,
    pub(super) task_file: u32,
    pub(super) signature: u32,
    pub(super) link: u32,
    pub(super) control: u32,
    pub(super) errors: u32,
    pub(super) active: u32,
    pub(super) issued: u32,
    /// The slot that was started last.
    pub(super) slot: u8,
    /// Slots whose commands the device has.
    pub(super) running: u32,
    /// Those of them that are queued.
    pub(super) queued: u32,
    /// An error stopped the list until software stops it too.
    pub(super) halted: bool,
    /// The device has not yet said who it is, since nothing is received.
    pub(super) greets: bool,
    /// Software holds the device in reset.
    pub(super) in_reset: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            list: 0,
            received: 0,
            interrupts: 0,
            enables: 0,
            command: 0,
            task_file: spec::TASK_FILE_NOBODY,
            signature: spec::SIGNATURE_NONE,
            link: 0,
            control: 0,
            errors: 0,
            active: 0,
            issued: 0,
            slot: spec::SLOTS - 1,
            running: 0,
            queued: 0,
            halted: false,
            greets: false,
            in_reset: false,
        }
    }
}

impl Port {
    pub(super) fn new(number: usize, ram: GuestRam, owner: Weak<Mutex<Ahci>>) -> Self {
        Self { number, ram, owner, device: None, is_master: false, generation: 0, state: State::new() }
    }
    /// Whether an interrupt is pending that is enabled.
    pub(super) fn asks(&self) -> bool {
        self.interrupts() & self.state.enables != 0
    }
    pub(super) fn raise(&mut self, interrupts: u32) {
        self.state.interrupts |= interrupts;
    }
    /// Shows a device's status and error in the task file.
    pub(super) fn take_status(&mut self, status: u8, error: u8) {
        self.state.task_file = u32::from(error) << 8 | u32::from(status);
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        let state = &self.state;
        match offset {
            register::CLB => state.list as u32,
            register::CLBU => (state.list >> 32) as u32,
            register::FB => state.received as u32,
            register::FBU => (state.received >> 32) as u32,
            register::IS => self.interrupts(),
            register::IE => state.enables,
            register::CMD => self.command(),
            register::TFD => state.task_file,
            register::SIG => state.signature,
            register::SSTS => state.link,
            register::SCTL => state.control,
            register::SERR => state.errors,
            register::SACT => state.active,
            register::CI => state.issued,
            _ => 0,
        }
    }
    pub(super) fn write(&mut self, offset: u64, value: u32) {
        let state = &mut self.state;
        let low = |register: u64, alignment: u64| register >> 32 << 32 | u64::from(value) & !(alignment - 1);
        let high = |register: u64| u64::from(value) << 32 | register & 0xffff_ffff;
        match offset {
            register::CLB => state.list = low(state.list, header::LIST_ALIGNMENT),
            register::CLBU => state.list = high(state.list),
            register::FB => state.received = low(state.received, received::ALIGNMENT),
            register::FBU => state.received = high(state.received),
            register::IS => state.interrupts &= !(value & interrupt::STICKY),
            register::IE => state.enables = value & interrupt::ENABLES,
            register::CMD => self.set_command(value),
            register::SCTL => self.set_link(value),
            register::SERR => state.errors &= !value,
            register::SACT if state.command & cmd::START != 0 => state.active |= value,
            register::CI if state.command & cmd::START != 0 => {
                state.issued |= value;
                self.run();
            }
            _ => {}
        }
    }
    /// Registers of which ones do something and zeros nothing.
    pub(super) fn is_sticky(offset: u64) -> bool {
        matches!(offset, register::IS | register::SERR | register::SACT | register::CI)
    }

    /// Puts a device on the port, or takes it off.
    pub(super) fn attach(&mut self, device: Option<Attached>) {
        self.disconnect();
        self.device = device;
        if self.state.control & sctl::DETECT == 0 {
            self.connect();
        }
    }
    /// Commands on their way are given up: once this returns, nothing of them moves any more.
    pub(super) fn give_up(&mut self) {
        if self.state.running != 0 {
            self.drain();
        }
        self.generation += 1;
        self.state.running = 0;
        self.state.queued = 0;
    }
    /// Waits until no command touches memory.
    pub(super) fn drain(&self) {
        match &self.device {
            Some(Attached::Disk(drive)) => drive.port().drain(),
            Some(Attached::CdRom(unit, _)) => {
                if let Some(port) = unit.port() {
                    port.drain();
                }
            }
            None => {}
        }
    }
    /// The controller is reset (AHCI §10.4.3): only the addresses stay.
    pub(super) fn reset_controller(&mut self) {
        self.disconnect();
        let State { list, received, .. } = self.state;
        self.state = State { list, received, ..State::new() };
        self.connect();
    }
    /// Power-on.
    pub(super) fn reset(&mut self) {
        self.disconnect();
        self.state = State::new();
        if let Some(Attached::Disk(drive)) = &mut self.device {
            drive.reset();
        }
        self.connect();
    }
    /// The device says who it is, if anybody listens.
    pub(super) fn greet(&mut self) {
        let is_up = self.state.link == spec::LINK_UP;
        if !self.state.greets || !is_up || self.state.command & cmd::RECEIVE == 0 {
            return;
        }
        let Some(registers) = self.signature() else { return };
        self.state.greets = false;
        self.state.signature = (registers.lba as u32) << 8 | u32::from(registers.count as u8);
        self.send_registers(&registers, false);
    }
    /// The registers of a device after a reset (ACS-3 §9.2.2).
    pub(super) fn signature(&self) -> Option<Registers> {
        let (lba, status) = match self.device.as_ref()? {
            Attached::Disk(_) => (signature::DISK, status::GOOD),
            Attached::CdRom(..) => (signature::PACKET, 0),
        };
        Some(Registers { status, error: 1, count: 1, lba, device: 0 })
    }

    fn interrupts(&self) -> u32 {
        let derived = |error, interrupt| if self.state.errors & error != 0 { interrupt } else { 0 };
        self.state.interrupts
            | derived(serr::EXCHANGED, interrupt::CONNECT)
            | derived(serr::PHY_CHANGED, interrupt::PHY_READY)
    }
    fn command(&self) -> u32 {
        let State { command, issued, slot, .. } = self.state;
        let receiving = if command & cmd::RECEIVE != 0 { cmd::RECEIVING } else { 0 };
        let running = if command & cmd::START != 0 { cmd::RUNNING } else { 0 };
        let current = if issued & 1 << slot != 0 { u32::from(slot) << cmd::SLOT_SHIFT } else { 0 };
        command | cmd::SPUN_UP_AND_POWERED | receiving | running | current
    }
    fn set_command(&mut self, value: u32) {
        let before = self.state.command;
        self.state.command = value & cmd::KEPT;
        if value & cmd::OVERRIDE != 0 {
            self.state.task_file &= !u32::from(status::BUSY | status::DATA_REQUEST);
        }
        if before & !value & cmd::START != 0 {
            self.give_up();
            (self.state.issued, self.state.active) = (0, 0);
            self.state.slot = spec::SLOTS - 1;
            self.state.halted = false;
        }
        self.greet();
        self.run();
    }
    fn set_link(&mut self, value: u32) {
        let before = self.state.control & sctl::DETECT;
        self.state.control = value & sctl::KEPT;
        let now = value & sctl::DETECT;
        if before == now {
            return;
        }
        match now {
            sctl::RESET | sctl::OFF => {
                self.disconnect();
                self.state.link = if now == sctl::OFF { spec::LINK_OFF } else { 0 };
            }
            0 => self.connect(),
            _ => {}
        }
    }
    /// The link goes.
    fn disconnect(&mut self) {
        self.give_up();
        if self.state.link == spec::LINK_UP {
            self.state.errors |= serr::PHY_CHANGED;
        }
        self.state.link = 0;
        self.state.task_file = spec::TASK_FILE_NOBODY;
        // Whatever software had on its way is lost until it starts the list anew.
        self.state.halted = self.state.command & cmd::START != 0;
        self.state.greets = false;
        self.state.in_reset = false;
    }
    /// The link comes, if there is somebody: a reset for the device.
    fn connect(&mut self) {
        match &mut self.device {
            Some(Attached::Disk(drive)) => drive.link_reset(),
            Some(Attached::CdRom(unit, _)) => unit.reset(),
            None => {
                self.state.link = 0;
                return;
            }
        }
        self.state.link = spec::LINK_UP;
        self.state.errors |= serr::EXCHANGED | serr::PHY_CHANGED;
        self.state.task_file = spec::TASK_FILE_BUSY;
        self.state.signature = spec::SIGNATURE_NONE;
        self.state.greets = true;
        self.greet();
    }
}
