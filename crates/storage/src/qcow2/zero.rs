//! Zeros and discarded ranges: mostly a matter of tables.
use platform::{Buffers, DiskError};

use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::slot::{Place, Slot, subclusters};

/// Zeros that are written as data at once.
const ZEROES_BYTES: u64 = 1 << 20;
/// Clusters that are changed while the tables are locked.
const CLUSTERS_AT_ONCE: usize = 1024;

/// How a range is made zeros.
enum Step {
    /// So many bytes are zeros now.
    Done(u64),
    /// So many bytes have to be written.
    Write(u64),
}

impl Qcow2Image {
    /// Makes a range zeros; `free` lets go of its room.
    pub(super) fn zero_at(&self, offset: u64, length: u64, free: bool) -> Result<(), DiskError> {
        let end = self.whole_end(offset, length);
        let mut at = offset;
        while at < end {
            self.make_room()?;
            let _gate = self.gate.read();
            let step = self.zero_some(at, end, free)?;
            at += match step {
                Step::Done(done) => done,
                Step::Write(most) => self.write_zeroes_some(at, most)?,
            };
        }
        Ok(())
    }
    fn zero_some(&self, guest: u64, end: u64, free: bool) -> Result<Step, DiskError> {
        let mut mapping = self.wait_for(guest);
        let mut done = 0;
        for _ in 0..CLUSTERS_AT_ONCE {
            let at = guest + done;
            if at >= end || mapping.busy.contains(&self.geometry.start(at)) {
                break;
            }
            match mapping.zero(at, end, free, self.backed(at))? {
                Step::Done(more) => done += more,
                Step::Write(more) if done == 0 => return Ok(Step::Write(more)),
                Step::Write(_) => break,
            }
        }
        Ok(Step::Done(done))
    }
    fn write_zeroes_some(&self, guest: u64, most: u64) -> Result<u64, DiskError> {
        let zeroes = Buffers::of_bytes(vec![0; most.min(ZEROES_BYTES) as usize]);
        Ok(self.write_some(guest, zeroes.all())? as u64)
    }

    /// Lets go of the clusters of a range. In front of a backing file they become zeros, as what is in that file must
    /// not come back.
    pub(super) fn discard_at(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        let end = self.whole_end(offset, length);
        let mut at = self.geometry.round_up(offset);
        while at.saturating_add(self.geometry.cluster()) <= end {
            self.make_room()?;
            let _gate = self.gate.read();
            let mut mapping = self.wait_for(at);
            mapping.check_writable()?;
            for _ in 0..CLUSTERS_AT_ONCE {
                let is_whole = at.saturating_add(self.geometry.cluster()) <= end;
                if !is_whole || mapping.busy.contains(&at) {
                    break;
                }
                at += mapping.discard(at, self.backing.is_some())?;
            }
        }
        Ok(())
    }

    /// The end of a range; the rest of the disk's last cluster belongs to a range that reaches the end of the disk.
    fn whole_end(&self, offset: u64, length: u64) -> u64 {
        let end = offset + length;
        if end == self.length() { self.geometry.round_up(end) } else { end }
    }
    /// Whether the backing file may have something at an offset.
    fn backed(&self, guest: u64) -> bool {
        self.backing.as_ref().is_some_and(|backing| self.geometry.start(guest) < backing.length())
    }
}

impl Mapping {
    /// Makes the first bytes of a range zeros.
    fn zero(&mut self, guest: u64, end: u64, free: bool, backed: bool) -> Result<Step, DiskError> {
        self.check_writable()?;
        let geometry = self.geometry;
        let within = geometry.within(guest);
        let slot = self.slot(guest)?;
        if slot == Slot::default() && !backed {
            return Ok(Step::Done((self.unmapped(guest)?).min(end - guest)));
        }
        let rest = (end - guest).min(geometry.cluster() - within);
        let (place, same) = slot.place(geometry, within)?;
        if rest == geometry.cluster() {
            return self.zero_cluster(guest, slot, free, backed);
        }
        // Parts of a cluster.
        let is_zero = place == Place::Zero || (place == Place::Absent && !backed);
        let units = rest / geometry.unit() * geometry.unit();
        if is_zero {
            return Ok(Step::Done(rest.min(same)));
        }
        if units > 0 && within.is_multiple_of(geometry.unit()) && !slot.is_compressed() {
            let bits = subclusters(geometry, within, within + units);
            let zeroes = u64::from(slot.zeroes() | bits) << 32;
            let bitmap = zeroes | u64::from(slot.allocated() & !bits);
            self.set_slot(guest, Slot { bitmap, ..slot })?;
            return Ok(Step::Done(units));
        }
        Ok(Step::Write(rest.min(geometry.unit() - within % geometry.unit())))
    }
    fn zero_cluster(&mut self, guest: u64, slot: Slot, free: bool, backed: bool) -> Result<Step, DiskError> {
        let geometry = self.geometry;
        let step = Step::Done(geometry.cluster());
        let room = slot.own_host().filter(|_| !free);
        let zero = match (geometry.has_zeroes(), backed) {
            (true, _) => Slot::zero(geometry, room),
            (false, false) if room.is_none() => Slot::default(),
            (false, _) => return Ok(Step::Write(geometry.cluster())),
        };
        if slot != zero {
            self.set_slot(guest, zero)?;
        }
        Ok(step)
    }
    /// Lets go of a cluster. Answers how many bytes need no more thought.
    fn discard(&mut self, guest: u64, backed: bool) -> Result<u64, DiskError> {
        let geometry = self.geometry;
        let slot = self.slot(guest)?;
        if slot == Slot::default() {
            return self.unmapped(guest);
        }
        let gone = match (geometry.has_zeroes(), backed) {
            (true, true) => Slot::zero(geometry, None),
            (_, false) => Slot::default(),
            (false, true) => return Ok(geometry.cluster()),
        };
        // A cluster that is partly in the backing file stays so in the parts that are.
        let is_only_backed = geometry.extended && slot.host().is_none() && !slot.is_compressed();
        if slot != gone && !is_only_backed {
            self.set_slot(guest, gone)?;
        }
        Ok(geometry.cluster())
    }
    /// Bytes up to the end of the table if there is no table, or else of the cluster.
    fn unmapped(&self, guest: u64) -> Result<u64, DiskError> {
        let span = match self.table(self.l1_index(guest))? {
            None => self.geometry.table_span(),
            Some(_) => self.geometry.cluster(),
        };
        Ok(span - guest % span)
    }
}
