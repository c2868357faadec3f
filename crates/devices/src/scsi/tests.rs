use std::sync::Arc;

use parking_lot::Mutex;
use platform::{Buffers, DiskPort};

use super::*;
use crate::memory_disk::MemoryDisk;

mod cdrom;
mod disk;

fn identity() -> Identity {
    let text = |text: &str| text.to_owned();
    Identity {
        vendor: text("GASANG"),
        product: text("HARDDISK"),
        revision: text("1.0"),
        serial: text("S123"),
    }
}

/// A unit and its disk, driven as a carrier of commands does.
struct Bench {
    unit: Unit,
    disk: Arc<MemoryDisk>,
}

impl Bench {
    fn disk(length: u64) -> Self {
        let disk = MemoryDisk::new(length);
        let port: Arc<dyn DiskPort> = Arc::<MemoryDisk>::clone(&disk);
        Self { unit: Unit::disk(identity(), port), disk }.greeted()
    }
    fn cdrom(length: u64) -> Self {
        let disk = MemoryDisk::new(length);
        let port: Arc<dyn DiskPort> = Arc::<MemoryDisk>::clone(&disk);
        Self { unit: Unit::cdrom(identity(), Some(port)), disk }.greeted()
    }
    /// After the attention of power-on.
    fn greeted(mut self) -> Self {
        assert_eq!(self.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x29, 0)));
        self
    }
    /// Carries a command; returns its outcome, with what was read.
    fn send(&mut self, cdb: &[u8], data_out: &[u8]) -> Outcome {
        let buffers = Buffers::of_bytes(data_out.to_vec());
        let step = self.unit.execute(&Command { cdb, data_out: buffers.all() });
        let transfer = match step {
            Step::Done(outcome) => return outcome,
            Step::Transfer(transfer) => transfer,
        };
        let came = Arc::new(Mutex::new(None));
        let done: Done = {
            let came = Arc::clone(&came);
            Box::new(move |outcome| *came.lock() = Some(outcome))
        };
        let ram = platform::GuestRam::new(64 << 20).unwrap();
        let (buffers, read) = match transfer.data() {
            Data::None => (Buffers::none(), 0),
            Data::In(bytes) => (Buffers::of_ram(&ram, [(x86::Gpa(0), bytes)]).unwrap(), bytes),
            Data::Out(bytes) => {
                assert_eq!(bytes as usize, data_out.len());
                (buffers, 0)
            }
        };
        transfer.start(buffers, done).unwrap();
        assert!(came.lock().is_none(), "an answer inside the call");
        self.disk.pump();
        let mut outcome = came.lock().take().unwrap();
        if outcome.is_good() && read > 0 {
            outcome.data_in = vec![0; read as usize];
            ram.read(x86::Gpa(0), &mut outcome.data_in).unwrap();
        }
        outcome
    }
    fn reads(&mut self, cdb: &[u8]) -> Vec<u8> {
        let outcome = self.send(cdb, &[]);
        assert!(outcome.is_good(), "{outcome:?}");
        outcome.data_in
    }
    fn writes(&mut self, cdb: &[u8], data: &[u8]) {
        let outcome = self.send(cdb, data);
        assert!(outcome.is_good(), "{outcome:?}");
    }
    /// Key and code of a command that fails.
    fn fails(&mut self, cdb: &[u8]) -> (u8, (u8, u8)) {
        self.fails_with(cdb, &[])
    }
    fn fails_with(&mut self, cdb: &[u8], data: &[u8]) -> (u8, (u8, u8)) {
        let outcome = self.send(cdb, data);
        assert_eq!(outcome.status, status::CHECK_CONDITION);
        let sense = outcome.sense.unwrap();
        (sense.key, sense.code)
    }
}

