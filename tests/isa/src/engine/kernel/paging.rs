//! Four-level page tables in guest RAM.
use platform::GuestRam;
use x86::Gpa;
use x86::paging::{PTE_A, PTE_ADDRESS, PTE_D, PTE_P, PTE_U, PTE_W};

const ROOT: u64 = 0x1000;
const END: u64 = 0x2_0000;
const TABLE_BYTES: u64 = 0x1000;

/// Tables under construction.
pub struct Tables<'a> {
    ram: &'a GuestRam,
    next: u64,
}

impl<'a> Tables<'a> {
    /// An empty root.
    pub fn new(ram: &'a GuestRam) -> Self {
        Self { ram, next: ROOT + TABLE_BYTES }
    }
    /// The physical address of the root.
    pub fn root(&self) -> u64 {
        ROOT
    }
    /// Maps a page; accessed and dirty are set, as Linux does. `None` if there is no room for another table.
    pub fn map(&mut self, linear: u64, physical: u64, rights: u64) -> Option<()> {
        let mut table = ROOT;
        for shift in [39, 30, 21] {
            let slot = table + (linear >> shift & 511) * 8;
            let mut entry = self.read(slot)?;
            if entry & PTE_P == 0 {
                entry = self.next | PTE_P | PTE_W | PTE_U | PTE_A;
                self.next += TABLE_BYTES;
                if self.next > END {
                    return None;
                }
                self.ram.write(Gpa(slot), &entry.to_le_bytes())?;
            }
            table = entry & PTE_ADDRESS;
        }
        let leaf = physical | rights | PTE_P | PTE_A | PTE_D;
        self.ram.write(Gpa(table + (linear >> 12 & 511) * 8), &leaf.to_le_bytes())
    }
    fn read(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.ram.read(Gpa(at), &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }
}
