//! One 8259A.
use serde::{Deserialize, Serialize};

use super::spec::{self, ocw2};

/// The registers of one 8259A.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chip {
    /// Interrupt request register.
    irr: u8,
    /// In-service register.
    isr: u8,
    /// Interrupt mask register.
    imr: u8,
    /// Levels of the inputs.
    inputs: u8,
    /// Inputs that are level triggered.
    pub(super) elcr: u8,
    /// ICW2.
    base: u8,
    /// The level of highest priority.
    first: u8,
    expected: Expected,
    icw4_follows: bool,
    single: bool,
    auto_eoi: bool,
    rotate_in_auto_eoi: bool,
    special_nested: bool,
    special_mask: bool,
    poll: bool,
    read_isr: bool,
}

/// Which initialisation word the odd port takes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Expected {
    /// None: OCW1.
    #[default]
    Mask,
    Icw2,
    Icw3,
    Icw4,
}

impl Default for Chip {
    /// After power-on, as firmware leaves it: all masked, so that a guest that never sets it up hears nothing of it.
    fn default() -> Self {
        Self {
            irr: 0,
            isr: 0,
            imr: 0xff,
            inputs: 0,
            elcr: 0,
            base: 0,
            first: 0,
            expected: Expected::Mask,
            icw4_follows: false,
            single: false,
            auto_eoi: false,
            rotate_in_auto_eoi: false,
            special_nested: false,
            special_mask: false,
            poll: false,
            read_isr: false,
        }
    }
}

impl Chip {
    /// Drives an input that obeys ELCR.
    pub(super) fn set_input(&mut self, level: u8, high: bool) {
        let bit = 1 << level;
        let rises = high && self.inputs & bit == 0;
        self.inputs = self.inputs & !bit | if high { bit } else { 0 };
        if self.elcr & bit != 0 {
            self.irr = self.irr & !bit | self.inputs & bit;
        } else if rises {
            self.irr |= bit;
        }
    }
    /// Drives the input of the slave, which asks for as long as it has something.
    pub(super) fn set_cascade(&mut self, high: bool) {
        let bit = 1 << spec::CASCADE;
        self.irr = self.irr & !bit | if high { bit } else { 0 };
    }

    /// Priority of the most urgent of the levels in `mask`, 0 the highest; 8 if there is none.
    fn priority(&self, mask: u8) -> u8 {
        // At most 8: the count of zeros in eight bits.
        mask.rotate_right(u32::from(self.first)).trailing_zeros() as u8
    }
    fn level_of(&self, priority: u8) -> u8 {
        (priority + self.first) & 7
    }
    /// The level to be served now, if there is one. `master` tells which chip this is.
    pub(super) fn request(&self, master: bool) -> Option<u8> {
        let wanted = self.priority(self.irr & !self.imr);
        if wanted == 8 {
            return None;
        }
        let mut in_service = self.isr;
        if self.special_mask {
            in_service &= !self.imr;
        }
        if self.special_nested && master {
            in_service &= !(1 << spec::CASCADE);
        }
        (wanted < self.priority(in_service)).then(|| self.level_of(wanted))
    }
    /// Puts a level in service and returns its vector.
    pub(super) fn acknowledge(&mut self, level: u8) -> u8 {
        let bit = 1 << level;
        if !self.auto_eoi {
            self.isr |= bit;
        } else if self.rotate_in_auto_eoi {
            self.first = (level + 1) & 7;
        }
        if self.elcr & bit == 0 {
            self.irr &= !bit;
        }
        self.base | level
    }
    /// The vector of an interrupt that went away.
    pub(super) fn spurious_vector(&self) -> u8 {
        self.base | spec::SPURIOUS_LEVEL
    }

    pub(super) fn write_command(&mut self, value: u8) {
        if value & spec::ICW1_INIT != 0 {
            self.initialise(value);
        } else if value & spec::OCW3_SELECT != 0 {
            self.poll = value & spec::OCW3_POLL != 0;
            if value & spec::OCW3_READ_ENABLE != 0 {
                self.read_isr = value & spec::OCW3_READ_ISR != 0;
            }
            if value & spec::OCW3_SPECIAL_MASK_ENABLE != 0 {
                self.special_mask = value & spec::OCW3_SPECIAL_MASK != 0;
            }
        } else {
            self.end_of_interrupt(value >> 5, value & 7);
        }
    }
    fn initialise(&mut self, icw1: u8) {
        *self = Self {
            irr: self.irr & self.elcr,
            imr: 0,
            inputs: self.inputs,
            elcr: self.elcr,
            base: self.base,
            expected: Expected::Icw2,
            icw4_follows: icw1 & spec::ICW1_ICW4 != 0,
            single: icw1 & spec::ICW1_SINGLE != 0,
            ..Self::default()
        };
    }
    fn end_of_interrupt(&mut self, what: u8, level: u8) {
        match what {
            ocw2::CLEAR_ROTATE_IN_AUTO_EOI => self.rotate_in_auto_eoi = false,
            ocw2::SET_ROTATE_IN_AUTO_EOI => self.rotate_in_auto_eoi = true,
            ocw2::EOI | ocw2::ROTATE_EOI => {
                let priority = self.priority(self.isr);
                if priority < 8 {
                    let ended = self.level_of(priority);
                    self.isr &= !(1 << ended);
                    if what == ocw2::ROTATE_EOI {
                        self.first = (ended + 1) & 7;
                    }
                }
            }
            ocw2::SPECIFIC_EOI => self.isr &= !(1 << level),
            ocw2::ROTATE_SPECIFIC_EOI => {
                self.isr &= !(1 << level);
                self.first = (level + 1) & 7;
            }
            ocw2::SET_PRIORITY => self.first = (level + 1) & 7,
            _ => {}
        }
    }
    pub(super) fn write_data(&mut self, value: u8) {
        let icw4 = if self.icw4_follows { Expected::Icw4 } else { Expected::Mask };
        self.expected = match self.expected {
            Expected::Mask => {
                self.imr = value;
                Expected::Mask
            }
            Expected::Icw2 => {
                self.base = value & spec::ICW2_BASE;
                if self.single { icw4 } else { Expected::Icw3 }
            }
            Expected::Icw3 => icw4,
            Expected::Icw4 => {
                self.auto_eoi = value & spec::ICW4_AUTO_EOI != 0;
                self.special_nested = value & spec::ICW4_SPECIAL_NESTED != 0;
                Expected::Mask
            }
        };
    }
    /// Whether the next read polls; asking ends it.
    pub(super) fn take_poll(&mut self) -> bool {
        std::mem::take(&mut self.poll)
    }
    pub(super) fn read_command(&self) -> u8 {
        if self.read_isr { self.isr } else { self.irr }
    }
    pub(super) fn read_data(&self) -> u8 {
        self.imr
    }
    pub(super) fn write_elcr(&mut self, value: u8) {
        self.elcr = value;
        // A line that became level triggered asks for as long as it is high.
        self.irr = self.irr & !value | self.inputs & value;
    }
    /// Whether no guest access could have led here.
    pub(super) fn is_possible(&self) -> bool {
        self.first < 8 && self.base & !spec::ICW2_BASE == 0
    }
}
