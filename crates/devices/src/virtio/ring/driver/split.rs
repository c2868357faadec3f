use std::collections::HashMap;
use std::sync::atomic::{Ordering, fence};

use platform::GuestRam;
use x86::Gpa;

use super::super::{Place, Segment};
use super::{Driver, Form, Want, buffers, table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

pub struct SplitDriver {
    ram: GuestRam,
    place: Place,
    event_idx: bool,
    free: Vec<u16>,
    chains: HashMap<u16, Vec<u16>>,
    available: u16,
    asked: u16,
    seen: u16,
}

impl SplitDriver {
    pub fn new(ram: GuestRam, place: Place, event_idx: bool) -> Self {
        let free = (0..place.size).rev().collect();
        Self { ram, place, event_idx, free, chains: HashMap::new(), available: 0, asked: 0, seen: 0 }
    }
    fn describe(&self, at: u64, (address, length): Segment, flags: u16, next: u16) {
        let mut raw = address.0.to_le_bytes().to_vec();
        raw.extend(length.to_le_bytes());
        raw.extend(flags.to_le_bytes());
        raw.extend(next.to_le_bytes());
        self.ram.write(Gpa(at), &raw).unwrap();
    }
    fn load(&self, at: u64) -> u16 {
        self.ram.load_u16(Gpa(at)).unwrap()
    }
    fn store(&self, at: u64, value: u16) {
        self.ram.store_u16(Gpa(at), value).unwrap();
    }
}

impl Driver for SplitDriver {
    fn add(&mut self, readable: &[Segment], writable: &[Segment], form: Form) -> Option<u16> {
        let all = buffers(readable, writable);
        let count = all.len();
        let entries = if form == Form::Indirect { 1 } else { count };
        if entries > self.free.len() {
            return None;
        }
        let taken: Vec<u16> = (0..entries).filter_map(|_| self.free.pop()).collect();
        let head = taken[0];
        for (position, (segment, writes)) in all.enumerate() {
            let is_last = position + 1 == count;
            let flags = if is_last { 0 } else { NEXT } | if writes { WRITE } else { 0 };
            if form == Form::Indirect {
                let at = table(&self.place, head) + position as u64 * 16;
                self.describe(at, segment, flags, position as u16 + 1);
            } else {
                let next = taken.get(position + 1).copied().unwrap_or(0);
                let at = self.place.descriptors + u64::from(taken[position]) * 16;
                self.describe(at, segment, flags, next);
            }
        }
        if form == Form::Indirect {
            let segment = (Gpa(table(&self.place, head)), count as u32 * 16);
            self.describe(self.place.descriptors + u64::from(head) * 16, segment, INDIRECT, 0);
        }
        self.chains.insert(head, taken);
        self.store(self.place.driver + 4 + u64::from(self.available % self.place.size) * 2, head);
        self.available = self.available.wrapping_add(1);
        self.store(self.place.driver + 2, self.available);
        Some(head)
    }
    fn used(&mut self) -> Option<(u16, u32)> {
        if self.load(self.place.device + 2) == self.seen {
            return None;
        }
        let at = self.place.device + 4 + u64::from(self.seen % self.place.size) * 8;
        let mut entry = [0; 8];
        self.ram.read(Gpa(at), &mut entry).unwrap();
        let wide = u64::from_le_bytes(entry);
        self.seen = self.seen.wrapping_add(1);
        let id = wide as u16;
        self.free.extend(self.chains.remove(&id).expect("a chain that was given"));
        Some((id, (wide >> 32) as u32))
    }
    fn must_notify(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let (new, old) = (self.available, std::mem::replace(&mut self.asked, self.available));
        if self.event_idx {
            let event = self.load(self.place.device + 4 + u64::from(self.place.size) * 8);
            return new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old);
        }
        self.load(self.place.device) & 1 == 0
    }
    fn want(&mut self, want: Want) {
        if self.event_idx {
            let after = match want {
                Want::Always => 1,
                Want::Never => 0,
                Want::After(chains) => chains,
            };
            let event = self.seen.wrapping_add(after).wrapping_sub(1);
            self.store(self.place.driver + 4 + u64::from(self.place.size) * 2, event);
        } else {
            self.store(self.place.driver, u16::from(want == Want::Never));
        }
        fence(Ordering::SeqCst);
    }
}
