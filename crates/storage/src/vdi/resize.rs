//! Making a VDI image's disk longer.
//!
//! The table stands in front of the blocks. Where it cannot grow there, the first blocks move to the file's end, and a
//! new table is written where they were; then one write of the header makes both the new table and the new length true.
//! Whoever is killed before that leaves the old image.
use std::sync::atomic::{AtomicU32, Ordering};

use platform::disk::SECTOR_BYTES;
use platform::{Buffers, DiskError};

use super::header::{Header, blocks_of};
use super::spec;
use super::table::{Table, is_place};
use crate::blocks::{self, BlockStore};
use crate::{Format, ImageError};

/// Changes the disk's length; it cannot become shorter.
pub fn resize(table: &mut Table, length: u64) -> Result<(), ImageError> {
    let refused = |reason| Err(ImageError::Length { format: Format::Vdi, length, reason });
    if table.file.is_read_only() {
        return Err(DiskError::ReadOnly.into());
    }
    if !length.is_multiple_of(SECTOR_BYTES) {
        return refused("it is no multiple of 512");
    }
    if length < table.header.length {
        return refused("VDI disks can only grow");
    }
    if table.header.is_static && length > table.header.length {
        return Err(ImageError::Cannot { format: Format::Vdi, what: "resized while they are static" });
    }
    let blocks = blocks_of(length, table.header.block_bytes)?.max(table.header.blocks);
    let mut header = table.header.clone();
    header.set_length(length);
    header.blocks = blocks;
    if header.table_end() > header.data_offset {
        move_table(table, &mut header)?;
    }
    // What is between the old table and the blocks may be anything.
    let more = (blocks - table.header.blocks) as usize;
    let free = spec::BLOCK_FREE.to_le_bytes().repeat(more);
    table.file.write(header.table_end() - free.len() as u64, &free)?;
    let counts = *table.counts.get_mut();
    header.allocated = counts.written;
    header.write(&table.file)?;
    table.entries.extend((0..more).map(|_| AtomicU32::new(spec::BLOCK_FREE)));
    let moved = ((header.data_offset - table.header.data_offset) / table.block_bytes()) as u32;
    for entry in table.entries.iter().filter(|entry| is_place(entry.load(Ordering::Relaxed))) {
        entry.fetch_sub(moved, Ordering::Relaxed);
    }
    table.counts.get_mut().next -= moved.min(counts.next);
    table.header = header;
    Ok(())
}

/// Frees the first blocks' places, and writes the old entries there as the new header will count them.
fn move_table(table: &mut Table, header: &mut Header) -> Result<(), ImageError> {
    let block_bytes = table.block_bytes();
    header.table_offset = table.header.data_offset;
    let moved = (u64::from(header.blocks) * 4).div_ceil(block_bytes) as u32;
    header.data_offset += u64::from(moved) * block_bytes;
    // With fewer blocks than that, there is nothing behind the new table yet.
    let mut counts = *table.counts.get_mut();
    counts.next = counts.next.max(moved);
    for block in 0..table.entries.len() {
        let index = table.entries[block].load(Ordering::Relaxed);
        if index < moved {
            move_block(table, block as u64, index, counts.next)?;
            counts.next += 1;
        }
    }
    let next = counts.next;
    table.set_count(&mut counts, next)?;
    counts.written = next - moved;
    *table.counts.get_mut() = counts;
    let entry_now = |entry: &AtomicU32| match entry.load(Ordering::Relaxed) {
        index if is_place(index) => index - moved,
        index => index,
    };
    let entries: Vec<u8> = table.entries.iter().flat_map(|e| entry_now(e).to_le_bytes()).collect();
    let room = u64::from(moved) * block_bytes;
    blocks::make_room(&table.file, header.table_offset, room)?;
    Ok(table.file.write(header.table_offset, &entries)?)
}

/// Copies a block to another number, and lets the table name that.
fn move_block(table: &Table, block: u64, from: u32, to: u32) -> Result<(), ImageError> {
    let bytes = Buffers::of_bytes(vec![0; table.block_bytes() as usize]);
    table.file.read_span(table.header.place_of(from), bytes.all())?;
    let place = table.header.place_of(to);
    blocks::make_room(&table.file, place, table.block_bytes())?;
    table.file.write_span(place, bytes.all())?;
    table.end.fetch_max(place + table.block_bytes(), Ordering::AcqRel);
    table.set(block, to)?;
    Ok(())
}
