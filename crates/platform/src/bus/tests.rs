use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::{Device, SavedError, SavedState};

/// Reads as the offset of each byte plus 16 times the region; remembers writes.
#[derive(Default)]
struct Echo(Vec<(u16, u64, Vec<u8>)>);

impl Device for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }
    fn reset(&mut self) {}
    fn read(&mut self, region: Region, offset: u64, data: &mut [u8]) {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = (u64::from(region.0) * 16 + offset + index as u64) as u8;
        }
    }
    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        self.0.push((region.0, offset, data.to_vec()));
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}

fn echo() -> Arc<Mutex<Echo>> {
    Arc::default()
}

#[test]
fn nobody_reads_all_ones() {
    let bus = Bus::of_ports();
    let mut data = [0; 4];
    bus.read(0x80, &mut data);
    assert_eq!(data, [0xff; 4]);
    bus.write(0x80, &data);
}

#[test]
fn overlaps_are_refused_whichever_way_they_lie() {
    let bus = Bus::of_ports();
    bus.add(0x40, 4, Region(0), echo()).unwrap();
    for (first, length) in [(0x40, 4), (0x3f, 2), (0x43, 1), (0x41, 2), (0x3e, 0x10)] {
        let refused = bus.add(first, length, Region(0), echo());
        assert!(matches!(refused, Err(BusError::Overlap { other: 0x40, .. })), "{first:#x}");
    }
    bus.add(0x3f, 1, Region(0), echo()).unwrap();
    bus.add(0x44, 1, Region(0), echo()).unwrap();
}

#[test]
fn ranges_end_where_the_bus_ends() {
    let bus = Bus::of_ports();
    assert!(matches!(bus.add(0xffff, 2, Region(0), echo()), Err(BusError::OutOfRange { .. })));
    assert!(matches!(bus.add(0x10, 0, Region(0), echo()), Err(BusError::OutOfRange { .. })));
    let memory = Bus::of_memory();
    assert!(matches!(memory.add(u64::MAX, 2, Region(0), echo()), Err(BusError::OutOfRange { .. })));
    memory.add(u64::MAX, 1, Region(0), echo()).unwrap();
    let mut data = [0; 8];
    memory.read(u64::MAX, &mut data);
    assert_eq!(data, [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn an_access_across_ranges_is_split() {
    let (left, right) = (echo(), echo());
    let bus = Bus::of_ports();
    bus.add(0x60, 1, Region(1), left.clone()).unwrap();
    bus.add(0x62, 2, Region(2), right.clone()).unwrap();
    let mut data = [0; 4];
    bus.read(0x60, &mut data);
    assert_eq!(data, [0x10, 0xff, 0x20, 0x21]);
    bus.write(0x60, &[1, 2, 3, 4]);
    assert_eq!(left.lock().0, [(1, 0, vec![1])]);
    assert_eq!(right.lock().0, [(2, 0, vec![3, 4])]);
}

#[test]
fn ranges_move_and_go() {
    let bus = Bus::of_memory();
    bus.add(0xc000_0000, 0x1000, Region(3), echo()).unwrap();
    bus.add(0xd000_0000, 0x1000, Region(4), echo()).unwrap();
    assert!(matches!(bus.relocate(0xc000_0000, 0xd000_0800), Err(BusError::Overlap { .. })));
    bus.relocate(0xc000_0000, 0xc000_0800).unwrap();
    let mut byte = [0];
    bus.read(0xc000_0801, &mut byte);
    assert_eq!(byte, [0x31]);
    bus.read(0xc000_0001, &mut byte);
    assert_eq!(byte, [0xff]);
    bus.remove(0xc000_0800).unwrap();
    assert_eq!(bus.remove(0xc000_0800), Err(BusError::NotThere(0xc000_0800)));
    bus.read(0xc000_0801, &mut byte);
    assert_eq!(byte, [0xff]);
}

/// Removes its own range when written to.
struct Suicidal(Arc<Bus>);

impl Device for Suicidal {
    fn name(&self) -> &'static str {
        "suicidal"
    }
    fn reset(&mut self) {}
    fn write(&mut self, _region: Region, _offset: u64, _data: &[u8]) {
        self.0.remove(0x10).unwrap();
    }
    fn save(&self) -> SavedState {
        SavedState::empty()
    }
    fn restore(&mut self, _saved: &SavedState) -> Result<(), SavedError> {
        Ok(())
    }
}

#[test]
fn a_device_may_change_the_map_from_inside_an_access() {
    let bus = Arc::new(Bus::of_ports());
    bus.add(0x10, 1, Region(0), Arc::new(Mutex::new(Suicidal(Arc::clone(&bus))))).unwrap();
    bus.write(0x10, &[0]);
    assert_eq!(bus.remove(0x10), Err(BusError::NotThere(0x10)));
}
