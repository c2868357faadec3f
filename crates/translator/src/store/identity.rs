//! What a stored block is found by: everything but the guest's bytes that its host code was made from.
use crate::cache::block::CodeMode;
use crate::emit::fixups::Neighbourhood;
use crate::lower::moving::{self, STEADY_BYTES};
use x86::address::PAGE_OFFSET;

/// Mode and place of a block, as far as its host code depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(pub(super) [u64; 3]);

impl Identity {
    /// That of a block that begins at a linear address.
    pub fn of(address: u64, mode: CodeMode) -> Self {
        let place = match mode.legacy {
            // Offsets in a segment wrap around where linear addresses do not.
            Some(_) if mode.is_pinned() => address,
            // A kernel's image is moved by large steps.
            _ if moving::may_move(address, mode) => {
                MOVES | address & (moving::STEP - 1) | Neighbourhood::of(address).bits() << 32
            }
            _ if mode.is_pinned() => address & PAGE_OFFSET | Neighbourhood::of(address).bits() << 32,
            _ => address & PAGE_OFFSET,
        };
        Self([place, flags(mode), segment(mode)])
    }
    /// The same for a block that fits whatever the mode says of rights ([`RIGHTS`]).
    pub fn whatever_the_rights(self) -> Self {
        let Self([place, flags, segment]) = self;
        Self([place, flags & !RIGHTS | ANY_RIGHTS, segment])
    }
}

/// The flags of a mode that say what does not fault: SYSCALL, RDTSC, RDFSBASE and friends, vectors. Most blocks have none
/// of these.
const RIGHTS: u64 = 0b0111_0010 << LEGACY_BITS;
/// The block fits with any of them.
const ANY_RIGHTS: u64 = 1 << 63;
/// Bits of the flags of a mode that only legacy code has.
const LEGACY_BITS: u32 = 8;

/// The block may have addresses among its bytes that are others elsewhere.
const MOVES: u64 = 1 << 63;

fn flags(mode: CodeMode) -> u64 {
    let own = [
        mode.user,
        mode.syscall,
        mode.time_stamp,
        mode.bases,
        mode.windows,
        mode.settled,
        mode.vectors,
        mode.legacy.is_some(),
    ];
    let legacy = mode.legacy.map(|legacy| [legacy.code_32, legacy.stack_32, legacy.protected]);
    let pack = |flags: &[bool]| flags.iter().fold(0, |bits, flag| bits << 1 | u64::from(*flag));
    let flat = mode.legacy.map_or(0, |legacy| u64::from(legacy.flat));
    pack(&own) << LEGACY_BITS | pack(&legacy.unwrap_or_default()) << 4 | flat
}

fn segment(mode: CodeMode) -> u64 {
    mode.legacy.map_or(0, |legacy| u64::from(legacy.base) << 32 | u64::from(legacy.limit))
}

/// Bytes of the guest's code that count in a tag, unless they may be others elsewhere.
const TAG_BYTES: usize = 16;

/// A number that blocks with different identities or bytes hardly ever share; never 0.
pub fn tag(identity: &Identity, bytes: &[u8]) -> u32 {
    let mut first = [0; TAG_BYTES];
    let most = if identity.0[0] & MOVES != 0 { STEADY_BYTES } else { TAG_BYTES };
    let length = bytes.len().min(most);
    first[..length].copy_from_slice(&bytes[..length]);
    let first = u128::from_le_bytes(first);
    let words = identity.whatever_the_rights().0.into_iter().chain([first as u64, (first >> 64) as u64]);
    (super::checksum::of_words(words) >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legacy::Legacy;

    const KERNEL: CodeMode = CodeMode {
        user: false,
        syscall: true,
        time_stamp: true,
        bases: true,
        windows: true,
        settled: false,
        vectors: true,
        legacy: None,
    };
    const USER: CodeMode = CodeMode { user: true, ..KERNEL };

    #[test]
    fn the_same_code_elsewhere_is_the_same_block() {
        assert_eq!(Identity::of(0x5555_5555_5123, USER), Identity::of(0x7fff_0000_0123, USER));
        let kernel = |address| Identity::of(address, KERNEL);
        assert_eq!(kernel(0xffff_ffff_c100_0123), kernel(0xffff_ffff_dabc_d123));
        assert_ne!(kernel(0xffff_ffff_c100_0123), kernel(0xffff_ffff_c100_0124));
    }

    #[test]
    fn an_image_is_moved_by_large_steps() {
        let kernel = |address| Identity::of(address, KERNEL);
        assert_eq!(kernel(0xffff_ffff_8123_4123), kernel(0xffff_ffff_9ae3_4123));
        assert_ne!(kernel(0xffff_ffff_8123_4123), kernel(0xffff_ffff_9ae3_5123));
        // Beyond its first three bytes there may be an address.
        let (here, there) = ([0x48, 0xc7, 0xc7, 1, 2, 3, 0x81], [0x48, 0xc7, 0xc7, 1, 2, 0xa3, 0x9a]);
        let same_tags = |address| tag(&kernel(address), &here) == tag(&kernel(address), &there);
        assert!(same_tags(0xffff_ffff_8123_4123) && !same_tags(0xffff_ffff_c123_4123));
    }

    #[test]
    fn addresses_of_another_form_make_another_block() {
        let settled = CodeMode { settled: true, ..USER };
        assert_ne!(Identity::of(0x40_1000, settled), Identity::of(0x5555_5555_5000, settled));
        assert_ne!(Identity::of(0x5555_5555_5000, settled), Identity::of(0x7fff_0000_0000, settled));
    }

    #[test]
    fn rights_make_no_other_block_where_none_is_needed() {
        let bare = CodeMode { syscall: false, time_stamp: false, bases: false, vectors: false, ..KERNEL };
        let whatever = |mode| Identity::of(0x40_1000, mode).whatever_the_rights();
        assert_eq!(whatever(bare), whatever(KERNEL));
        assert_ne!(whatever(bare), Identity::of(0x40_1000, bare));
        for other in [USER, CodeMode { windows: false, ..KERNEL }, CodeMode { settled: true, ..KERNEL }] {
            assert_ne!(whatever(other), whatever(KERNEL));
        }
    }

    #[test]
    fn every_assumption_counts() {
        let modes = [
            CodeMode { user: true, ..KERNEL },
            CodeMode { syscall: false, ..KERNEL },
            CodeMode { time_stamp: false, ..KERNEL },
            CodeMode { bases: false, ..KERNEL },
            CodeMode { windows: false, ..KERNEL },
            CodeMode { settled: true, ..KERNEL },
            CodeMode { vectors: false, ..KERNEL },
            KERNEL,
        ];
        let legacy =
            Legacy { code_32: true, stack_32: true, protected: true, flat: 0xd, base: 0, limit: u32::MAX };
        let segments = [
            legacy,
            Legacy { code_32: false, ..legacy },
            Legacy { stack_32: false, ..legacy },
            Legacy { protected: false, ..legacy },
            Legacy { flat: 0, ..legacy },
            Legacy { base: 16, ..legacy },
            Legacy { limit: 0xffff, ..legacy },
        ];
        let segments = segments.map(|legacy| CodeMode { legacy: Some(legacy), ..KERNEL });
        let all: Vec<_> =
            modes.into_iter().chain(segments).map(|mode| Identity::of(0x40_1000, mode)).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
    }
}
