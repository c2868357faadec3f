use std::sync::atomic::AtomicBool;

use platform::ram::watch::Serve;
use platform::resident::Resident;

use super::super::block::{ANY_PAGE, Block, CodeMode, Entries, Link, Sources};
use super::super::marks::Packed;
use super::*;

#[derive(Default)]
struct Nothing;

impl Attention for Nothing {
    fn raise(&self) {}
}

impl Serve for Nothing {
    fn protect(&mut self, _: u64) {}
    fn protect_all(&mut self) {}
    fn forget(&mut self, _: u32) {}
}

const MODE: CodeMode = CodeMode {
    user: true,
    vectors: true,
    syscall: true,
    time_stamp: true,
    bases: true,
    windows: true,
    legacy: None,
    settled: false,
};
/// Where the code of a test has a jump, and where that leads while it is not linked.
const JUMP: u16 = 17;
const STUB: u16 = 32;
const CODE_BYTES: usize = 64;

fn key(gpa: u64) -> Key {
    Key { gpa, page: ANY_PAGE, space: 0, mode: MODE }
}

/// Adds a block of 16 bytes of the guest's code with a jump to `target` in its page.
fn add_if(code: &CodeCache, gpa: u64, target: i64, holds: bool) -> Added {
    add_when(code, gpa, target, None, holds)
}

/// The same, to which a jump leads.
fn add_from(code: &CodeCache, gpa: u64, target: i64, from: Option<u64>) -> Added {
    add_when(code, gpa, target, from, true)
}

fn add_when(code: &CodeCache, gpa: u64, target: i64, from: Option<u64>, holds: bool) -> Added {
    let entries = Entries { attention: Some(4), linked: 8, body: 8, end: CODE_BYTES as u32 };
    let block = Block { key: key(gpa), entries, sources: Sources::new(gpa, 16), instructions: 1 };
    let mut host = [0x90; CODE_BYTES];
    host[usize::from(JUMP) - 1] = 0xe9;
    let link = Link { place: JUMP - 1, stub: STUB, target, backward: false };
    let mut marks = Packed::default();
    marks.begin((gpa & PAGE_OFFSET) as i16);
    let made = Made { block, code: &host, fixups: &[], marks: marks.bytes(), links: &[link] };
    code.add(&made, from, || holds)
}

fn find(code: &CodeCache, gpa: u64) -> Option<Place> {
    code.find(&key(gpa), &mut Finder::default())
}

fn add(code: &CodeCache, gpa: u64, target: i64) -> Place {
    match add_if(code, gpa, target, true) {
        Added::Kept(place) => place,
        Added::Full | Added::Stale => panic!("not added"),
    }
}

fn code() -> (GuestRam, CodeCache) {
    let ram = GuestRam::new(4 << 20).unwrap();
    let code = CodeCache::new(&ram, 1 << 20).unwrap();
    (ram, code)
}

#[test]
fn a_block_is_added_once_and_only_while_memory_holds_it() {
    let (_ram, code) = code();
    assert!(matches!(add_if(&code, 0x1000, 0, false), Added::Stale));
    assert!(find(&code, 0x1000).is_none());
    let first = add(&code, 0x1000, 0);
    assert_eq!(add(&code, 0x1000, 0).checked, first.checked);
    assert_eq!((find(&code, 0x1000).unwrap().body, code.size().0), (first.body, 1));
    assert_eq!(code.written(0x100f, 1), 1);
    assert!(find(&code, 0x1000).is_none());
    // Whoever runs it learns what it runs.
    assert_eq!(code.spot(first.body).unwrap().key, key(0x1000));
    assert_ne!(add(&code, 0x1000, 0).checked, first.checked);
}

#[test]
fn jumps_in_a_page_are_linked_at_once() {
    let (_ram, code) = code();
    let (from, to) = (add(&code, 0x1000, 0x80), add(&code, 0x1080, 0x900));
    let place = from.checked + u64::from(JUMP) - 1;
    let jump = code.jump_at(place).unwrap();
    assert_eq!((jump.key, jump.target, jump.body), (key(0x1000), 0x80, Some(to.body)));
    let unknown = code.jump_at(to.checked + u64::from(JUMP) - 1).unwrap();
    assert_eq!((unknown.target, unknown.body), (0x900, None));
    assert!(code.jump_at(place + 1).is_none());
}

#[test]
#[expect(unsafe_code, reason = "looks at the code that is executed")]
fn a_block_is_linked_as_it_is_added() {
    let (_ram, code) = code();
    let from = add(&code, 0x1000, 0x80);
    let place = from.checked + u64::from(JUMP) - 1;
    assert_eq!(code.jump_at(place).unwrap().body, None);
    let jump = |from: &Place| {
        // SAFETY: the executable mapping of a code buffer, inside a block of it.
        unsafe { ((from.checked + u64::from(JUMP) - 1) as *const i32).read_unaligned() }
    };
    let unlinked = jump(&from);
    let to = match add_from(&code, 0x1080, 0, Some(place)) {
        Added::Kept(to) => to,
        Added::Full | Added::Stale => panic!("not added"),
    };
    assert_ne!(jump(&from), unlinked);
    assert_eq!(place.wrapping_add(4).wrapping_add_signed(i64::from(jump(&from))), to.checked + 8);
}

