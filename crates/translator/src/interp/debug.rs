//! Breakpoints of the debug registers (SDM 3B §17.2, §17.3).
use x86::control::CR4_DE;
use x86::exception::vector;
use x86::{Exception, Gva};

use super::core::Core;
use crate::cpu::Cpu;
use crate::mmu::Access;

/// DR6.BS: single step.
pub(super) const DR6_SINGLE_STEP: u64 = 1 << 14;
/// DR6.B0 to B3.
pub(super) const DR6_HITS: u64 = 15;

/// DR6.BD: an access to a debug register was trapped.
pub(super) const DR6_GUARD: u64 = 1 << 13;
/// DR6.BT: the new task's TSS asked for a trap.
pub(super) const DR6_TASK: u64 = 1 << 15;
/// DR7.GD: accesses to debug registers trap.
pub(super) const DR7_GUARD: u64 = 1 << 13;

/// Breakpoint kinds: the R/W field of DR7.
const EXECUTE: u64 = 0;
const WRITE: u64 = 1;
const PORT: u64 = 2;

/// Number, kind and length in bytes of each enabled breakpoint.
fn enabled(cpu: &Cpu) -> impl Iterator<Item = (usize, u64, u64)> {
    let dr7 = cpu.dr[7];
    (0..4).filter(move |number| dr7 >> (2 * number) & 3 != 0).map(move |number| {
        let field = dr7 >> (16 + 4 * number);
        let length = [1, 2, 8, 4][(field >> 2 & 3) as usize];
        (number as usize, field & 3, length)
    })
}

/// The fault of an instruction breakpoint at `address`, with DR6 set.
pub(super) fn instruction_breakpoint(cpu: &mut Cpu, address: Gva) -> Option<Exception> {
    let hits = enabled(cpu)
        .filter(|(number, kind, _)| *kind == EXECUTE && cpu.dr[*number] == address.0)
        .fold(0, |hits, (number, ..)| hits | 1 << number);
    if hits == 0 {
        return None;
    }
    Some(trap(cpu, hits))
}

/// The debug exception with DR6 set; of earlier ones only BS, BT and BD stay there.
pub(super) fn trap(cpu: &mut Cpu, hits: u64) -> Exception {
    cpu.dr[6] = (cpu.dr[6] & !DR6_HITS) | hits;
    Exception::plain(vector::DB)
}

impl Core<'_> {
    /// Remembers the data breakpoints that an access meets; they trap after the instruction.
    pub fn note_data_breakpoints(&mut self, address: Gva, length: u64, access: Access) {
        let mut hits = 0;
        for (number, kind, size) in enabled(self.cpu) {
            let matches_kind = match kind {
                WRITE => access == Access::Write,
                PORT => false,
                EXECUTE => false,
                _ => true,
            };
            let start = self.cpu.dr[number] & !(size - 1);
            let overlaps = address.0 < start.wrapping_add(size) && start < address.0.wrapping_add(length);
            if matches_kind && overlaps {
                hits |= 1 << number;
            }
        }
        self.debug_hits |= hits;
    }
    /// Port breakpoints, with CR4.DE.
    pub fn note_port_breakpoints(&mut self, port: u16, length: usize) {
        if self.cpu.cr4 & CR4_DE == 0 || self.cpu.dr[7] & 0xff == 0 {
            return;
        }
        let (first, last) = (u64::from(port), u64::from(port) + length as u64 - 1);
        let hits = enabled(self.cpu)
            .filter(|(number, kind, size)| {
                let start = self.cpu.dr[*number] & !(size - 1);
                *kind == PORT && first < start + size && start <= last
            })
            .fold(0, |hits, (number, ..)| hits | 1 << number);
        self.debug_hits |= hits;
    }
}
