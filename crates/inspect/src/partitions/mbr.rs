//! Tables in the master boot record, with logical partitions in chains of such sectors.
use std::io;

use super::{Partition, types};
use crate::DiskView;
use crate::fields::Fields;

const SECTOR: u64 = 512;
/// Links of a chain that are followed.
const LOGICAL_MAX: u32 = 256;
/// The first number of a logical partition.
const FIRST_LOGICAL: u32 = 5;

/// A line of a table; sectors are counted from wherever the table says.
#[derive(Clone, Copy)]
struct Line {
    status: u8,
    kind: u8,
    first: u32,
    sectors: u32,
}

impl Line {
    fn is_used(self) -> bool {
        self.kind != 0 && self.sectors > 0
    }
    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
    fn partition(self, number: u32, base: u64) -> Partition {
        Partition {
            number: Some(number),
            start: (base + u64::from(self.first)) * SECTOR,
            length: u64::from(self.sectors) * SECTOR,
            type_name: types::of_byte(self.kind),
            name: None,
            file_system: None,
        }
    }
}

/// Reads the table; `None` if there is none.
pub fn read(view: &mut DiskView) -> io::Result<Option<Vec<Partition>>> {
    let Some(lines) = lines_at(view, 0)? else { return Ok(None) };
    let is_table = lines.iter().all(|line| line.status & 0x7f == 0 && (!line.is_used() || line.first > 0));
    if !is_table || !lines.iter().any(|line| line.is_used()) {
        return Ok(None);
    }
    let mut partitions = Vec::new();
    let used = (1..).zip(lines).filter(|(_, line)| line.is_used());
    for (number, line) in used.clone() {
        partitions.push(line.partition(number, 0));
    }
    if let Some((_, extended)) = used.clone().find(|(_, line)| line.is_extended()) {
        logical(view, extended.first, &mut partitions)?;
    }
    Ok(Some(partitions))
}

/// Follows a chain: each sector has a line for one partition, counted from that sector, and a line for the next sector,
/// counted from the first one.
fn logical(view: &mut DiskView, first: u32, partitions: &mut Vec<Partition>) -> io::Result<()> {
    let mut at = u64::from(first);
    for number in FIRST_LOGICAL..FIRST_LOGICAL + LOGICAL_MAX {
        let Some([line, next, ..]) = lines_at(view, at)? else { break };
        if line.is_used() {
            partitions.push(line.partition(number, at));
        }
        let following = u64::from(first) + u64::from(next.first);
        // Chains that lead back would go on for ever.
        if !next.is_used() || !next.is_extended() || following <= at {
            break;
        }
        at = following;
    }
    Ok(())
}

/// The four lines of a table.
fn lines_at(view: &mut DiskView, sector: u64) -> io::Result<Option<[Line; 4]>> {
    let bytes: [u8; 512] = view.array_or_zeros(sector * SECTOR)?;
    let fields = Fields(&bytes);
    let line = |index: usize| {
        let at = 446 + 16 * index;
        Line {
            status: fields.u8(at),
            kind: fields.u8(at + 4),
            first: fields.u32(at + 8),
            sectors: fields.u32(at + 12),
        }
    };
    Ok(fields.has(510, &[0x55, 0xaa]).then(|| [line(0), line(1), line(2), line(3)]))
}
