//! Which guest instruction host code belongs to, for all blocks: mostly two bytes for each mark.
//!
//! Marks follow one another by distances. A byte has that of the host code ([`FAR`] if two more have it); the next one that
//! of the guest's ([`ELSEWHERE`] if two more have the offset itself), with the places of flags and pointers above it.
use super::block::{FlagPlace, Mark, Pointers};
use super::give_back;

const FAR: u8 = 0xff;
const ELSEWHERE: u8 = 0x0f;
const SPILLED: u8 = 0x10;
const POINTERS_SHIFT: u32 = 5;

/// The marks of all blocks, one block after the other.
#[derive(Default)]
pub struct Marks {
    bytes: Vec<u8>,
}

impl Marks {
    /// None yet, with room for so many.
    pub fn with_capacity(marks: usize) -> Self {
        Self { bytes: Vec::with_capacity(marks * 2) }
    }
    /// Where the next block's begin.
    pub fn end(&self) -> u32 {
        self.bytes.len() as u32
    }
    /// Forgets all, and gives their memory back.
    pub fn give_back(&mut self) {
        give_back::empty(&mut self.bytes);
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds those of a block ([`Packed::bytes`]).
    pub fn add(&mut self, packed: &[u8]) {
        self.bytes.extend_from_slice(packed);
    }

    /// What an offset in a block's host code belongs to: the last of its marks, which lie in a range of bytes, that is not
    /// behind it, or the first one.
    pub fn find(&self, range: std::ops::Range<u32>, start: i16, offset: u64) -> Mark {
        let mut bytes = self.bytes[range.start as usize..range.end as usize].iter().copied();
        let first = first(start);
        let mut found = next(&mut bytes, first).unwrap_or(first);
        while let Some(mark) = next(&mut bytes, found).filter(|mark| u64::from(mark.host) <= offset) {
            found = mark;
        }
        found
    }
}

/// The marks of one block, while it is made.
pub struct Packed {
    bytes: Vec<u8>,
    /// The last one; before the first, where its distances are from.
    last: Mark,
}

impl Default for Packed {
    fn default() -> Self {
        Self { bytes: Vec::new(), last: first(0) }
    }
}

/// Where the distances of a block's first mark are from.
fn first(start: i16) -> Mark {
    Mark { host: 0, guest: start, flags: FlagPlace::Eflags, pointers: Pointers::Guest }
}

impl Packed {
    /// None yet, of a block whose first byte lies so far from its guest page.
    pub fn begin(&mut self, start: i16) {
        self.bytes.clear();
        self.last = first(start);
    }
    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds one, unless what it says is so already.
    #[inline]
    pub fn note(&mut self, mark: Mark) {
        let Mark { host, guest, flags, pointers } = self.last;
        if self.bytes.is_empty() || (mark.guest, mark.flags, mark.pointers) != (guest, flags, pointers) {
            let (host, guest) = (mark.host.wrapping_sub(host), mark.guest.wrapping_sub(guest) as u16);
            self.last = mark;
            if host < u16::from(FAR)
                && guest < u16::from(ELSEWHERE)
                && self.bytes.spare_capacity_mut().len() >= 2
            {
                self.bytes.extend_from_slice(&[host as u8, state_of(&mark) | guest as u8]);
            } else {
                self.push(mark, host, guest);
            }
        }
    }

    /// Adds one that lies so far behind the last one.
    #[cold]
    fn push(&mut self, mark: Mark, host: u16, guest: u16) {
        let state = state_of(&mark);
        match u8::try_from(host) {
            Ok(distance) if distance != FAR => self.bytes.push(distance),
            _ => {
                let [low, high] = mark.host.to_le_bytes();
                self.bytes.extend_from_slice(&[FAR, low, high]);
            }
        }
        match u8::try_from(guest) {
            Ok(distance) if distance < ELSEWHERE => self.bytes.push(state | distance),
            _ => {
                let [low, high] = mark.guest.to_le_bytes();
                self.bytes.extend_from_slice(&[state | ELSEWHERE, low, high]);
            }
        }
    }
}

/// The places of flags and pointers.
fn state_of(mark: &Mark) -> u8 {
    let flags = if mark.flags == FlagPlace::Spilled { SPILLED } else { 0 };
    flags | (mark.pointers as u8) << POINTERS_SHIFT
}

/// The mark behind another.
fn next(bytes: &mut impl Iterator<Item = u8>, last: Mark) -> Option<Mark> {
    let host = match bytes.next()? {
        FAR => u16::from_le_bytes([bytes.next()?, bytes.next()?]),
        distance => last.host.wrapping_add(u16::from(distance)),
    };
    let state = bytes.next()?;
    let guest = match state & ELSEWHERE {
        ELSEWHERE => i16::from_le_bytes([bytes.next()?, bytes.next()?]),
        distance => last.guest.wrapping_add(i16::from(distance)),
    };
    let flags = if state & SPILLED != 0 { FlagPlace::Spilled } else { FlagPlace::Eflags };
    let pointers = match state >> POINTERS_SHIFT {
        0 => Pointers::Guest,
        1 => Pointers::HostTarget,
        _ => Pointers::HostBoth,
    };
    Some(Mark { host, guest, flags, pointers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_near_and_far_are_found() {
        let mark = |host, guest| Mark { host, guest, flags: FlagPlace::Eflags, pointers: Pointers::Guest };
        let all = [
            mark(0, 0xff0),
            mark(254, 0xff3),
            Mark { flags: FlagPlace::Spilled, ..mark(509, 0x1001) },
            Mark { pointers: Pointers::HostBoth, ..mark(509, 0x1001) },
            Mark { pointers: Pointers::HostTarget, ..mark(3000, -4) },
            mark(0xfffe, 11),
        ];
        let (mut marks, mut packed) = (Marks::default(), Packed::default());
        packed.begin(0);
        packed.note(mark(0, 5));
        marks.add(packed.bytes());
        let start = marks.end();
        packed.begin(0xff0);
        all.iter().for_each(|mark| packed.note(*mark));
        marks.add(packed.bytes());
        for (mark, next) in all.iter().zip(&all[1..]).filter(|(mark, next)| mark.host != next.host) {
            for offset in [mark.host, next.host - 1] {
                assert_eq!(marks.find(start..marks.end(), 0xff0, u64::from(offset)), *mark, "{offset}");
            }
        }
        assert_eq!(marks.find(start..marks.end(), 0xff0, 0x1_0000), all[5]);
        assert_eq!(marks.find(0..start, 0, 9), mark(0, 5));
    }
}
