//! Master and slave, with the slave's output on the master's input 2.
use serde::{Deserialize, Serialize};

use super::chip::Chip;
use super::spec;

/// The two 8259As of a PC and their edge/level control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    master: Chip,
    slave: Chip,
}

/// The registers of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Port 0x20.
    MasterCommand,
    /// Port 0x21.
    MasterData,
    /// Port 0xa0.
    SlaveCommand,
    /// Port 0xa1.
    SlaveData,
    /// Port 0x4d0.
    MasterElcr,
    /// Port 0x4d1.
    SlaveElcr,
}

impl Pair {
    /// Drives input `irq`, 0 to 15; input 2 does not exist.
    pub fn set_input(&mut self, irq: u8, high: bool) {
        match irq {
            spec::CASCADE => {}
            0..=7 => self.master.set_input(irq, high),
            8..=15 => self.slave.set_input(irq - 8, high),
            _ => {}
        }
        self.update_cascade();
    }
    /// Level of the output to the CPU.
    pub fn output(&self) -> bool {
        self.master.request(true).is_some()
    }
    /// The CPU's acknowledgement: the vector of the most urgent interrupt, now in service. An interrupt that went away
    /// meanwhile gives the spurious vector (level 7 of the chip that asked).
    pub fn acknowledge(&mut self) -> u8 {
        let vector = match self.master.request(true) {
            None => self.master.spurious_vector(),
            Some(spec::CASCADE) => {
                self.master.acknowledge(spec::CASCADE);
                match self.slave.request(false) {
                    Some(level) => self.slave.acknowledge(level),
                    None => self.slave.spurious_vector(),
                }
            }
            Some(level) => self.master.acknowledge(level),
        };
        self.update_cascade();
        vector
    }
    /// Reads a register.
    pub fn read(&mut self, register: Register) -> u8 {
        match register {
            Register::MasterCommand | Register::MasterData if self.master.take_poll() => self.poll(true),
            Register::SlaveCommand | Register::SlaveData if self.slave.take_poll() => self.poll(false),
            Register::MasterCommand => self.master.read_command(),
            Register::MasterData => self.master.read_data(),
            Register::SlaveCommand => self.slave.read_command(),
            Register::SlaveData => self.slave.read_data(),
            Register::MasterElcr => self.master.elcr,
            Register::SlaveElcr => self.slave.elcr,
        }
    }
    /// Writes a register.
    pub fn write(&mut self, register: Register, value: u8) {
        match register {
            Register::MasterCommand => self.master.write_command(value),
            Register::MasterData => self.master.write_data(value),
            Register::SlaveCommand => self.slave.write_command(value),
            Register::SlaveData => self.slave.write_data(value),
            Register::MasterElcr => self.master.write_elcr(value & spec::ELCR_MASTER),
            Register::SlaveElcr => self.slave.write_elcr(value & spec::ELCR_SLAVE),
        }
        self.update_cascade();
    }
    /// Whether a restored pair is one that a guest can have made.
    pub(crate) fn is_possible(&self) -> bool {
        self.master.is_possible() && self.slave.is_possible()
    }

    /// Reading in poll mode acknowledges (data sheet, "Poll Command").
    fn poll(&mut self, master: bool) -> u8 {
        let chip = if master { &mut self.master } else { &mut self.slave };
        let Some(level) = chip.request(master) else { return 0 };
        chip.acknowledge(level);
        self.update_cascade();
        spec::POLL_FOUND | level
    }
    fn update_cascade(&mut self) {
        let asks = self.slave.request(false).is_some();
        self.master.set_cascade(asks);
    }
}
