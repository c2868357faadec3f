//! MODE SENSE and MODE SELECT (SPC-4 §6.11 to §6.14, §7.5).
use platform::Span;

use super::cdb::Cdb;
use super::sense::Sense;
use super::spec::{self, bit, code, op, page};
use super::transfer::Step;
use super::unit::{Kind, State, Unit};

/// Which values of a page are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Current,
    /// Ones where the guest can change something.
    Changeable,
    Default,
}

/// Pages of a kind, in the order in which they are all told.
fn pages(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Disk => &[page::ERROR_RECOVERY, page::CACHING, page::CONTROL],
        Kind::CdRom => &[page::ERROR_RECOVERY, page::CAPABILITIES],
    }
}

pub(super) fn sense(unit: &Unit, cdb: &Cdb) -> Result<Step, Sense> {
    let values = match cdb.byte(2) >> 6 {
        0 => Values::Current,
        1 => Values::Changeable,
        2 => Values::Default,
        _ => return Err(Sense::illegal(code::NO_SAVING)),
    };
    let wanted = cdb.byte(2) & page::ALL;
    let known = pages(unit.kind);
    if wanted != page::ALL && !known.contains(&wanted) {
        return Err(Sense::field(2));
    }
    if !matches!(cdb.byte(3), 0 | page::ALL_SUBPAGES) {
        return Err(Sense::field(3));
    }
    let wide = cdb.opcode() == op::MODE_SENSE_10;
    let descriptor = if cdb.has(1, bit::DISABLE_DESCRIPTORS) {
        Vec::new()
    } else {
        block_descriptor(unit, wide && cdb.has(1, bit::LONG_LBA))
    };
    let body = known.iter().filter(|page| wanted == page::ALL || **page == wanted);
    let body: Vec<u8> = body.flat_map(|page| page_bytes(*page, unit, values)).collect();
    let mut bytes = header(unit, wide, descriptor.len(), body.len());
    bytes.extend(descriptor);
    bytes.extend(body);
    let allocation = if wide { cdb.number(7, 2) } else { cdb.number(4, 1) };
    Ok(Step::data(bytes, allocation))
}

/// Mode parameter header (SPC-4 §7.5.5).
fn header(unit: &Unit, wide: bool, descriptor: usize, body: usize) -> Vec<u8> {
    let flags = match (unit.kind, &unit.medium) {
        (Kind::Disk, Some(port)) if port.shape().read_only => spec::MODE_WRITE_PROTECTED | spec::MODE_FUA,
        (Kind::Disk, _) => spec::MODE_FUA,
        (Kind::CdRom, _) => 0,
    };
    if wide {
        let [high, low] = ((6 + descriptor + body) as u16).to_be_bytes();
        let long = u8::from(descriptor == 16);
        vec![high, low, 0, flags, long, 0, 0, descriptor as u8]
    } else {
        vec![(3 + descriptor + body) as u8, 0, flags, descriptor as u8]
    }
}

/// Number and length of blocks (SBC-3 §6.4.2); a drive has none.
fn block_descriptor(unit: &Unit, long: bool) -> Vec<u8> {
    let (Kind::Disk, Some(port)) = (unit.kind, &unit.medium) else { return Vec::new() };
    let blocks = port.shape().length / spec::DISK_BLOCK;
    let length = (spec::DISK_BLOCK as u32).to_be_bytes();
    let mut bytes = if long {
        [&blocks.to_be_bytes()[..], &[0; 4]].concat()
    } else {
        u32::try_from(blocks).unwrap_or(u32::MAX).to_be_bytes().to_vec()
    };
    bytes.extend(length);
    bytes
}

