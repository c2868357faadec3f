use std::sync::Arc;

use platform::DiskPort;

use super::*;
use crate::memory_disk::MemoryDisk;

fn drive(length: u64) -> (Drive, Arc<MemoryDisk>) {
    let disk = MemoryDisk::new(4096);
    disk.shape.lock().length = length;
    let port: Arc<dyn DiskPort> = Arc::<MemoryDisk>::clone(&disk);
    let text = |text: &str| text.to_owned();
    let identity = Identity { model: text("Ä MODEL"), firmware: text("123456789"), serial: text("") };
    (Drive::new(identity, port), disk)
}

fn identify(drive: &mut Drive) -> Vec<u16> {
    let task = Task { command: op::IDENTIFY, ..Task::default() };
    let Ok(Step::Data(bytes)) = drive.execute(&task, &[]) else { panic!("no data") };
    bytes.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word)).collect()
}

#[test]
fn large_disks_have_the_largest_old_sizes() {
    let words = identify(&mut drive(1 << 50).0);
    assert_eq!((words[1], words[3], words[6]), (16383, 16, 63));
    assert_eq!((words[60], words[61]), (0xffff, 0x0fff));
    assert_eq!(words[100..104], [0, 0, 0x200, 0]);
}

#[test]
fn text_is_printable_and_cut_off() {
    let words = identify(&mut drive(4096).0);
    assert_eq!(words[23..27], [0x3132, 0x3334, 0x3536, 0x3738]);
    assert_eq!((words[10], words[27], words[28]), (0x2020, 0x3f3f, 0x204d));
}

#[test]
fn disks_that_free_nothing_do_not_trim() {
    let (mut drive, disk) = drive(4096);
    disk.shape.lock().discard_unit = None;
    disk.shape.lock().physical_block = 512;
    let words = identify(&mut drive);
    assert_eq!((words[69], words[105], words[169], words[106]), (0, 0, 0, 0x4000));
}

#[test]
fn settings_are_saved_and_survive_the_link() {
    let (mut drive, _disk) = self::drive(4096);
    let features = u16::from(0x82_u8);
    assert!(drive.execute(&Task { command: op::SET_FEATURES, features, ..Task::default() }, &[]).is_ok());
    assert!(drive.execute(&Task { command: op::SET_MULTIPLE, count: 8, ..Task::default() }, &[]).is_ok());
    drive.link_reset();
    let (mut other, _disk) = self::drive(4096);
    other.restore(drive.save()).unwrap();
    let words = identify(&mut other);
    assert_eq!((words[85] & 0x20, words[59]), (0, 0x0108));
    other.reset();
    let words = identify(&mut other);
    assert_eq!((words[85] & 0x20, words[59]), (0x20, 0));
}

#[test]
fn the_sector_before_the_first_is_not_there() {
    let (mut drive, _disk) = drive(4096);
    let task = Task { command: op::READ_DMA, count: 1, ..Task::default() };
    assert!(matches!(drive.execute(&task, &[]), Err(failure) if failure.error == error::NO_SECTOR));
}
