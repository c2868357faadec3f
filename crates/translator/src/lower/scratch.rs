//! What the two scratch registers hold between instructions, so that it need not be fetched again: the guest's R10 or R11,
//! which live in memory, or the delta of the window that a base register lies in.
//!
//! Only instructions that are never started over in the middle of a block may rely on it: when one is, the scratch
//! registers hold anything.
use super::block::Lowering;
use super::decode::Decoded;
use super::window::is_small_step_of;
use crate::emit::asm::{Reg, T0, T1};
use x86::reg::RSP;

/// What a scratch register holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holds {
    /// Nothing of use.
    #[default]
    Nothing,
    /// The guest's register of the same number; memory has it too.
    Guest,
    /// The host address of the page that position-independent code runs in.
    Code,
    /// The delta of the window that this register of the guest lies in, or has left by less than the guard.
    Delta(Reg),
    /// The delta of the lowest window, in legacy code.
    LowWindow,
}

/// What T0 and T1 hold.
pub type Scratch = [Holds; 2];

const fn slot(register: Reg) -> usize {
    (register - T0) as usize
}

impl Lowering {
    /// What T0 or T1 holds.
    pub(super) fn holds(&self, register: Reg) -> Holds {
        self.held[slot(register)]
    }

    /// T0 or T1 holds this now.
    pub(super) fn set_holds(&mut self, register: Reg, what: Holds) {
        self.held[slot(register)] = what;
    }

    /// T0 or T1 is used for something else.
    pub(super) fn clobber(&mut self, register: Reg) {
        self.set_holds(register, Holds::Nothing);
    }

    /// Nothing is known of either.
    pub(super) fn clobber_both(&mut self) {
        self.held = Scratch::default();
    }

    /// T0 = the guest's R10, or T1 = the guest's R11.
    pub(super) fn load_guest(&mut self, register: Reg) {
        if self.holds(register) != Holds::Guest {
            self.asm.load(register, Self::home(register));
            self.set_holds(register, Holds::Guest);
        }
    }

    /// The guest's R10 = T0, or the guest's R11 = T1.
    pub(super) fn store_guest(&mut self, register: Reg) {
        self.asm.store(Self::home(register), register);
        self.set_holds(register, Holds::Guest);
    }

    /// Forgets the deltas of registers that an instruction moved; RSP's are looked after where it moves.
    pub(super) fn forget_deltas(&mut self, decoded: &Decoded) {
        if decoded.writes == 0 {
            return;
        }
        for register in [T0, T1] {
            if let Holds::Delta(base) = self.holds(register)
                && base != RSP as Reg
                && decoded.writes & 1 << base != 0
                && !is_small_step_of(&decoded.instruction, base)
            {
                self.clobber(register);
            }
        }
    }
}
