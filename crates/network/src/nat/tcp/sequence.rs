//! Sequence numbers (RFC 9293 §3.4): they wrap, and are compared by their distance.

/// A sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(pub u32);

impl Sequence {
    /// So many bytes on.
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count as u32))
    }
    /// How far it is behind `other`; negative if it is before it.
    pub fn minus(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
    /// How far it is behind `other`; zero if it is before it.
    pub fn since(self, other: Self) -> usize {
        self.minus(other).max(0) as usize
    }
    /// Whether it comes before `other`.
    pub fn is_before(self, other: Self) -> bool {
        self.minus(other) < 0
    }
    /// The later of two.
    pub fn latest(self, other: Self) -> Self {
        if self.is_before(other) { other } else { self }
    }
    /// The earlier of two.
    pub fn earliest(self, other: Self) -> Self {
        if self.is_before(other) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_wrap() {
        let (late, early) = (Sequence(5), Sequence(u32::MAX - 4));
        assert_eq!((early.plus(10), late.minus(early), early.since(late)), (late, 10, 0));
        assert!(early.is_before(late) && !late.is_before(early));
        assert_eq!((early.latest(late), early.earliest(late)), (late, early));
    }
}
