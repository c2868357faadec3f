//! How often code has begun to run at a place.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// log2 of the places that are told apart; places that share a count are translated sooner.
const PLACES: u32 = 18;

/// The highest count.
pub const MOST: u8 = 15;

/// The limit of code that is always new.
pub const ALWAYS: u8 = u8::MAX;

/// Counts of all CPUs that share translated code, of four bits each.
pub struct Counts(Box<[AtomicU8]>);

impl Default for Counts {
    fn default() -> Self {
        Self((0..1 << (PLACES - 1)).map(|_| AtomicU8::new(0)).collect())
    }
}

/// What a CPU knows of them.
pub struct Seen {
    counts: Arc<Counts>,
    limit: u8,
}

impl Seen {
    /// Code is new until it has begun to run `limit` times, [`MOST`] at most, or [`ALWAYS`].
    pub fn new(counts: Arc<Counts>, limit: u8) -> Self {
        Self { counts, limit: if limit == ALWAYS { ALWAYS } else { limit.min(MOST) } }
    }

    /// The counts of two places, and the shift of the one in question.
    fn place(&self, gpa: u64) -> (&AtomicU8, u32) {
        let hash = gpa ^ gpa >> PLACES;
        (&self.counts.0[(hash as usize & ((1 << PLACES) - 1)) / 2], (hash as u32 & 1) * 4)
    }

    /// Whether code there is new.
    pub fn is_new(&self, gpa: u64) -> bool {
        let (counts, shift) = self.place(gpa);
        self.limit == ALWAYS || counts.load(Ordering::Relaxed) >> shift & MOST < self.limit
    }

    /// Whether code has never begun to run there.
    pub fn is_unseen(&self, gpa: u64) -> bool {
        let (counts, shift) = self.place(gpa);
        counts.load(Ordering::Relaxed) >> shift & MOST == 0
    }

    /// New code begins to run there. That of two CPUs at once may count as one.
    pub fn begins(&self, gpa: u64) {
        let (counts, shift) = self.place(gpa);
        let before = counts.load(Ordering::Relaxed);
        if before >> shift & MOST < MOST {
            counts.store(before + (1 << shift), Ordering::Relaxed);
        }
    }

    /// Code there shall be new no longer; whether that can be had.
    pub fn has_been(&self, gpa: u64) -> bool {
        let (counts, shift) = self.place(gpa);
        counts.fetch_or(MOST << shift, Ordering::Relaxed);
        self.limit != ALWAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_new_so_often() {
        let seen = Seen::new(Arc::default(), 3);
        assert!(seen.is_unseen(0x1234));
        for _ in 0..3 {
            assert!(seen.is_new(0x1234));
            seen.begins(0x1234);
            assert!(!seen.is_unseen(0x1234));
        }
        assert!(!seen.is_new(0x1234));
        // Its neighbours, one of which has its count in the same byte, are new still.
        assert!(seen.is_new(0x1233) && seen.is_new(0x1235));
    }

    #[test]
    fn counts_end_at_the_highest() {
        let seen = Seen::new(Arc::default(), 200);
        for _ in 0..100 {
            seen.begins(0x1234);
        }
        assert!(!seen.is_new(0x1234));
        assert!(seen.is_new(0x1235));
    }

    #[test]
    fn code_that_shall_not_be_new_is_not_but_where_it_always_is() {
        let seen = Seen::new(Arc::default(), MOST);
        assert!(seen.has_been(0x5678));
        assert!(!seen.is_new(0x5678));
        let always = Seen::new(Arc::default(), ALWAYS);
        assert!(!always.has_been(0x5678));
        assert!(always.is_new(0x5678));
    }

    #[test]
    fn nothing_is_new_without_a_limit() {
        assert!(!Seen::new(Arc::default(), 0).is_new(0x1234));
    }

    #[test]
    fn cpus_count_together() {
        let counts = Arc::<Counts>::default();
        let [one, other] = [(); 2].map(|()| Seen::new(Arc::clone(&counts), 2));
        one.begins(0x42);
        other.begins(0x42);
        assert!(!one.is_new(0x42));
    }
}
