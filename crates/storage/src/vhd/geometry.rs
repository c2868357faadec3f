//! Cylinders, heads and sectors of a VHD disk.

/// A geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors per track.
    pub sectors: u8,
}

/// Sectors of the largest geometry. A disk that has it may be longer.
pub const MOST_SECTORS: u64 = 65535 * 16 * 255;

impl Geometry {
    /// The geometry of a disk ("Appendix: CHS Calculation").
    pub fn of(sectors_in_all: u64) -> Self {
        let total = sectors_in_all.min(MOST_SECTORS);
        let (heads, sectors) = if total >= 65535 * 16 * 63 { (16, 255) } else { Self::of_short(total) };
        let cylinders = total / sectors / heads;
        Self { cylinders: cylinders as u16, heads: heads as u8, sectors: sectors as u8 }
    }
    /// Heads and sectors per track where 63 sectors are enough: the first of 17, 31, 63 that keeps to 1024 cylinders.
    fn of_short(total: u64) -> (u64, u64) {
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if heads <= 16 && tracks < heads * 1024 {
            (heads, 17)
        } else if total / 31 < 16 * 1024 {
            (16, 31)
        } else {
            (16, 63)
        }
    }
    /// Sectors that it reaches.
    pub fn sectors_in_all(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_of_the_specification() {
        let of = |sectors| {
            let found = Geometry::of(sectors);
            (found.cylinders, found.heads, found.sectors)
        };
        assert_eq!(of(20480), (301, 4, 17));
        assert_eq!(of(16 * 1024 * 17 - 17), (1023, 16, 17));
        assert_eq!(of(16 * 1024 * 17), (561, 16, 31));
        assert_eq!(of(16 * 1024 * 31), (503, 16, 63));
        assert_eq!(of(65535 * 16 * 63), (16191, 16, 255));
        assert_eq!(of(u64::MAX), (65535, 16, 255));
        assert_eq!(Geometry::of(MOST_SECTORS).sectors_in_all(), MOST_SECTORS);
    }
}
