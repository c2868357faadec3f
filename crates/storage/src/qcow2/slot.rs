//! An entry of an L2 table: where a cluster of the disk is.
use platform::DiskError;

use super::geometry::Geometry;
use super::spec::{COMPRESSED, COPIED, OFFSET_MASK, SUBCLUSTERS, ZERO};

/// "L2 table entry". All zeros: the cluster is not in this image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The cluster descriptor with its flags.
    pub entry: u64,
    /// Subclusters: allocated ones in the lower half, zeros in the upper. Zero where entries have none.
    pub bitmap: u64,
}

/// Where a byte of the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not in this image: in the backing file, or zero.
    Absent,
    /// Zero.
    Zero,
    /// At this offset of the file.
    Data(u64),
    /// In a cluster that is compressed.
    Compressed(Packed),
}

/// Where a compressed cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packed {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, up to the end of the last sector that it may reach into: at most two clusters.
    pub length: u64,
}

impl Slot {
    /// A whole cluster that nothing else uses.
    pub fn own(geometry: Geometry, host: u64) -> Self {
        let bitmap = if geometry.extended { u64::from(u32::MAX) } else { 0 };
        Self { entry: host | COPIED, bitmap }
    }
    /// A cluster of zeros; `host` is room that is kept for it.
    pub fn zero(geometry: Geometry, host: Option<u64>) -> Self {
        let room = host.map_or(0, |host| host | COPIED);
        if geometry.extended {
            Self { entry: room, bitmap: u64::from(u32::MAX) << 32 }
        } else {
            Self { entry: room | ZERO, bitmap: 0 }
        }
    }
    /// Whether it is compressed.
    pub fn is_compressed(self) -> bool {
        self.entry & COMPRESSED != 0
    }
    /// The cluster of the file that is kept for it, if it is not compressed.
    pub fn host(self) -> Option<u64> {
        let offset = self.entry & OFFSET_MASK;
        (!self.is_compressed() && offset != 0).then_some(offset)
    }
    /// The same if nothing else uses that cluster.
    pub fn own_host(self) -> Option<u64> {
        self.host().filter(|_| self.entry & COPIED != 0)
    }
    /// Subclusters that are zeros, one bit each.
    pub fn zeroes(self) -> u32 {
        (self.bitmap >> 32) as u32
    }
    /// Subclusters that are in the file, one bit each.
    pub fn allocated(self) -> u32 {
        self.bitmap as u32
    }
    /// Whether all of it reads as zeros, with or without a backing file.
    pub fn is_blank(self, geometry: Geometry, backed: bool) -> bool {
        if self.is_compressed() {
            return false;
        }
        match geometry.extended {
            true => self.allocated() == 0 && (!backed || self.zeroes() == u32::MAX),
            false => self.entry & ZERO != 0 || (!backed && self.host().is_none()),
        }
    }
    /// "Compressed Clusters Descriptor".
    pub fn packed(self, geometry: Geometry) -> Packed {
        let offset_bits = 62 - (geometry.cluster_bits - 8);
        let offset = self.entry & ((1 << offset_bits) - 1);
        let more_sectors = (self.entry & (COMPRESSED - 1)) >> offset_bits;
        Packed { offset, length: (more_sectors + 1) * 512 - offset % 512 }
    }
    /// Where the byte `within` the cluster is, and how many bytes of the cluster from there on are found the same way.
    pub fn place(self, geometry: Geometry, within: u64) -> Result<(Place, u64), DiskError> {
        let rest = geometry.cluster() - within;
        if self.is_compressed() {
            return Ok((Place::Compressed(self.packed(geometry)), rest));
        }
        let host = self.entry & OFFSET_MASK;
        if !geometry.is_start(host) {
            return Err(DiskError::Damaged(format!(
                "a cluster at {host:#x}, which is no multiple of its size"
            )));
        }
        if geometry.extended {
            return self.subcluster(geometry, host, within);
        }
        if self.entry & ZERO != 0 {
            if !geometry.has_zeroes() {
                return Err(DiskError::Damaged("an image of version 2 has a cluster of zeros".into()));
            }
            return Ok((Place::Zero, rest));
        }
        Ok(if host == 0 { (Place::Absent, rest) } else { (Place::Data(host + within), rest) })
    }
    /// "Extended L2 Entries".
    fn subcluster(self, geometry: Geometry, host: u64, within: u64) -> Result<(Place, u64), DiskError> {
        if self.zeroes() & self.allocated() != 0 || (host == 0 && self.allocated() != 0) {
            return Err(DiskError::Damaged(format!("a cluster at {host:#x} with bitmap {:#x}", self.bitmap)));
        }
        let first = within / geometry.unit();
        let kind = |index: u64| (self.zeroes() >> index & 1, self.allocated() >> index & 1);
        let last = (first..SUBCLUSTERS).take_while(|index| kind(*index) == kind(first)).last();
        let length = (last.unwrap_or(first) + 1) * geometry.unit() - within;
        Ok(match kind(first) {
            (1, _) => (Place::Zero, length),
            (_, 1) => (Place::Data(host + within), length),
            _ => (Place::Absent, length),
        })
    }
}

/// Bits of the subclusters that a range within a cluster touches.
pub fn subclusters(geometry: Geometry, start: u64, end: u64) -> u32 {
    let (first, last) = (start / geometry.unit(), end.div_ceil(geometry.unit()));
    let below = |count: u64| if count >= SUBCLUSTERS { u32::MAX } else { (1 << count) - 1 };
    below(last) & !below(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Geometry = Geometry { version: 3, cluster_bits: 16, extended: false, refcount_order: 4 };
    const EXTENDED: Geometry = Geometry { extended: true, ..PLAIN };

    #[test]
    fn plain_entries() {
        let place = |entry, within| Slot { entry, bitmap: 0 }.place(PLAIN, within).unwrap();
        assert_eq!(place(0, 512), (Place::Absent, 65024));
        assert_eq!(place(0x5_0000 | COPIED, 512), (Place::Data(0x5_0200), 65024));
        assert_eq!(place(0x5_0001, 0), (Place::Zero, 65536));
        assert!(Slot { entry: 0x5_0200, bitmap: 0 }.place(PLAIN, 0).is_err());
        let old = Geometry { version: 2, ..PLAIN };
        assert!(Slot { entry: ZERO, bitmap: 0 }.place(old, 0).is_err());
    }

    #[test]
    fn compressed_entries_reach_to_the_end_of_a_sector() {
        let slot = Slot { entry: COMPRESSED | (2 << 54) | 0x1_2345, bitmap: 0 };
        assert_eq!(slot.packed(PLAIN), Packed { offset: 0x1_2345, length: 3 * 512 - 0x145 });
    }

    #[test]
    fn subclusters_are_runs() {
        let slot = Slot { entry: 0x5_0000 | COPIED, bitmap: 0b1100 << 32 | 0b0011 };
        assert_eq!(slot.place(EXTENDED, 512).unwrap(), (Place::Data(0x5_0200), 4096 - 512));
        assert_eq!(slot.place(EXTENDED, 4096).unwrap(), (Place::Zero, 4096));
        assert_eq!(slot.place(EXTENDED, 8192).unwrap(), (Place::Absent, 65536 - 8192));
        assert!(Slot { entry: 0x5_0000, bitmap: 1 << 32 | 1 }.place(EXTENDED, 0).is_err());
        assert!(Slot { entry: 0, bitmap: 1 }.place(EXTENDED, 0).is_err());
        assert_eq!(subclusters(EXTENDED, 2047, 2049), 0b11);
        assert_eq!(subclusters(EXTENDED, 0, 65536), u32::MAX);
    }
}
