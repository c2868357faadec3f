//! Writing: in place where the disk's clusters are in the file and belong to nothing else, to new clusters otherwise.
use std::ops::Range;

use parking_lot::MutexGuard;
use platform::{Buffers, DiskBackend, DiskError, Span};

use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::refcounts::Room;
use super::slot::{Place, Slot, subclusters};

/// Bytes that are put into new clusters at once.
const FILL_BYTES: u64 = 16 << 20;

/// How the next bytes are written.
enum Plan {
    /// There, without a change to any table.
    InPlace { host: u64, length: u64 },
    /// To clusters that the tables refer to afterwards.
    Fill(Fill),
}

/// Clusters of the disk that get a new place. They are busy until it has their data.
#[derive(Debug)]
struct Fill {
    /// Where the first of them begins.
    first: u64,
    /// Their new place.
    room: Room,
    /// It was taken for this; otherwise it was theirs already.
    is_new: bool,
    /// Bytes of the disk that are written, rounded to what is mapped together.
    all: Range<u64>,
    /// Bytes of the disk that come from the guest.
    data: Range<u64>,
    /// Whatever is not from the guest is zero.
    is_blank: bool,
}

impl Qcow2Image {
    /// Writes a span.
    pub(super) fn write_at(&self, offset: u64, from: Span<'_>) -> Result<(), DiskError> {
        let mut done = 0;
        while done < from.len() {
            self.make_room()?;
            let _gate = self.gate.read();
            // The disk may have become shorter.
            self.shape().check(offset, from.len() as u64)?;
            done += self.write_some(offset + done as u64, from.part(done..from.len()))?;
        }
        Ok(())
    }
    /// Writes the first bytes of a span, as many as go to one place.
    pub(super) fn write_some(&self, guest: u64, from: Span<'_>) -> Result<usize, DiskError> {
        let mut mapping = self.wait_for(guest);
        let plan = mapping.plan(guest, from.len() as u64, self.backing.is_some())?;
        drop(mapping);
        match plan {
            Plan::InPlace { host, length } => {
                self.file.write_span(host, from.part(0..length as usize))?;
                Ok(length as usize)
            }
            Plan::Fill(fill) => {
                let length = (fill.data.end - fill.data.start) as usize;
                let written = self.put(&fill, from.part(0..length));
                let mut mapping = self.mapping.lock();
                let linked = match written {
                    Ok(()) => mapping.link(&fill),
                    Err(error) => mapping.unlinked(&fill, 0).and(Err(error)),
                };
                mapping.end(&fill);
                self.idle.notify_all();
                linked.map(|()| length)
            }
        }
    }
    /// The tables, once nobody moves the cluster at `guest`.
    pub(super) fn wait_for(&self, guest: u64) -> MutexGuard<'_, Mapping> {
        let mut mapping = self.mapping.lock();
        while mapping.busy.contains(&self.geometry.start(guest)) {
            self.idle.wait(&mut mapping);
        }
        mapping
    }

    /// Puts data into its new place, with what was around it in its old one.
    fn put(&self, fill: &Fill, from: Span<'_>) -> Result<(), DiskError> {
        self.keep(fill, fill.all.start..fill.data.start)?;
        self.keep(fill, fill.data.end..fill.all.end)?;
        self.file.write_span(fill.host(fill.data.start), from)
    }
    fn keep(&self, fill: &Fill, range: Range<u64>) -> Result<(), DiskError> {
        if range.is_empty() || (fill.is_blank && fill.room.is_fresh) {
            return Ok(());
        }
        let old = Buffers::of_bytes(vec![0; (range.end - range.start) as usize]);
        if !fill.is_blank {
            self.read_at(range.start, old.all())?;
        }
        if fill.room.is_fresh && old.all().is_zero() {
            return Ok(());
        }
        self.file.write_span(fill.host(range.start), old.all())
    }
}

impl Fill {
    /// Where a byte of the disk goes.
    fn host(&self, guest: u64) -> u64 {
        self.room.offset + (guest - self.first)
    }
}

