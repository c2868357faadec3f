//! Targets that come and go.
use super::*;

const EVENTS: u64 = 0x8000;

impl Bench {
    fn give_event_buffers(&mut self, count: u64) {
        for index in 0..count {
            self.board.give(EVENT, &[], &[(Gpa(EVENTS + index * 16), 16)], Form::Direct);
        }
    }
    /// The next event: kind, target and reason.
    fn event(&mut self, index: u64) -> (u32, u8, u32) {
        let (_, written) = self.board.used(EVENT).expect("an event");
        assert_eq!(written, 16);
        let raw = self.board.peek(EVENTS + index * 16, 16);
        let number = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        assert_eq!(raw[6..12], [if number(0) & 0xff == 0 { 0 } else { 0x40 }, 0, 0, 0, 0, 0]);
        (number(0), raw[5], number(12))
    }
}

#[test]
fn a_target_comes_and_goes() {
    for kind in KINDS {
        let mut bench = Bench::ready(kind);
        bench.give_event_buffers(4);
        let disk = MemoryDisk::new(8 * 512);
        let function = Arc::clone(&bench.board.function);
        function.lock().attach(5, unit(&disk)).unwrap();
        assert!(bench.board.interrupted());
        assert_eq!(bench.event(0), (1, 5, 1));
        assert_eq!(bench.command(5, &[0; 6], &[], &[]).status, 2, "power came on");
        assert_eq!(function.lock().attach(5, unit(&disk)), Err(TargetError::Taken(5)));
        assert_eq!(function.lock().attach(8, unit(&disk)), Err(TargetError::Beyond(8)));
        assert_eq!(function.lock().device().targets().collect::<Vec<_>>(), [3, 5]);
        disk.shape.lock().length = 16 * 512;
        function.lock().resized(5).unwrap();
        assert_eq!(bench.event(1), (3, 5, 0x092a));
        let answer = bench.command(5, &[0; 6], &[], &[]);
        assert_eq!((answer.sense[12], answer.sense[13]), (0x2a, 9));
        assert!(function.lock().detach(5).is_ok());
        assert_eq!(bench.event(2), (1, 5, 2));
        assert_eq!(bench.command(5, &[0; 6], &[], &[]).response, 3);
        assert_eq!(function.lock().detach(5).err(), Some(TargetError::Missing(5)));
        assert_eq!(function.lock().resized(5), Err(TargetError::Missing(5)));
    }
}

#[test]
fn a_busy_target_goes() {
    let mut bench = Bench::ready(SPLIT);
    bench.disk.bytes.lock().fill(5);
    bench.send(0, address(3, 0), &read_10(0, 1), &[], &[(Gpa(DATA), 512)]);
    assert!(bench.board.function.lock().detach(3).is_ok());
    assert_eq!(bench.answer(0).response, 3);
    bench.board.poke(DATA, &[0; 512]);
    bench.disk.pump();
    assert_eq!(bench.board.used(REQUEST), None);
    assert_eq!(bench.data(512), [0; 512]);
}

#[test]
fn events_wait_for_buffers_and_too_many_are_lost() {
    let mut bench = Bench::ready(SPLIT);
    let function = Arc::clone(&bench.board.function);
    for _ in 0..33 {
        let unit = function.lock().detach(3).unwrap();
        function.lock().attach(3, unit).unwrap();
    }
    assert_eq!(bench.board.used(EVENT), None);
    bench.give_event_buffers(1);
    assert_eq!(bench.event(0), (1 << 31 | 1, 3, 2), "some were lost");
    for expected in (0..63).map(|index| [1, 2][index % 2]) {
        bench.give_event_buffers(1);
        assert_eq!(bench.event(0), (1, 3, expected));
    }
    bench.give_event_buffers(1);
    assert_eq!(bench.board.used(EVENT), None);
}

#[test]
fn a_driver_that_cannot_be_told_is_not() {
    let mut bench = Bench::ready(SPLIT);
    bench.board.start(SPLIT, 0);
    bench.give_event_buffers(1);
    let unit = bench.board.function.lock().detach(3).unwrap();
    bench.board.function.lock().attach(3, unit).unwrap();
    bench.board.function.lock().resized(3).unwrap();
    assert_eq!(bench.board.used(EVENT), None);
}

#[test]
fn an_event_buffer_that_is_too_small_stops_the_device() {
    let mut bench = Bench::ready(SPLIT);
    bench.board.give(EVENT, &[], &[(Gpa(EVENTS), 15)], Form::Direct);
    let unit = bench.board.function.lock().detach(3).unwrap();
    drop(unit);
    assert_eq!(bench.board.read(0x14, 1), 0x4f);
}
