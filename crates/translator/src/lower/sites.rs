//! Instructions that windows do not serve: they touch devices, translated code, or what supervisor code has no window for.
//! Each time costs a fault of the host, a hundred times a look-up; so after a few of them they go by look-up for good.
use std::collections::BTreeSet;

use super::decode::Decoded;
use crate::cache::blocks::{WordMap, WordSet};
use x86::address::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};

/// Faults after which an instruction goes by look-up.
const FAULTS: u32 = 2;
/// Instructions that are remembered at most, before all are forgotten.
const SITES: usize = 1 << 14;

/// Such instructions, by guest-physical address.
#[derive(Debug, Default)]
pub struct Sites {
    faults: WordMap<u64, u32>,
    by_lookup: BTreeSet<u64>,
    /// The frames that they lie in.
    frames: WordSet<u64>,
}

impl Sites {
    /// An access of this instruction could not be made by window, but was allowed. Whether it goes by look-up from now on.
    pub fn note(&mut self, gpa: u64) -> bool {
        if self.faults.len() >= SITES {
            self.faults.clear();
            self.by_lookup.clear();
            self.frames.clear();
        }
        let faults = self.faults.entry(gpa).or_default();
        *faults += 1;
        let is_new = *faults >= FAULTS && self.by_lookup.insert(gpa);
        if is_new {
            self.frames.insert(gpa >> PAGE_SHIFT);
        }
        is_new
    }

    /// Where in these bytes of one frame they are.
    pub fn within(&self, gpa: u64, length: usize) -> impl Iterator<Item = u16> {
        let end = (gpa + length as u64).min((gpa | PAGE_OFFSET) + 1);
        let some = self.frames.contains(&(gpa >> PAGE_SHIFT)).then(|| self.by_lookup.range(gpa..end));
        some.into_iter().flatten().map(move |site| (site - gpa) as u16)
    }

    /// Marks them in a block that begins at linear address `address`.
    pub fn mark(&self, code: &mut [Decoded], address: u64, gpa: u64) {
        if !self.frames.contains(&(gpa >> PAGE_SHIFT)) {
            return;
        }
        let room = PAGE_SIZE - (gpa & PAGE_OFFSET);
        for decoded in code {
            let distance = decoded.instruction.ip().wrapping_sub(address);
            decoded.by_lookup = distance < room && self.by_lookup.contains(&(gpa + distance));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::blocks::CodeMode;
    use crate::lower::decode::decode;

    #[test]
    fn an_instruction_that_faults_again_goes_by_look_up() {
        // mov eax, [rdi]; mov ecx, [rsi]
        let mut code = Vec::new();
        decode(&[0x8b, 0x07, 0x8b, 0x0e], 0x7000, CodeMode::default(), &mut code);
        let mut sites = Sites::default();
        assert!(!sites.note(0x2002));
        sites.mark(&mut code, 0x7000, 0x2000);
        assert!(!code[1].by_lookup);
        assert!(sites.note(0x2002));
        assert!(!sites.note(0x2002));
        sites.mark(&mut code, 0x7000, 0x2000);
        assert_eq!([code[0].by_lookup, code[1].by_lookup], [false, true]);
    }
}
