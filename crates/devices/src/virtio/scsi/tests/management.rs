//! Task management and the rest of the control queue.
use super::*;

const CONTROL_REQUEST: u64 = 0x3000;
const CONTROL_ANSWER: u64 = 0x3800;

impl Bench {
    fn control(&mut self, request: &[u8], room: u32) -> (u32, Vec<u8>) {
        self.board.poke(CONTROL_REQUEST, request);
        self.board.poke(CONTROL_ANSWER, &[0xee; 8]);
        let readable = [(Gpa(CONTROL_REQUEST), request.len() as u32)];
        self.board.give(CONTROL, &readable, &[(Gpa(CONTROL_ANSWER), room)], Form::Direct);
        let (_, written) = self.board.used(CONTROL).expect("an answer");
        (written, self.board.peek(CONTROL_ANSWER, written as usize))
    }
    fn manage(&mut self, kind: u32, to: [u8; 8], tag: u64) -> u8 {
        let request = [&[0; 4][..], &kind.to_le_bytes(), &to, &tag.to_le_bytes()].concat();
        let (written, answer) = self.control(&request, 1);
        assert_eq!(written, 1);
        answer[0]
    }
    /// Two reads that the disk has not done.
    fn busy() -> Self {
        let mut bench = Self::ready(SPLIT);
        bench.disk.bytes.lock().fill(5);
        for slot in 0..2 {
            bench.send(slot, address(3, 0), &read_10(0, 1), &[], &[(Gpa(DATA + slot * 512), 512)]);
        }
        bench
    }
    fn nothing_comes_later(&mut self) {
        self.board.poke(DATA, &[0; 1024]);
        self.disk.pump();
        assert_eq!(self.board.used(REQUEST), None);
        assert_eq!(self.data(1024), [0; 1024]);
    }
}

#[test]
fn one_command_is_given_up() {
    let mut bench = Bench::busy();
    assert_eq!(bench.manage(6, address(3, 0), 1), 10, "it is there");
    assert_eq!(bench.manage(6, address(3, 0), 7), 0);
    assert_eq!(bench.manage(0, address(3, 0), 7), 0, "nothing to give up");
    assert_eq!(bench.board.used(REQUEST), None);
    assert_eq!(bench.manage(0, address(3, 0), 1), 0);
    assert_eq!(bench.answer(1).response, 2);
    assert_eq!(bench.manage(6, address(3, 0), 1), 0);
    assert_eq!(bench.manage(6, address(3, 0), 0), 10, "the other one goes on");
    bench.disk.pump();
    assert_eq!(bench.answer(0).response, 0);
    assert_eq!(bench.board.used(REQUEST), None);
}

#[test]
fn all_commands_are_given_up() {
    for (kind, response) in [(1, 2), (3, 2), (4, 4), (5, 4)] {
        let mut bench = Bench::busy();
        assert_eq!(bench.manage(7, address(3, 0), 0), 10);
        assert_eq!(bench.manage(kind, address(3, 0), 0), 0);
        assert_eq!((bench.answer(0).response, bench.answer(1).response), (response, response), "{kind}");
        bench.nothing_comes_later();
        assert_eq!(bench.manage(7, address(3, 0), 0), 0);
        let status = bench.command(3, &[0; 6], &[], &[]).status;
        assert_eq!(status, if response == 4 { 2 } else { 0 }, "after a reset the unit tells");
    }
}

#[test]
fn what_cannot_be_managed() {
    let mut bench = Bench::new(SPLIT);
    assert_eq!(bench.manage(5, address(2, 0), 0), 3, "no target");
    assert_eq!(bench.manage(5, [0; 8], 0), 3);
    assert_eq!(bench.manage(5, address(3, 1), 0), 12, "no unit");
    assert_eq!(bench.manage(4, address(3, 1), 0), 0, "but its target");
    assert_eq!(bench.manage(2, address(3, 0), 0), 11);
    assert_eq!(bench.manage(99, address(3, 0), 0), 11);
}

#[test]
fn there_are_no_notifications() {
    let mut bench = Bench::new(SPLIT);
    for kind in [1, 2] {
        let request = [&[kind, 0, 0, 0][..], &address(3, 0), &[0xff; 4]].concat();
        assert_eq!(bench.control(&request, 5), (5, vec![0; 5]));
    }
    assert_eq!(bench.control(&[9, 0, 0, 0], 5).0, 0, "no such request");
}

#[test]
fn finished_tasks_are_forgotten() {
    let mut bench = Bench::ready(SPLIT);
    for _ in 0..1000 {
        bench.command(3, &read_10(0, 1), &[], &[(Gpa(DATA), 512)]);
    }
    assert_eq!(bench.manage(7, address(3, 0), 0), 0);
    let mut function = bench.board.function.lock();
    assert!(function.device().tasks.remove(3, None).len() <= 64);
}
