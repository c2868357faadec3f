//! Writing all refcounts anew.
use platform::DiskError;

use crate::ImageError;
use crate::file::HostFile;

use super::check::References;
use super::geometry::Geometry;
use super::image::Qcow2Image;
use super::mapping::Mapping;
use super::refcounts::{Refcounts, set_count};
use super::spec::{self, field};

/// Where new refcounts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where the table is.
    pub table: u64,
    /// Clusters of the table.
    pub table_clusters: u32,
}

impl Qcow2Image {
    /// Writes new refcounts behind everything else and makes the header refer to them, so that there is no moment at
    /// which it refers to none.
    pub(super) fn rebuild(&self, mapping: &mut Mapping, found: &References) -> Result<(), ImageError> {
        let base = found.clusters().max(mapping.refcounts.end());
        let placed = write_refcounts(&self.file, self.geometry, base, |cluster| found.get(cluster).into())?;
        self.file.sync()?;
        let mut fields = placed.table.to_be_bytes().to_vec();
        fields.extend(placed.table_clusters.to_be_bytes());
        self.file.write(field::REFCOUNT_TABLE_OFFSET as u64, &fields)?;
        self.file.sync()?;
        mapping.refcounts =
            Refcounts::read(self.file.clone(), self.geometry, placed.table, placed.table_clusters)?;
        Ok(())
    }
}

/// Writes refcounts for the clusters below `base`, and for the clusters from `base` on that they take themselves: blocks,
/// then the table.
pub fn write_refcounts(
    file: &HostFile,
    geometry: Geometry,
    base: u64,
    count: impl Fn(u64) -> u64,
) -> Result<Placed, DiskError> {
    let per_block = geometry.refcounts();
    let first_own = base / per_block;
    let is_used =
        |block: &u64| (block * per_block..(block + 1) * per_block).any(|cluster| count(cluster) > 0);
    let mut is_needed: Vec<bool> = (0..first_own).map(|block| is_used(&block)).collect();
    let used = is_needed.iter().filter(|is_needed| **is_needed).count() as u64;
    let (size, table) = size_of(geometry, base, used);
    let end = base + size;
    is_needed.resize(end.div_ceil(per_block) as usize, true);
    if table * geometry.cluster() > spec::REFCOUNT_TABLE_BYTES_MAX {
        return Err(DiskError::NoSpace(std::io::ErrorKind::FileTooLarge.into()));
    }
    let count = |cluster| if (base..end).contains(&cluster) { 1 } else { count(cluster) };
    let mut entries: Vec<u64> = Vec::new();
    let mut next = (base + table) * geometry.cluster();
    for (block, is_needed) in is_needed.into_iter().enumerate() {
        entries.push(if is_needed { next } else { 0 });
        if is_needed {
            file.write(next, &counted(geometry, block as u64 * per_block, count)?)?;
            next += geometry.cluster();
        }
    }
    let offset = base * geometry.cluster();
    let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
    bytes.resize((table * geometry.cluster()) as usize, 0);
    file.write(offset, &bytes)?;
    Ok(Placed { table: offset, table_clusters: table as u32 })
}

/// Clusters that refcounts take which are put at `base` and count themselves, too: all, and those of the table. `used` is
/// how many blocks are needed for what is before.
fn size_of(geometry: Geometry, base: u64, used: u64) -> (u64, u64) {
    let per_block = geometry.refcounts();
    let first_own = base / per_block;
    let (mut size, mut table) = (0, 0);
    loop {
        let all = (base + size).div_ceil(per_block).max(first_own + 1);
        table = table.max(geometry.clusters(all * 8));
        let needed = used + all - first_own + table;
        if needed <= size {
            return (size, table);
        }
        size = needed;
    }
}

/// The block for the clusters from `first` on.
fn counted(geometry: Geometry, first: u64, count: impl Fn(u64) -> u64) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0; geometry.cluster() as usize];
    for index in 0..geometry.refcounts() {
        let count = count(first + index);
        if count > geometry.refcount_max() {
            let cluster = first + index;
            return Err(DiskError::Damaged(format!("cluster {cluster} is used too often to be counted")));
        }
        if count > 0 {
            let (at, changed) = set_count(&bytes, geometry.refcount_order, index as usize, count);
            bytes[at..at + changed.len()].copy_from_slice(&changed);
        }
    }
    Ok(bytes)
}