#[test]
fn sense_data_has_two_forms() {
    let sense =
        Sense { information: Some(0x1_0203), field: Some(5), ..Sense::new(key::ILLEGAL_REQUEST, (0x24, 1)) };
    let fixed = sense.bytes();
    assert_eq!(fixed, [0xf0, 0, 5, 0, 1, 2, 3, 10, 0, 0, 0, 0, 0x24, 1, 0, 0xc0, 0, 5]);
    let wide = Sense { as_descriptors: true, ..sense }.bytes();
    assert_eq!(wide[..8], [0x72, 5, 0x24, 1, 0, 0, 0, 20]);
    assert_eq!(wide[8..20], [0, 10, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    assert_eq!(wide[20..], [2, 6, 0, 0, 0xc0, 0, 5, 0]);
    // A block beyond 32 bits does not fit into the fixed form.
    assert_eq!(Sense { information: Some(1 << 32), ..sense }.bytes()[0], 0x70);
}

#[test]
fn request_sense_tells_what_was_kept_then_what_waits() {
    let mut bench = Bench::disk(1 << 20);
    let request = [3, 0, 0, 0, 18, 0];
    assert_eq!(bench.reads(&request)[2], 0);
    bench.unit.keep_sense(Sense::out_of_range(9));
    bench.unit.capacity_changed();
    bench.unit.luns_changed();
    assert_eq!(bench.reads(&request)[12], 0x21);
    assert_eq!(bench.reads(&request)[12..14], [0x2a, 9]);
    assert_eq!(bench.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x3f, 0x0e)));
    bench.reads(&[0; 6]);
    // Any other command throws away what was kept.
    bench.unit.keep_sense(Sense::out_of_range(9));
    bench.reads(&[0; 6]);
    assert_eq!(bench.reads(&[3, 1, 0, 0, 4, 0]), [0x72, 0, 0, 0]);
}

#[test]
fn inquiry_works_while_attentions_wait() {
    let disk = MemoryDisk::new(1 << 20);
    let mut bench = Bench { unit: Unit::disk(identity(), Arc::<MemoryDisk>::clone(&disk) as _), disk };
    let answer = bench.reads(&[0x12, 0, 0, 0, 96, 0]);
    assert_eq!((answer.len(), answer[0], answer[4]), (96, 0, 91));
    assert_eq!(&answer[8..36], b"GASANG  HARDDISK        1.0 ");
    assert_eq!(bench.reads(&[0x12, 0, 0, 0, 5, 0]).len(), 5);
    assert_eq!(
        bench.reads(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]),
        [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(bench.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x29, 0)));
}

#[test]
fn units_that_are_not_there_say_so() {
    let inquiry = no_unit(&[0x12, 0, 0, 0, 36, 0], &[0]);
    assert_eq!((inquiry.data_in[0], inquiry.data_in.len()), (0x7f, 36));
    assert_eq!(no_unit(&[0; 6], &[0]).sense.unwrap().code, (0x25, 0));
    let luns = report_luns(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], &[0, 7, 300]).unwrap().data_in;
    assert_eq!((luns[3], luns.len()), (24, 32));
    assert_eq!((&luns[16..18], &luns[24..26]), (&[0, 7][..], &[0x41, 0x2c][..]));
    assert!(report_luns(&[0; 6], &[0]).is_none());
}

#[test]
fn wrong_commands_are_refused() {
    let mut bench = Bench::disk(1 << 20);
    for cdb in [&[][..], &[0xff; 16], &[0x28, 0], &[0x7f; 32], &[0x60; 16]] {
        assert_eq!(bench.fails(cdb), (key::ILLEGAL_REQUEST, (0x20, 0)), "{cdb:x?}");
    }
    assert_eq!(bench.fails(&[0x12, 1, 0xee, 0, 255, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
    assert_eq!(bench.fails(&[0x12, 0, 1, 0, 255, 0]), (key::ILLEGAL_REQUEST, (0x24, 0)));
}

#[test]
fn state_is_saved() {
    let mut bench = Bench::disk(1 << 20);
    bench.unit.capacity_changed();
    let saved = bench.unit.save();
    let mut other = Bench::disk(1 << 20);
    other.unit.restore(saved).unwrap();
    assert_eq!(other.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x2a, 9)));
    other.unit.reset();
    assert_eq!(other.fails(&[0; 6]), (key::UNIT_ATTENTION, (0x29, 0)));
}

/// Any command block of any length, with any data, has an outcome.
#[test]
fn any_command_is_harmless() {
    let mut seed = 0x1234_5678_9abc_def0_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for mut bench in [Bench::disk(1 << 20), Bench::cdrom(1 << 20)] {
        for _ in 0..20_000 {
            let mut cdb: Vec<u8> = (0..random() % 18).map(|_| random() as u8).collect();
            // Small numbers reach further.
            for byte in cdb.iter_mut().skip(1) {
                *byte &= if random() % 2 == 0 { 0 } else { 0xff };
            }
            let data: Vec<u8> = (0..random() % 600).map(|_| random() as u8).collect();
            let data = Buffers::of_bytes(data);
            let step = bench.unit.execute(&Command { cdb: &cdb, data_out: data.all() });
            if let Step::Transfer(transfer) = step {
                let buffers = match transfer.data() {
                    Data::None => Buffers::none(),
                    Data::In(bytes) | Data::Out(bytes) => Buffers::of_bytes(vec![0; bytes as usize]),
                };
                transfer.start(buffers, Box::new(|_| {})).unwrap();
                bench.disk.pump();
            }
        }
    }
}
