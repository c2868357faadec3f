use super::super::gauge::Turn;
use super::super::marks::Packed;
use super::*;

const MODE: CodeMode = CodeMode {
    user: true,
    vectors: true,
    syscall: true,
    time_stamp: true,
    bases: false,
    windows: false,
    legacy: None,
    settled: false,
};

fn mark(host: u16, guest: i16) -> Mark {
    Mark { host, guest, flags: FlagPlace::Eflags, pointers: Pointers::Guest }
}

const LINK: u64 = 20;

fn add(blocks: &mut Blocks, gpa: u64, host: u64) -> BlockId {
    let key = Key { gpa, page: ANY_PAGE, space: 0, mode: MODE };
    let entries = Entries { attention: Some(4), linked: 8, body: 8, end: 40 };
    let block = Block { key, entries, sources: Sources::new(gpa, 16), instructions: 2 };
    let link = Link { place: LINK as u16, stub: 30, target: 0, backward: false };
    let mut marks = Packed::default();
    marks.begin((gpa & PAGE_OFFSET) as i16);
    [mark(8, 0), mark(12, 3)].into_iter().for_each(|mark| marks.note(mark));
    let made = Made { block, code: &[], fixups: &[], marks: marks.bytes(), links: &[link] };
    blocks.add(&made, host)
}

fn link(blocks: &mut Blocks, from: BlockId, to: BlockId) -> Option<Patch> {
    let (index, _) = blocks.link_at(from, blocks.checked(from) + LINK).unwrap();
    blocks.link(from, index, to)
}

#[test]
fn a_write_kills_what_it_hits_and_unlinks_it() {
    let mut blocks = Blocks::with_room_for(1 << 16).unwrap();
    let first = add(&mut blocks, 0x1000, 0x8000);
    let second = add(&mut blocks, 0x1100, 0x8040);
    assert!(blocks.has_code(1) && !blocks.has_code(2));
    assert_eq!(link(&mut blocks, first, second), Some((0x8014, 0x8048)));
    assert!(blocks.hit_by_write(0x10f8, 8, &mut Vec::new()).is_empty());
    assert_eq!(blocks.hit_by_write(0x10f9, 8, &mut Vec::new()), [second]);
    let (mut patches, mut bare) = (Vec::new(), Vec::new());
    blocks.kill(second, &mut patches, &mut bare);
    assert_eq!(patches, [(0x8014, 0x801e)]);
    assert_eq!(link(&mut blocks, first, second), None);
    assert!(bare.is_empty());
    assert!(blocks.find(&Key { gpa: 0x1100, page: ANY_PAGE, space: 0, mode: MODE }).is_none());
    blocks.kill(first, &mut patches, &mut bare);
    assert_eq!(bare, [1]);
}

#[test]
fn host_addresses_lead_back_to_guest_instructions() {
    let mut blocks = Blocks::with_room_for(1 << 16).unwrap();
    let first = add(&mut blocks, 0x1000, 0x8000);
    let second = add(&mut blocks, 0x2000, 0x8040);
    assert_eq!(blocks.at(0x8027), Some(first));
    assert_eq!(blocks.at(0x8040), Some(second));
    assert_eq!(blocks.at(0x8068), None);
    assert_eq!(blocks.at(0x7fff), None);
    let far = add(&mut blocks, 0x3000, 0x8500);
    assert_eq!(
        [0x84ff, 0x8500, 0x8527, 0x8528].map(|host| blocks.at(host)),
        [None, Some(far), Some(far), None]
    );
    assert_eq!(blocks.at(0x8067), Some(second));
    assert_eq!(blocks.mark_at(first, 0x800b).guest, 0);
    assert_eq!(blocks.mark_at(first, 0x800c).guest, 3);
    assert!(blocks.link_at(second, 0x8054).is_some() && blocks.link_at(second, 0x8055).is_none());
}

#[test]
fn data_beside_code_becomes_fast_again() {
    let mut blocks = Blocks::with_room_for(1 << 16).unwrap();
    let only = add(&mut blocks, 0x1000, 0x8000);
    let kills = (0..100).find(|_| blocks.hit_by_write(0x1800, 8, &mut Vec::new()) == [only]);
    assert_eq!(kills, Some(MISSED_WRITES as i32));
}

fn evict(blocks: &mut Blocks, patches: &mut Vec<Patch>, bare: &mut Vec<u64>) -> usize {
    let segment = blocks.ages().next_to_fill(Turn::Grow);
    assert_eq!(blocks.retire(segment, 0, patches, bare), None);
    blocks.fill(segment);
    segment
}

#[test]
fn a_segment_goes_and_others_are_unlinked_from_it() {
    let mut blocks = Blocks::with_room_for(1 << 16).unwrap();
    let (mut patches, mut bare) = (Vec::new(), Vec::new());
    let old = add(&mut blocks, 0x1000, 0x8000);
    let twin = add(&mut blocks, 0x1100, 0x8040);
    assert_eq!(evict(&mut blocks, &mut patches, &mut bare), 1);
    let new = add(&mut blocks, 0x2000, 0x9000);
    let other = add(&mut blocks, 0x2100, 0x9040);
    assert_eq!([0x8001, 0x9041].map(|host| blocks.at(host)), [Some(old), Some(other)]);
    for (from, to) in [(old, new), (twin, new), (other, new), (new, old)] {
        assert!(link(&mut blocks, from, to).is_some());
    }
    for segment in 2..SEGMENTS {
        assert_eq!(evict(&mut blocks, &mut patches, &mut bare), segment);
    }
    assert!(patches.is_empty());
    assert_eq!(blocks.ages().next_to_fill(Turn::Grow), 0);
    assert_eq!(blocks.retire(0, 0, &mut patches, &mut bare), None);
    // Who runs one of them still learns what it runs.
    assert_eq!((blocks.at(0x8001), blocks.is_alive(old), blocks.is_alive(new)), (Some(old), false, true));
    assert_eq!((link(&mut blocks, new, old), link(&mut blocks, old, new)), (None, None));
    blocks.fill(0);
    assert_eq!(patches, [(0x9014, 0x901e)]);
    assert!(bare.is_empty() && blocks.hit_by_write(0x1800, 1, &mut bare).is_empty());
    assert!(bare == [1] && !blocks.has_code(1));
    assert_eq!((blocks.at(0x8001), blocks.at(0x9001), blocks.count()), (None, Some(new), 2));
    patches.clear();
    blocks.kill(new, &mut patches, &mut bare);
    assert_eq!(patches, [(0x9054, 0x905e)]);
}

#[test]
fn a_segment_is_given_back_and_comes_again() {
    let mut blocks = Blocks::with_room_for(1 << 16).unwrap();
    let (mut patches, mut bare) = (Vec::new(), Vec::new());
    let old = add(&mut blocks, 0x1000, 0x8000);
    evict(&mut blocks, &mut patches, &mut bare);
    let new = add(&mut blocks, 0x2000, 0x9000);
    assert!(link(&mut blocks, new, old).is_some());
    assert_eq!(blocks.retire(0, 0, &mut patches, &mut bare), None);
    blocks.give_back(0);
    assert_eq!((patches.len(), blocks.at(0x8001), blocks.count()), (1, None, 1));
    assert_eq!(evict(&mut blocks, &mut patches, &mut bare), 0);
    let again = add(&mut blocks, 0x1000, 0x8000);
    assert_eq!((blocks.at(0x8001), blocks.is_alive(again), blocks.count()), (Some(again), true, 2));
}
