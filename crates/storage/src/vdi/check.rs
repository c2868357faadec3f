//! Whether a VDI image contradicts itself.
use std::sync::atomic::Ordering;

use super::table::{Table, is_place};
use crate::ImageError;
use crate::image::{CheckReport, Repair};

/// Looks at all entries of the table, and mends the count of blocks.
pub fn check(table: &mut Table, repair: Repair) -> Result<CheckReport, ImageError> {
    let mut report = CheckReport::default();
    let mut numbers = Vec::new();
    let file_length = table.file.length()?;
    for (block, entry) in table.entries.iter().enumerate() {
        let index = entry.load(Ordering::Relaxed);
        if is_place(index) && table.header.place_of(index) >= file_length {
            report.corruption(format!("block {block} is said to be number {index}, beyond the end"));
        } else if is_place(index) {
            numbers.push((index, block as u32));
        }
    }
    numbers.sort_unstable();
    for pair in numbers.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        report.corruption(format!("blocks {} and {} are both number {}", pair[0].1, pair[1].1, pair[0].0));
    }
    numbers.dedup_by_key(|(index, _)| *index);
    let used = numbers.last().map_or(0, |(most, _)| most + 1);
    let written = table.counts.lock().written;
    let wrong = written < used;
    if wrong {
        report.corruption(format!("{written} blocks are counted, but number {} is used", used - 1));
    }
    report.leaks = u64::from(written).saturating_sub(numbers.len() as u64);
    let mend = match repair {
        Repair::None => false,
        Repair::Leaks => written > used,
        Repair::All => written != used,
    };
    if mend && !table.file.is_read_only() {
        let mut counts = *table.counts.lock();
        table.set_count(&mut counts, used)?;
        report.mended = if wrong { 1 } else { u64::from(written - used) };
        *table.counts.get_mut() = counts;
    }
    Ok(report)
}
