//! Words of guest RAM by which devices and the guest's CPUs talk: little-endian, loaded and stored in one piece.
#![expect(unsafe_code, reason = "makes atomics of guest memory")]
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use vm_memory::bitmap::Bitmap;
use x86::Gpa;

use super::GuestRam;

impl GuestRam {
    /// The 16 bits at an even address; what the guest stored before them shows too. `None` if they are no RAM.
    pub fn load_u16(&self, address: Gpa) -> Option<u16> {
        self.half(address).map(|half| u16::from_le(half.load(Ordering::Acquire)))
    }
    /// Stores 16 bits at an even address, after everything that was stored before.
    pub fn store_u16(&self, address: Gpa, value: u16) -> Option<()> {
        self.half(address)?.store(value.to_le(), Ordering::Release);
        self.watch.mark_dirty(address.0 as usize, 2);
        Some(())
    }
    /// The 32 bits at a multiple of 4; what the guest stored before them shows too. `None` if they are no RAM.
    pub fn load_u32(&self, address: Gpa) -> Option<u32> {
        self.word(address).map(|word| u32::from_le(word.load(Ordering::Acquire)))
    }
    /// Stores 32 bits at a multiple of 4, after everything that was stored before.
    pub fn store_u32(&self, address: Gpa, value: u32) -> Option<()> {
        self.word(address)?.store(value.to_le(), Ordering::Release);
        self.watch.mark_dirty(address.0 as usize, 4);
        Some(())
    }

    fn half(&self, address: Gpa) -> Option<&AtomicU16> {
        let pointer = self.host_address(address, 2).filter(|_| address.0.is_multiple_of(2))?;
        // SAFETY: the two bytes are RAM, mapped as long as `self` lives, and aligned, as the mapping itself is to pages.
        Some(unsafe { AtomicU16::from_ptr(pointer.cast()) })
    }
    fn word(&self, address: Gpa) -> Option<&AtomicU32> {
        let pointer = self.host_address(address, 4).filter(|_| address.0.is_multiple_of(4))?;
        // SAFETY: the four bytes are RAM, mapped as long as `self` lives, and aligned, as the mapping itself is to pages.
        Some(unsafe { AtomicU32::from_ptr(pointer.cast()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_aligned() {
        let ram = GuestRam::new(0x1000).unwrap();
        ram.store_u16(Gpa(0x10), 0x1234).unwrap();
        ram.store_u32(Gpa(0x14), 0x5678_9abc).unwrap();
        let mut bytes = [0; 8];
        ram.read(Gpa(0x10), &mut bytes).unwrap();
        assert_eq!(bytes, [0x34, 0x12, 0, 0, 0xbc, 0x9a, 0x78, 0x56]);
        assert_eq!((ram.load_u16(Gpa(0x16)), ram.load_u32(Gpa(0x10))), (Some(0x5678), Some(0x1234)));
        assert_eq!((ram.load_u16(Gpa(0x11)), ram.load_u32(Gpa(0x12))), (None, None));
        assert_eq!((ram.store_u16(Gpa(0x1000), 0), ram.load_u32(Gpa(0xffc))), (None, Some(0)));
    }
}