impl Mapping {
    /// How to write the first bytes of a range whose first cluster is not busy.
    fn plan(&mut self, guest: u64, length: u64, backed: bool) -> Result<Plan, DiskError> {
        self.check_writable()?;
        let slot = self.slot(guest)?;
        let (place, rest) = slot.place(self.geometry, self.geometry.within(guest))?;
        match (place, slot.own_host()) {
            (Place::Data(host), Some(cluster)) => {
                self.guard(cluster)?;
                self.plan_in_place(guest, length, host, rest)
            }
            (_, Some(cluster)) => {
                self.guard(cluster)?;
                let absent = self.absent_subclusters(slot, guest)?;
                let room = Room { offset: cluster, clusters: 1, is_fresh: false };
                Ok(Plan::Fill(self.begin(guest, length.min(absent), room, false, backed)?))
            }
            (_, None) => {
                let clusters = self.homeless(guest, length.min(FILL_BYTES))?;
                // The table that will refer to them, so that only data can lack room later.
                self.own_table(self.l1_index(guest))?;
                let room = self.allocate(clusters)?;
                let planned = self.begin(guest, length, room, true, backed);
                if planned.is_err() {
                    self.refcounts.give_back(room)?;
                }
                Ok(Plan::Fill(planned?))
            }
        }
    }
    fn plan_in_place(&mut self, guest: u64, most: u64, host: u64, rest: u64) -> Result<Plan, DiskError> {
        let mut length = rest;
        while length < most {
            let slot = self.slot(guest + length)?;
            let next = slot.place(self.geometry, self.geometry.within(guest + length))?;
            let follows = next.0 == Place::Data(host + length) && slot.own_host().is_some();
            if !follows || self.busy.contains(&self.geometry.start(guest + length)) {
                break;
            }
            if self.geometry.is_start(host + length) && self.guard(host + length).is_err() {
                break;
            }
            length += next.1;
        }
        Ok(Plan::InPlace { host, length: length.min(most) })
    }
    /// Bytes of a cluster from `guest` on whose subclusters are not in the file.
    fn absent_subclusters(&self, slot: Slot, guest: u64) -> Result<u64, DiskError> {
        let (mut length, within) = (0, self.geometry.within(guest));
        while within + length < self.geometry.cluster() {
            match slot.place(self.geometry, within + length)? {
                (Place::Data(_), _) => break,
                (_, more) => length += more,
            }
        }
        Ok(length)
    }
    /// Clusters of a range, from its first on, that have no room of their own and are not busy.
    fn homeless(&mut self, guest: u64, length: u64) -> Result<u64, DiskError> {
        let (cluster, start) = (self.geometry.cluster(), self.geometry.start(guest));
        let mut end = start + cluster;
        while end < guest + length && !self.busy.contains(&end) && self.slot(end)?.own_host().is_none() {
            end += cluster;
        }
        Ok((end - start) / cluster)
    }
    /// Makes clusters busy.
    fn begin(
        &mut self,
        guest: u64,
        length: u64,
        room: Room,
        is_new: bool,
        backed: bool,
    ) -> Result<Fill, DiskError> {
        let geometry = self.geometry;
        let first = geometry.start(guest);
        let end = (guest + length).min(first + room.clusters * geometry.cluster());
        let (head, tail) = (self.slot(first)?, self.slot(end - 1)?);
        let clusters = geometry.clusters(end - first);
        let unit_of = |slot: Slot| {
            let is_elsewhere = is_new && (slot.is_compressed() || slot.host().is_some());
            if is_elsewhere { geometry.cluster() } else { geometry.unit() }
        };
        let all = guest / unit_of(head) * unit_of(head)..end.next_multiple_of(unit_of(tail));
        let unused = room.clusters - clusters;
        if unused > 0 {
            let offset = room.offset + clusters * geometry.cluster();
            self.refcounts.give_back(Room { offset, clusters: unused, ..room })?;
        }
        self.busy.extend((0..clusters).map(|index| first + index * geometry.cluster()));
        Ok(Fill {
            first,
            room: Room { clusters, ..room },
            is_new,
            all,
            data: guest..end,
            is_blank: head.is_blank(geometry, backed) && tail.is_blank(geometry, backed),
        })
    }

    /// Makes the tables refer to the new place.
    fn link(&mut self, fill: &Fill) -> Result<(), DiskError> {
        let cluster = self.geometry.cluster();
        for index in 0..fill.room.clusters {
            let (guest, host) = (fill.first + index * cluster, fill.room.offset + index * cluster);
            if let Err(error) = self.link_one(guest, host, fill) {
                return self.unlinked(fill, index).and(Err(error));
            }
        }
        Ok(())
    }
    /// Gives back the room that no table refers to, from a cluster on.
    fn unlinked(&mut self, fill: &Fill, from: u64) -> Result<(), DiskError> {
        if !fill.is_new {
            return Ok(());
        }
        let offset = fill.room.offset + from * self.geometry.cluster();
        self.refcounts.give_back(Room { offset, clusters: fill.room.clusters - from, ..fill.room })
    }
    fn link_one(&mut self, guest: u64, host: u64, fill: &Fill) -> Result<(), DiskError> {
        let geometry = self.geometry;
        let mut slot = Slot::own(geometry, host);
        if geometry.extended {
            let old = self.slot(guest)?;
            let within = |at: u64| at.clamp(guest, guest + geometry.cluster()) - guest;
            let filled = subclusters(geometry, within(fill.all.start), within(fill.all.end));
            let kept = if fill.is_new { 0 } else { old.allocated() };
            slot.bitmap = u64::from(filled | kept) | u64::from(old.zeroes() & !filled) << 32;
        }
        self.set_slot(guest, slot)
    }
    /// The clusters are not busy any more.
    fn end(&mut self, fill: &Fill) {
        for index in 0..fill.room.clusters {
            self.busy.remove(&(fill.first + index * self.geometry.cluster()));
        }
    }
}
