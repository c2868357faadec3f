//! Look-ups of translated code that found nothing.
use x86::Gva;

use super::{BtVcpu, Next};
use crate::mmu::Access;
use crate::mmu::access::Filled;

/// Bytes of the longest memory operand: that of a run of pushes or pops.
const MAX_OPERAND: u64 = 128;

impl BtVcpu {
    /// Fills the entry that was looked up; what it cannot hold is the interpreter's.
    pub(super) fn miss(&mut self, access: Access, vectors: bool) -> Next {
        self.locate();
        let (address, resume) = (Gva(self.cpu().exit_argument), self.cpu().resume);
        let ring = self.ring();
        // An operand may begin below the canonical range's end and reach beyond it.
        let reach = Gva(address.0.wrapping_add(MAX_OPERAND - 1));
        if !address.is_canonical() || !reach.is_canonical() {
            return Next::Interpret;
        }
        if self.mmu.knows(address, access, ring) {
            // The operand crosses the end of its page.
            return Next::Interpret;
        }
        let cpu = crate::runtime::cpu_apart(&self.mmu);
        match self.mmu.fill(cpu, address, access, ring) {
            Ok(Filled::Entry) if !self.is_stuck() => Next::Enter { code: resume, vectors },
            // The interpreter knows which fault comes first, and the address of one of several operands.
            Ok(_) | Err(_) => Next::Interpret,
        }
    }

    /// Whether filling entries does not help the instruction at RIP: its two operands drive each other out of one entry.
    fn is_stuck(&mut self) -> bool {
        let rip = self.cpu().rip;
        let misses = &mut self.statistics.misses_in_a_row;
        *misses = if misses.0 == rip { (rip, misses.1 + 1) } else { (rip, 0) };
        if misses.1 < 3 {
            return false;
        }
        *misses = (rip, 0);
        true
    }
}