/// One thread looks while another one kills, adds and evicts: whatever is found is what was asked for.
#[test]
fn blocks_are_found_while_others_come_and_go() {
    const BLOCKS: u64 = 500;
    let (_ram, code) = code();
    let (done, looking) = (AtomicBool::new(false), RwLock::new(()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..40_000_u64 {
                let gpa = round * 7 % BLOCKS * 32;
                match round % 3 {
                    0 => drop(code.written(gpa, 1)),
                    _ if matches!(add_if(&code, gpa, 0, true), Added::Full) => {
                        let gone = code.retire(CODE_BYTES);
                        // Until nobody looks there.
                        drop(looking.write());
                        code.fill(gone);
                    }
                    _ => {}
                }
            }
            done.store(true, Ordering::Release);
        });
        let (mut finder, mut found) = (Finder::default(), 0_u64);
        while !done.load(Ordering::Acquire) {
            let _inside = looking.read();
            for number in 0..BLOCKS {
                let Some(place) = code.find(&key(number * 32), &mut finder) else { continue };
                assert_eq!(code.spot(place.body).unwrap().key, key(number * 32));
                found += 1;
            }
        }
        assert!(found > 0);
    });
}

#[test]
fn frames_without_code_are_unmarked() {
    let (ram, code) = code();
    let watcher = code.join(Arc::new(Nothing)).unwrap();
    watcher.mark(1, &mut Nothing);
    code.unmark_bare(1);
    assert!(!watcher.has_marked(1));
    watcher.mark(1, &mut Nothing);
    let place = add(&code, 0x1000, 0);
    code.unmark_bare(1);
    assert!(watcher.has_marked(1));
    code.kill(&place);
    assert!(!ram.watch().is_code(1));
}

#[test]
fn code_goes_when_there_is_no_room() {
    let (_ram, code) = code();
    let (mut added, mut gone) = (0_u64, Retired::Nothing);
    while gone == Retired::Nothing {
        match add_if(&code, added * 16, 0, true) {
            Added::Kept(_) => added += 1,
            Added::Full => {
                gone = code.retire(CODE_BYTES);
                assert!(gone.segments().is_power_of_two());
                if find(&code, 0).is_some() {
                    code.fill(gone);
                    gone = Retired::Nothing;
                }
            }
            Added::Stale => panic!("nothing was written"),
        }
    }
    // Those of the first segment have retired, but are where they were.
    assert_eq!((gone.segments(), code.size().0 as u64), (1, added));
    let first = code.ranges(gone.segments()).next().unwrap().start;
    assert_eq!(code.spot(first).unwrap().key, key(0));
    code.fill(gone);
    assert!(code.spot(first).is_none() && (code.size().0 as u64) < added);
    assert_eq!(code.retire(CODE_BYTES), Retired::Nothing);
    assert_eq!(add(&code, added * 16, 0).checked, first);
}

#[test]
fn when_all_was_written_nothing_is_added_until_all_has_gone() {
    let (ram, code) = code();
    let watcher = code.join(Arc::new(Nothing)).unwrap();
    add(&code, 0x1000, 0);
    ram.clear().unwrap();
    assert!(watcher.has_news());
    code.follow_news();
    assert!(code.is_closed() && find(&code, 0x1000).is_none());
    assert!(matches!(add_if(&code, 0x1000, 0, true), Added::Full));
    assert_eq!(code.retire(0), Retired::All);
    code.fill(Retired::All);
    assert!(!code.is_closed() && code.size().0 == 0);
    add(&code, 0x1000, 0);
}

#[test]
fn instructions_that_windows_do_not_serve_are_known_by_their_frame() {
    let (_ram, code) = code();
    add(&code, 0x5000, 0);
    let changes = code.site_changes();
    assert!(code.sites_in(5).is_none());
    assert_eq!((code.note_site(0x5004), code.note_site(0x5004)), (0, 1));
    assert!(code.site_changes() != changes && code.sites_in(6).is_none());
    assert!(code.sites_in(5).unwrap().within(0x5000, 16).eq([4]));
}

/// The process takes more than it may: code makes room for what has come, but for the least that it has.
#[test]
fn room_for_code_goes_by_the_process() {
    const MIB: usize = 1 << 20;
    let ram = GuestRam::new(16 << 20).unwrap();
    let now = Resident::open().unwrap().bytes().unwrap();
    let process = Some(now + 32 * MIB as u64);
    let code = CodeCache::new(&ram, CodeRoom { least: MIB, most: 4 * MIB, process }).unwrap();
    let mut added = 0;
    // Adds until so many segments were filled; the bytes in use then.
    let mut fill = |mut segments: u32| {
        while segments > 0 {
            match add_if(&code, added % (1 << 18) * 16, 0, true) {
                Added::Kept(_) => added += 1,
                Added::Full => {
                    code.fill(code.retire(CODE_BYTES));
                    segments -= 1;
                }
                Added::Stale => panic!("nothing was written"),
            }
        }
        code.size().1
    };
    assert!(fill(3 * SEGMENTS as u32) > 3 * MIB);
    let other = vec![1_u8; 64 * MIB];
    let less = fill(3 * SEGMENTS as u32);
    assert!((MIB..2 * MIB).contains(&less), "{less} bytes with {} others", other.len());
    drop(other);
    assert!(fill(3 * SEGMENTS as u32) > 3 * MIB);
}
