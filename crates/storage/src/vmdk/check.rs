//! Whether the tables of a sparse extent contradict themselves.
use std::collections::HashSet;
use std::sync::atomic::Ordering;

use platform::disk::SECTOR_BYTES;

use super::grains::Grains;
use crate::ImageError;
use crate::image::CheckReport;

/// Looks at all tables and entries. Nothing can be mended without guessing.
pub fn check(grains: &Grains, is_compressed: bool, report: &mut CheckReport) -> Result<(), ImageError> {
    // No grain gets a place meanwhile.
    let _next = grains.next.lock();
    let mut tables = HashSet::new();
    let mut places = Vec::new();
    for (number, table) in grains.directory.iter().enumerate() {
        let sector = table.sector.load(Ordering::Acquire);
        if sector == 0 {
            continue;
        }
        if !tables.insert(sector) {
            report.corruption(format!("grain table {number} is in the place of another"));
            continue;
        }
        let entries = match grains.entries(table) {
            Ok(entries) => entries.unwrap_or_default(),
            Err(problem) => {
                report.corruption(problem.to_string());
                continue;
            }
        };
        for entry in entries {
            match grains.place_of(entry.load(Ordering::Acquire)) {
                Ok(Some(place)) => places.push((place / SECTOR_BYTES) as u32),
                Ok(None) => {}
                Err(problem) => report.corruption(problem.to_string()),
            }
        }
    }
    places.sort_unstable();
    // The length of a compressed grain is not in the tables.
    let sectors = if is_compressed { 1 } else { (grains.header.grain_bytes / SECTOR_BYTES) as u32 };
    for pair in places.windows(2).filter(|pair| pair[1] - pair[0] < sectors) {
        report.corruption(format!("the grains at sectors {} and {} overlap", pair[0], pair[1]));
    }
    Ok(())
}
