//! Segment registers with their hidden parts, and the attribute bits of descriptors (SDM 3A §3.4, §3.5).
use serde::{Deserialize, Serialize};

/// ES.
pub const ES: usize = 0;
/// CS.
pub const CS: usize = 1;
/// SS.
pub const SS: usize = 2;
/// DS.
pub const DS: usize = 3;
/// FS.
pub const FS: usize = 4;
/// GS.
pub const GS: usize = 5;

/// A segment register: what the program sees and what the CPU cached when it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Segment {
    /// Linear address of offset 0.
    pub base: u64,
    /// Last valid offset in bytes, granularity already applied.
    pub limit: u32,
    /// Descriptor bits 40 to 55: type, S, DPL, P, (limit 19:16 as zero), AVL, L, D/B, G. See the `ATTR_` constants.
    pub attributes: u16,
    /// The visible selector.
    pub selector: u16,
}

/// Descriptor type (4 bits).
pub const ATTR_TYPE: u16 = 0xf;
/// Accessed (code and data).
pub const ATTR_ACCESSED: u16 = 1 << 0;
/// Writable (data) or readable (code).
pub const ATTR_RW: u16 = 1 << 1;
/// Expand-down (data) or conforming (code).
pub const ATTR_DC: u16 = 1 << 2;
/// Code rather than data.
pub const ATTR_CODE: u16 = 1 << 3;
/// Code or data rather than system.
pub const ATTR_S: u16 = 1 << 4;
/// Privilege level.
pub const ATTR_DPL: u16 = 3 << 5;
/// Shift of the privilege level.
pub const ATTR_DPL_SHIFT: u32 = 5;
/// Present.
pub const ATTR_P: u16 = 1 << 7;
/// For software.
pub const ATTR_AVL: u16 = 1 << 12;
/// 64-bit code.
pub const ATTR_L: u16 = 1 << 13;
/// 32-bit default (code) or 32-bit stack pointer (stack).
pub const ATTR_DB: u16 = 1 << 14;
/// Limit counted in 4 KiB units.
pub const ATTR_G: u16 = 1 << 15;

impl Segment {
    /// The descriptor's privilege level.
    pub const fn dpl(&self) -> u8 {
        ((self.attributes & ATTR_DPL) >> ATTR_DPL_SHIFT) as u8
    }
    /// Whether the descriptor was marked present (a null selector loads a segment that is not).
    pub const fn is_present(&self) -> bool {
        self.attributes & ATTR_P != 0
    }
    /// Whether this is a 64-bit code segment.
    pub const fn is_long(&self) -> bool {
        self.attributes & ATTR_L != 0
    }
    /// Whether the default operand or stack size is 32 bits.
    pub const fn is_32(&self) -> bool {
        self.attributes & ATTR_DB != 0
    }

    /// A segment as real mode loads it: base is sixteen times the selector, 64 KiB long.
    pub const fn real_mode(selector: u16) -> Self {
        Self {
            base: (selector as u64) << 4,
            limit: 0xffff,
            attributes: ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED,
            selector,
        }
    }

    /// The cached form of an 8-byte code, data or system descriptor (SDM 3A figure 3-8).
    pub const fn from_descriptor(selector: u16, descriptor: u64) -> Self {
        let attributes = ((descriptor >> 40) & 0xf0ff) as u16;
        let raw_limit = ((descriptor & 0xffff) | ((descriptor >> 32) & 0xf_0000)) as u32;
        let limit = if attributes & ATTR_G != 0 { (raw_limit << 12) | 0xfff } else { raw_limit };
        let base = ((descriptor >> 16) & 0xff_ffff) | ((descriptor >> 32) & 0xff00_0000);
        Self { base, limit, attributes, selector }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_of_linux_kernel_code() {
        let segment = Segment::from_descriptor(0x10, 0x00af_9b00_0000_ffff);
        assert_eq!(segment.base, 0);
        assert_eq!(segment.limit, 0xffff_ffff);
        assert!(segment.is_long() && !segment.is_32() && segment.is_present());
        assert_eq!(segment.dpl(), 0);
    }

    #[test]
    fn descriptor_base_is_gathered_from_three_fields() {
        let segment = Segment::from_descriptor(0x28, 0x1200_8934_5678_0067);
        assert_eq!(segment.base, 0x1234_5678);
        assert_eq!(segment.limit, 0x67);
    }
}