fn page_bytes(page: u8, unit: &Unit, values: Values) -> Vec<u8> {
    let flag = |current: bool, default: bool, bit: u8| match values {
        Values::Current if current => bit,
        Values::Default if default => bit,
        Values::Changeable => bit,
        _ => 0,
    };
    let mut bytes = match page {
        page::CACHING => vec![0; 20],
        page::CAPABILITIES => return capabilities(unit, values),
        _ => vec![0; 12],
    };
    (bytes[0], bytes[1]) = (page, (bytes.len() - 2) as u8);
    let State { write_cache, descriptor_sense, .. } = unit.state;
    match page {
        page::CACHING => bytes[2] = flag(write_cache, true, spec::WRITE_CACHE),
        page::CONTROL => {
            bytes[2] = flag(descriptor_sense, false, spec::DESCRIPTOR_SENSE);
            // Commands may be reordered.
            bytes[3] = if values == Values::Changeable { 0 } else { 0x10 };
        }
        _ => {}
    }
    bytes
}

/// CD capabilities and mechanical status (MMC-3 §5.5.10; later editions keep it for old hosts).
fn capabilities(unit: &Unit, values: Values) -> Vec<u8> {
    let mut bytes = vec![0; 22];
    (bytes[0], bytes[1]) = (page::CAPABILITIES, 20);
    if values != Values::Changeable {
        // CD-R, CD-RW and DVD-ROM are read; both modes of sectors, and many sessions.
        bytes[2] = 0x0b;
        bytes[4] = 0x70;
        // A tray that locks and opens.
        bytes[6] = 0x29 | if unit.state.locked && values == Values::Current { 0x02 } else { 0 };
        // 50 times the speed of audio; a buffer of 512 KiB.
        for (at, value) in [(8, 8820_u16), (12, 512), (14, 8820)] {
            bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
    }
    bytes
}

pub(super) fn select(unit: &mut Unit, cdb: &Cdb, data_out: Span<'_>) -> Result<Step, Sense> {
    // Pages in their standard form, and nothing to be saved.
    if cdb.byte(1) & 0x11 != 0x10 {
        return Err(Sense::field(1));
    }
    let wide = cdb.opcode() == op::MODE_SELECT_10;
    let length = if wide { cdb.number(7, 2) } else { cdb.number(4, 1) } as usize;
    if length == 0 {
        return Ok(Step::good());
    }
    let too_short = || Sense::illegal(code::LIST_LENGTH);
    let mut list = data_out.part(0..length).to_vec();
    if list.len() < length {
        return Err(too_short());
    }
    let header = if wide { 8 } else { 4 };
    let descriptors = if wide { list.get(7) } else { list.get(3) };
    let skipped = header + usize::from(*descriptors.ok_or_else(too_short)?);
    if skipped > list.len() {
        return Err(too_short());
    }
    let mut rest = &list.split_off(skipped)[..];
    let mut state = unit.state.clone();
    while !rest.is_empty() {
        let (&[code, length], tail) = rest.split_first_chunk().ok_or_else(too_short)?;
        let (body, tail) = tail.split_at_checked(length.into()).ok_or_else(too_short)?;
        take_page(unit, &mut state, code & 0x7f, body)?;
        rest = tail;
    }
    unit.state = state;
    Ok(Step::good())
}

/// Takes a page, of which only what is changeable may differ from what it is.
fn take_page(unit: &Unit, state: &mut State, code: u8, body: &[u8]) -> Result<(), Sense> {
    let wrong = Sense::illegal(spec::code::FIELD_IN_LIST);
    if !pages(unit.kind).contains(&code) {
        return Err(wrong);
    }
    let current = page_bytes(code, unit, Values::Current);
    let changeable = page_bytes(code, unit, Values::Changeable);
    let fixed = |index: usize| !changeable[index];
    if body.len() != current.len() - 2
        || (2..).zip(body).any(|(index, byte)| (byte ^ current[index]) & fixed(index) != 0)
    {
        return Err(wrong);
    }
    match code {
        page::CACHING => state.write_cache = body[0] & spec::WRITE_CACHE != 0,
        page::CONTROL => state.descriptor_sense = body[0] & spec::DESCRIPTOR_SENSE != 0,
        _ => {}
    }
    Ok(())
}
