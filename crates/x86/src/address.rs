//! Guest addresses as types, so that a physical one is never used where a linear one belongs.
use serde::{Deserialize, Serialize};

/// A guest-physical address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpa(pub u64);

/// A guest-linear (virtual, after segmentation) address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gva(pub u64);

/// Bytes in the smallest page.
pub const PAGE_SIZE: u64 = 4096;
/// Bits of an address below the page number.
pub const PAGE_SHIFT: u32 = 12;
/// Bits of an address inside its page.
pub const PAGE_OFFSET: u64 = PAGE_SIZE - 1;

impl Gpa {
    /// The number of the 4 KiB frame that holds this address.
    pub const fn frame(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }
    /// The first address of the 4 KiB frame that holds this address.
    pub const fn frame_start(self) -> Gpa {
        Gpa(self.0 & !PAGE_OFFSET)
    }
}

impl Gva {
    /// The first address of the 4 KiB page that holds this address.
    pub const fn page_start(self) -> Gva {
        Gva(self.0 & !PAGE_OFFSET)
    }
    /// The offset inside the 4 KiB page.
    pub const fn page_offset(self) -> u64 {
        self.0 & PAGE_OFFSET
    }
    /// Whether bits 63:47 are all equal: canonical with 48 bits of linear address (SDM 1 §3.3.7.1).
    pub const fn is_canonical(self) -> bool {
        ((self.0 as i64) << 16) >> 16 == self.0 as i64
    }
}

impl std::fmt::Display for Gpa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl std::fmt::Display for Gva {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
