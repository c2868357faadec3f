//! The PHY: Marvell's M88E1011, whose partner can do everything at 1000 Mbit/s and agrees at once.
use serde::{Deserialize, Serialize};

use super::spec::{mdic, phy};

/// Registers.
const COUNT: usize = 32;
/// Control: reset, loopback, autonegotiation, restart; those that clear themselves.
const CONTROL_AFTER_RESET: u16 = 0x1140;
const CONTROL_RESET: u16 = 1 << 15;
const CONTROL_CLEARED: u16 = CONTROL_RESET | 1 << 9;
/// Status: all of 10 and 100 Mbit/s, extended status, negotiates; what depends on the link.
const STATUS: u16 = 0x7949;
const STATUS_LINK: u16 = 1 << 2;
const STATUS_NEGOTIATED: u16 = 1 << 5;
/// Marvell's status: 1000 Mbit/s, full duplex, resolved; link.
const SPECIFIC: u16 = 0xac00;
const SPECIFIC_LINK: u16 = 1 << 10;

/// The PHY's registers that software writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phy {
    written: [u16; COUNT],
}

impl Default for Phy {
    fn default() -> Self {
        let mut written = [0; COUNT];
        written[phy::CONTROL] = CONTROL_AFTER_RESET;
        written[phy::ADVERTISED] = 0x0de1;
        written[phy::GIGABIT_CONTROL] = 0x0e00;
        written[phy::SPECIFIC_CONTROL] = 0x0068;
        written[phy::EXTENDED_CONTROL] = 0x0d60;
        Self { written }
    }
}

impl Phy {
    /// Does what is written to the MDI control register; returns what it reads as afterwards.
    pub fn access(&mut self, value: u32, is_up: bool) -> u32 {
        let (register, number) = ((value >> 16 & 0x1f) as usize, value >> 21 & 0x1f);
        let kept = value & !(mdic::ERROR | 0xffff) | mdic::READY;
        if number != mdic::PHY {
            return kept | mdic::ERROR | value & 0xffff;
        }
        match value & (mdic::READ | mdic::WRITE) {
            mdic::READ => kept | u32::from(self.read(register, is_up)),
            mdic::WRITE => {
                self.write(register, value as u16);
                kept | value & 0xffff
            }
            _ => kept | mdic::ERROR | value & 0xffff,
        }
    }

    fn read(&self, register: usize, is_up: bool) -> u16 {
        let when_up = |bits: u16| if is_up { bits } else { 0 };
        match register {
            phy::STATUS => STATUS | when_up(STATUS_LINK | STATUS_NEGOTIATED),
            phy::ID_HIGH => 0x0141,
            phy::ID_LOW => 0x0c20,
            phy::PARTNER => when_up(0x45e1),
            phy::EXPANSION => when_up(1),
            phy::GIGABIT_STATUS => when_up(0x3c00),
            phy::EXTENDED_STATUS => 0x3000,
            phy::SPECIFIC_STATUS => {
                if is_up {
                    SPECIFIC | SPECIFIC_LINK
                } else {
                    0
                }
            }
            _ => self.written[register],
        }
    }
    fn write(&mut self, register: usize, value: u16) {
        match register {
            phy::CONTROL if value & CONTROL_RESET != 0 => *self = Self::default(),
            phy::CONTROL => self.written[register] = value & !CONTROL_CLEARED,
            phy::STATUS | phy::ID_HIGH | phy::ID_LOW | phy::PARTNER | phy::EXPANSION => {}
            phy::GIGABIT_STATUS | phy::EXTENDED_STATUS | phy::SPECIFIC_STATUS => {}
            _ => self.written[register] = value,
        }
    }
}
