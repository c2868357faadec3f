use std::collections::HashMap;
use std::sync::atomic::{Ordering, fence};

use platform::GuestRam;
use x86::Gpa;

use super::super::{Place, Segment};
use super::{Driver, Form, Want, buffers, table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const AVAILABLE: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Running numbers of entries: what is left of the division by the size is the entry, the number of turns its parity.
pub struct PackedDriver {
    ram: GuestRam,
    place: Place,
    event_idx: bool,
    ids: Vec<u16>,
    /// Entries of each chain.
    chains: HashMap<u16, u16>,
    available: u64,
    asked: u64,
    seen: u64,
}

impl PackedDriver {
    pub fn new(ram: GuestRam, place: Place, event_idx: bool) -> Self {
        let ids = (0..place.size).collect();
        Self { ram, place, event_idx, ids, chains: HashMap::new(), available: 0, asked: 0, seen: 0 }
    }
    fn index(&self, number: u64) -> u64 {
        number % u64::from(self.place.size)
    }
    fn turn(&self, number: u64) -> bool {
        (number / u64::from(self.place.size)).is_multiple_of(2)
    }
    fn at(&self, number: u64) -> u64 {
        self.place.descriptors + self.index(number) * 16
    }
    /// All but the flags.
    fn describe(&self, at: u64, (address, length): Segment, id: u16) {
        let mut raw = address.0.to_le_bytes().to_vec();
        raw.extend(length.to_le_bytes());
        raw.extend(id.to_le_bytes());
        self.ram.write(Gpa(at), &raw).unwrap();
    }
    fn set_flags(&self, at: u64, flags: u16) {
        self.ram.store_u16(Gpa(at + 14), flags).unwrap();
    }
}

impl Driver for PackedDriver {
    fn add(&mut self, readable: &[Segment], writable: &[Segment], form: Form) -> Option<u16> {
        let all = buffers(readable, writable);
        let count = all.len();
        let entries = if form == Form::Indirect { 1 } else { count };
        let used: u16 = self.chains.values().sum();
        if entries > usize::from(self.place.size - used) {
            return None;
        }
        let id = self.ids.pop()?;
        let mut own = Vec::new();
        for (position, (segment, writes)) in all.enumerate() {
            let write = if writes { WRITE } else { 0 };
            if form == Form::Indirect {
                let at = table(&self.place, id) + position as u64 * 16;
                self.describe(at, segment, 0);
                self.set_flags(at, write);
            } else {
                own.push((segment, write | if position + 1 == count { 0 } else { NEXT }));
            }
        }
        if form == Form::Indirect {
            own.push(((Gpa(table(&self.place, id)), count as u32 * 16), INDIRECT));
        }
        // The first one's flags last.
        for (offset, (segment, flags)) in own.into_iter().enumerate().rev() {
            let number = self.available + offset as u64;
            self.describe(self.at(number), segment, id);
            let turn = if self.turn(number) { AVAILABLE } else { USED };
            self.set_flags(self.at(number), flags | turn);
        }
        self.chains.insert(id, entries as u16);
        self.available += entries as u64;
        Some(id)
    }
    fn used(&mut self) -> Option<(u16, u32)> {
        let at = self.at(self.seen);
        let flags = self.ram.load_u16(Gpa(at + 14)).unwrap();
        let turn = self.turn(self.seen);
        if (flags & AVAILABLE != 0) != turn || (flags & USED != 0) != turn || self.chains.is_empty() {
            return None;
        }
        let mut raw = [0; 16];
        self.ram.read(Gpa(at), &mut raw).unwrap();
        let wide = u128::from_le_bytes(raw);
        let (id, length) = ((wide >> 96) as u16, (wide >> 64) as u32);
        assert_eq!(flags & WRITE != 0, length > 0);
        self.seen += u64::from(self.chains.remove(&id).expect("a chain that was given"));
        self.ids.push(id);
        Some((id, length))
    }
    fn must_notify(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let (new, old) = (self.available, std::mem::replace(&mut self.asked, self.available));
        let event = self.ram.load_u32(Gpa(self.place.device)).unwrap();
        match event >> 16 {
            0 => true,
            1 => false,
            2 => {
                assert!(self.event_idx);
                let (index, turn) = (u64::from(event & 0x7fff), event & 0x8000 != 0);
                // Is it one of those that were added?
                (old..new).any(|number| self.index(number) == index && self.turn(number) == turn)
            }
            _ => panic!("flags {event:#x}"),
        }
    }
    fn want(&mut self, want: Want) {
        let event = match want {
            Want::Never => 1 << 16,
            Want::Always => 0,
            Want::After(_) if !self.event_idx => 0,
            Want::After(entries) => {
                let number = self.seen + u64::from(entries) - 1;
                2 << 16 | self.index(number) as u32 | if self.turn(number) { 0x8000 } else { 0 }
            }
        };
        self.ram.store_u32(Gpa(self.place.driver), event).unwrap();
        fence(Ordering::SeqCst);
    }
}
