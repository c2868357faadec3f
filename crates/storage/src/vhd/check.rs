//! Whether a dynamic VHD image contradicts itself.
use std::sync::atomic::Ordering;

use platform::disk::SECTOR_BYTES;

use super::footer::Footer;
use super::spec;
use super::table::Table;
use crate::ImageError;
use crate::blocks::BlockStore;
use crate::image::{CheckReport, Repair};

/// Looks at both footers and all entries of the table, and mends a footer by the other.
pub fn check(table: &Table, repair: Repair) -> Result<CheckReport, ImageError> {
    let mut report = CheckReport::default();
    // No block gets a place meanwhile, so the footer stays where it is.
    let _next = table.next.lock();
    check_blocks(table, &mut report);
    let mend = repair == Repair::All && !table.file.is_read_only();
    if !table.footer.is_at_end {
        report.corruption("there is no footer at the end".to_owned());
        if mend {
            let end = table.file.length()?.next_multiple_of(SECTOR_BYTES);
            table.file.write(end, &table.footer.bytes)?;
            report.mended += 1;
        }
    }
    let copy = Footer::at(&table.file, 0)?;
    if copy.is_none_or(|copy| copy.bytes != table.footer.bytes) {
        report.corruption("the footer's copy at the beginning is another".to_owned());
        if mend && table.header.table_offset.min(table.footer.data_offset) >= spec::FOOTER_BYTES as u64 {
            table.file.write(0, &table.footer.bytes)?;
            report.mended += 1;
        }
    }
    Ok(report)
}

fn check_blocks(table: &Table, report: &mut CheckReport) {
    let mut places = Vec::new();
    for (block, entry) in table.entries.iter().enumerate() {
        match table.find(block as u64) {
            Ok(Some(_)) => places.push((entry.load(Ordering::Relaxed), block)),
            Ok(None) => {}
            Err(problem) => report.corruption(problem.to_string()),
        }
    }
    places.sort_unstable();
    let sectors = (table.header.bitmap_bytes() + table.block_bytes()) / SECTOR_BYTES;
    for pair in places.windows(2) {
        if u64::from(pair[1].0 - pair[0].0) < sectors {
            report.corruption(format!("blocks {} and {} overlap", pair[0].1, pair[1].1));
        }
    }
}
