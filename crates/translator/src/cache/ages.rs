//! Which part of the room for code goes next.
//!
//! Programs that run one after the other go through the same code in turn, more of it than there is room for: if the oldest
//! went, each would find that what it wants next has just gone. So much of what is there stays, and what there is no room for
//! passes through a few segments; but each second time the oldest goes, since other programs will run, and since there may be
//! nearly enough room.
use super::blocks::SEGMENTS;
use super::gauge::Turn;

/// One of so many segments is young: it was filled lately, and does not go yet.
const YOUNG: usize = 5;
/// One of so many segments that go is the oldest one.
const OLDEST: u64 = 2;
/// Segments that are there in any case, beside those that are filled.
const FEWEST: usize = 3;

/// When each segment began to be filled.
pub struct Ages {
    /// Where new blocks go.
    filling: usize,
    /// Counts how often a segment began to be filled.
    fills: u64,
    /// That count when each did last; 0 if it has no memory.
    filled: [u64; SEGMENTS],
}

impl Default for Ages {
    fn default() -> Self {
        let mut filled = [0; SEGMENTS];
        filled[0] = 1;
        Self { filling: 0, fills: 1, filled }
    }
}

impl Ages {
    /// The segment that is being filled.
    pub fn filling(&self) -> usize {
        self.filling
    }
    /// Another one is from now on.
    pub fn fill(&mut self, segment: usize) {
        self.filling = segment;
        self.fills += 1;
        self.filled[segment] = self.fills;
    }
    /// One has no memory any more.
    pub fn give_back(&mut self, segment: usize) {
        self.filled[segment] = 0;
    }

    /// The segments with memory but for the one that is being filled, the oldest one first.
    fn others(&self) -> Vec<usize> {
        let is_other = |segment: &usize| *segment != self.filling && self.filled[*segment] != 0;
        let mut others: Vec<_> = (0..SEGMENTS).filter(is_other).collect();
        others.sort_by_key(|segment| self.filled[*segment]);
        others
    }
    /// The segment to be filled next, whose blocks go first.
    pub fn next_to_fill(&self, turn: Turn) -> usize {
        let others = self.others();
        let fresh = self.filled.iter().position(|filled| *filled == 0);
        match fresh {
            Some(fresh) if turn == Turn::Grow || others.is_empty() => fresh,
            _ if self.fills.is_multiple_of(OLDEST) => others[0],
            _ => others[others.len() - 1 - others.len() / YOUNG],
        }
    }
    /// The segment to be given back while another one is filled, if any: the oldest.
    pub fn next_to_give_back(&self, next: usize, turn: Turn) -> Option<usize> {
        let mut others = self.others();
        others.retain(|segment| *segment != next);
        let shall_go = turn == Turn::Shrink && others.len() > FEWEST;
        shall_go.then(|| others[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_segments_stay_and_some_are_filled_again_and_again() {
        let mut ages = Ages::default();
        let mut went = Vec::new();
        for _ in 0..5 * SEGMENTS {
            went.push(ages.next_to_fill(Turn::Grow));
            ages.fill(*went.last().unwrap());
        }
        // Those that were never filled come first.
        let (first, later) = went.split_at(SEGMENTS - 1);
        assert_eq!(first, (1..SEGMENTS).collect::<Vec<_>>());
        // Each second one is the oldest, the others are as young as may be.
        assert_eq!(later[..9], [0, 25, 1, 27, 2, 29, 3, 31, 4]);
        // All come to go in time, but for a while a third of what was there stays.
        let distinct = |range: &[usize]| range.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!(distinct(&later[..SEGMENTS]) <= SEGMENTS * 2 / 3, "{later:?}");
        assert_eq!(distinct(later), SEGMENTS, "{later:?}");
    }

    #[test]
    fn the_oldest_is_given_back_and_the_first_to_come_again() {
        let mut ages = Ages::default();
        (1..7).for_each(|segment| ages.fill(segment));
        assert_eq!(ages.next_to_give_back(3, Turn::Stay), None);
        // Without more memory, one of those that are there is filled again, and the oldest of the others goes.
        let next = ages.next_to_fill(Turn::Shrink);
        assert_eq!((next, ages.next_to_give_back(next, Turn::Shrink)), (4, Some(0)));
        ages.give_back(0);
        assert_eq!([Turn::Stay, Turn::Shrink, Turn::Grow].map(|turn| ages.next_to_fill(turn)), [4, 4, 0]);
        // There are always some.
        ages.give_back(1);
        assert_eq!(ages.next_to_give_back(4, Turn::Shrink), None);
        (2..6).for_each(|segment| ages.give_back(segment));
        assert_eq!((ages.filling(), ages.next_to_fill(Turn::Stay)), (6, 0));
    }
}
