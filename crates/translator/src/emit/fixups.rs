//! What in a block's host code depends on where the code itself lies, and on where the guest's code does: with that known,
//! a block is made without a place and put anywhere in a code buffer, and the same one serves the same guest code at another
//! address.
use x86::Gva;

use crate::mmu::window;

/// What has to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixupKind {
    /// The displacement of a jump to a thunk.
    Thunk,
    /// 32 bits, sign-extended or zero-extended, of a linear address near the guest's code.
    Address32,
    /// 64 bits of one.
    Address64,
}

/// A place in host code that has to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// Offset in the block's host code.
    pub place: u16,
    /// What is there.
    pub kind: FixupKind,
}

/// Linear addresses that are written in the same form and lie in the same window, so that code with one of them built in
/// differs from code with another in nothing but the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    form: u8,
    window: u8,
}

/// Addresses that fit into a displacement of 8 bits: nothing near them can be moved.
const SHORT: u8 = 0;
const PAGE: u64 = x86::address::PAGE_SIZE;

impl Neighbourhood {
    /// That of an address.
    pub fn of(address: u64) -> Self {
        let form = match address {
            0..PAGE => SHORT,
            PAGE..0x8000_0000 => 1,
            0x8000_0000..0x1_0000_0000 => 2,
            0x1_0000_0000..0xffff_ffff_8000_0000 => 3,
            0xffff_ffff_8000_0000..0xffff_ffff_ffff_f000 => 4,
            _ => SHORT,
        };
        Self { form, window: window::number(Gva(address)) as u8 }
    }
    /// Whether code here may have an address built in and be moved nevertheless.
    pub fn holds(self, address: u64) -> bool {
        self.form != SHORT && Self::of(address) == self
    }
    /// As a number of 16 bits.
    pub fn bits(self) -> u64 {
        u64::from(self.form) << 8 | u64::from(self.window)
    }
}

/// Makes code for the guest's code in a page independent of that. `None` if a fixup is not inside the code.
pub fn lift(code: &mut [u8], fixups: impl IntoIterator<Item = Fixup>, page: u64) -> Option<()> {
    for fixup in fixups {
        let place = usize::from(fixup.place);
        match fixup.kind {
            FixupKind::Thunk => add32(code, place, 0).map(u64::from)?,
            FixupKind::Address32 => add32(code, place, (page as u32).wrapping_neg()).map(u64::from)?,
            FixupKind::Address64 => add64(code, place, page.wrapping_neg())?,
        };
    }
    Some(())
}

/// Makes lifted code fit for a page. `None` if an address would have another form there, or if a fixup is not inside the
/// code.
pub fn set_down(code: &mut [u8], fixups: &[Fixup], page: u64) -> Option<()> {
    let neighbourhood = Neighbourhood::of(page);
    for fixup in fixups {
        let place = usize::from(fixup.place);
        let address = match fixup.kind {
            FixupKind::Thunk => {
                add32(code, place, 0)?;
                continue;
            }
            FixupKind::Address32 => {
                let distance = u32::from_le_bytes(*code.get(place..)?.first_chunk()?);
                add32(code, place, page as u32)?;
                page.wrapping_add(i64::from(distance as i32) as u64)
            }
            FixupKind::Address64 => add64(code, place, page)?,
        };
        if !neighbourhood.holds(address) {
            return None;
        }
    }
    Some(())
}

/// Code that was made to lie at the beginning of a code buffer, where the thunks are, comes to lie at an offset in it.
/// `None` if a fixup is not inside the code.
pub fn put(code: &mut [u8], fixups: &[Fixup], offset: usize) -> Option<()> {
    for fixup in fixups.iter().filter(|fixup| fixup.kind == FixupKind::Thunk) {
        add32(code, usize::from(fixup.place), (offset as u32).wrapping_neg())?;
    }
    Some(())
}

fn add32(code: &mut [u8], place: usize, value: u32) -> Option<u32> {
    let bytes: &mut [u8; 4] = code.get_mut(place..)?.first_chunk_mut()?;
    let sum = u32::from_le_bytes(*bytes).wrapping_add(value);
    *bytes = sum.to_le_bytes();
    Some(sum)
}

fn add64(code: &mut [u8], place: usize, value: u64) -> Option<u64> {
    let bytes: &mut [u8; 8] = code.get_mut(place..)?.first_chunk_mut()?;
    let sum = u64::from_le_bytes(*bytes).wrapping_add(value);
    *bytes = sum.to_le_bytes();
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXUPS: [Fixup; 3] = [
        Fixup { place: 0, kind: FixupKind::Thunk },
        Fixup { place: 4, kind: FixupKind::Address32 },
        Fixup { place: 8, kind: FixupKind::Address64 },
    ];

    /// Code at an offset in a buffer, with addresses near a page.
    fn code(offset: u32, page: u64) -> Vec<u8> {
        let thunk = 0x40_u32.wrapping_sub(offset + 4);
        let addresses = [page + 0x10, page.wrapping_sub(0x2000)];
        [&thunk.to_le_bytes()[..], &(addresses[0] as u32).to_le_bytes(), &addresses[1].to_le_bytes()].concat()
    }

    #[test]
    fn lifted_code_fits_anywhere_in_the_neighbourhood() {
        let (here, there) = (0xffff_ffff_8100_0000, 0xffff_ffff_9abc_d000);
        let mut moved = code(0, here);
        lift(&mut moved, FIXUPS, here).unwrap();
        set_down(&mut moved, &FIXUPS, there).unwrap();
        assert_eq!(moved, code(0, there));
        put(&mut moved, &FIXUPS, 0x77_1000).unwrap();
        assert_eq!(moved, code(0x77_1000, there));
    }

    #[test]
    fn code_is_not_moved_to_where_addresses_have_another_form() {
        let here = 0xffff_ffff_8100_0000;
        let mut lifted = code(0, here);
        lift(&mut lifted, FIXUPS, here).unwrap();
        for page in [0x1000, 0x1_0000_0000, 0xffff_ffff_8000_0000] {
            assert_eq!(set_down(&mut lifted.clone(), &FIXUPS, page), None, "{page:#x}");
        }
    }

    #[test]
    fn fixups_outside_the_code_are_refused() {
        for kind in [FixupKind::Thunk, FixupKind::Address32, FixupKind::Address64] {
            let fixups = [Fixup { place: 6, kind }];
            assert_eq!(lift(&mut [0; 9], fixups, 0x40_0000), None);
            assert_eq!(set_down(&mut [0; 9], &fixups, 0x40_0000), None);
        }
    }

    #[test]
    fn neighbourhoods_tell_forms_and_windows_apart() {
        let of = Neighbourhood::of;
        assert!(of(0x40_0000).holds(0x60_0000) && !of(0x40_0000).holds(0x9000_0000));
        assert!(
            !of(0x40_0000).holds(0x7f) && !of(0).holds(0x10) && !of(0xffff_ffff_ffff_f000).holds(u64::MAX)
        );
        assert!(
            of(0x5555_5555_5000).holds(0x5555_6000_0000) && !of(0x5555_5555_5000).holds(0x7fff_0000_0000)
        );
    }
}
