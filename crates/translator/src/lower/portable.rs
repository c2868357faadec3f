//! Whether a block can be moved: what of it depends on where it lies is noted as it is emitted.
use super::block::Lowering;
use crate::emit::asm::Offset;
use crate::emit::fixups::{Fixup, FixupKind, Neighbourhood};

/// What is known of the block so far.
#[derive(Default)]
pub struct Portable {
    neighbourhood: Neighbourhood,
    /// It has an address built in that would be written otherwise elsewhere.
    is_fixed: bool,
    /// The next instruction that is copied gets this address as its displacement.
    displacement: Option<u64>,
}

impl Portable {
    /// Nothing was emitted yet of a block in a page.
    pub(super) fn at(page: u64) -> Self {
        Self { neighbourhood: Neighbourhood::of(page), ..Self::default() }
    }
}

impl Lowering {
    /// What to change in the last block for it to lie elsewhere.
    pub fn fixups(&self) -> &[Fixup] {
        self.asm.fixups()
    }
    /// Whether the last block fits only guest code at this very place.
    pub fn is_fixed(&self) -> bool {
        self.portable.is_fixed
    }

    /// At a place, there is an address near the guest's code.
    pub(super) fn note_address(&mut self, address: u64, place: Offset, kind: FixupKind) {
        let is_near = i32::try_from(address.wrapping_sub(self.page) as i64).is_ok();
        if is_near && self.portable.neighbourhood.holds(address) {
            self.asm.fix_up(place, kind);
        } else if !self.noted.has_distance() {
            self.portable.is_fixed = true;
        }
    }

    /// The last instruction was a MOV of such an address into a register, in its shortest form.
    pub(super) fn note_immediate(&mut self, address: u64) {
        let is_short = address <= u64::from(u32::MAX) || i32::try_from(address as i64).is_ok();
        let (size, kind) = if is_short { (4, FixupKind::Address32) } else { (8, FixupKind::Address64) };
        self.note_address(address, self.asm.here() - size, kind);
    }

    /// The next instruction that is copied gets such an address as its displacement.
    pub(super) fn expect_displacement(&mut self, address: u64) {
        self.portable.displacement = Some(address);
    }

    /// The address that the instruction now gets as its displacement, if it does.
    pub(super) fn take_expected_displacement(&mut self) -> Option<u64> {
        self.portable.displacement.take()
    }
}
