//! INQUIRY: who a unit is (SPC-4 §6.6, §7.8).
use super::cdb::Cdb;
use super::disk::BLOCKS_PER_TRANSFER;
use super::erase::{SAME_BLOCKS_MAX, UNMAP_RANGES_MAX};
use super::sense::Sense;
use super::spec::{DISK_BLOCK, bit, vpd};
use super::transfer::Step;
use super::unit::{Identity, Kind, Unit};

/// Peripheral device types.
const TYPE_DISK: u8 = 0x00;
const TYPE_CDROM: u8 = 0x05;
/// No unit can be here.
const NOBODY: u8 = 0x7f;
/// SPC-4.
const VERSION: u8 = 0x06;
/// Bytes of a whole answer.
const LENGTH: usize = 96;
/// Offset of the standards that the unit claims to follow.
const VERSIONS_AT: usize = 58;
/// SAM-5, SPC-4 and SBC-3, no version claimed of each.
const DISK_VERSIONS: [u16; 3] = [0x00a0, 0x0460, 0x04c0];

pub(super) fn inquiry(unit: &Unit, cdb: &Cdb) -> Result<Step, Sense> {
    let allocation = cdb.number(3, 2);
    let page = cdb.byte(2);
    if !cdb.has(1, bit::EVPD) {
        return if page == 0 { Ok(Step::data(standard(unit), allocation)) } else { Err(Sense::field(2)) };
    }
    let body = match (page, unit.kind) {
        (vpd::SUPPORTED, kind) => supported(kind).to_vec(),
        (vpd::SERIAL, _) => serial(&unit.identity),
        (vpd::IDENTIFICATION, _) => identification(&unit.identity),
        (vpd::BLOCK_LIMITS, Kind::Disk) => block_limits(unit),
        (vpd::CHARACTERISTICS, Kind::Disk) => characteristics(),
        (vpd::PROVISIONING, Kind::Disk) => provisioning(unit),
        _ => return Err(Sense::field(2)),
    };
    let mut bytes = vec![unit.kind.peripheral(), page];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    Ok(Step::data(bytes, allocation))
}

/// The answer where there is no unit.
pub(super) fn nobody(cdb: &Cdb) -> Step {
    let mut bytes = vec![0; 36];
    (bytes[0], bytes[2], bytes[3], bytes[4]) = (NOBODY, VERSION, 0x02, 31);
    bytes[8..].fill(b' ');
    Step::data(bytes, cdb.number(3, 2))
}

impl Kind {
    fn peripheral(self) -> u8 {
        match self {
            Self::Disk => TYPE_DISK,
            Self::CdRom => TYPE_CDROM,
        }
    }
}

fn standard(unit: &Unit) -> Vec<u8> {
    let Identity { vendor, product, revision, serial: _ } = &unit.identity;
    let mut bytes = vec![0; LENGTH];
    bytes[0] = unit.kind.peripheral();
    bytes[1] = if unit.kind == Kind::CdRom { 0x80 } else { 0 };
    bytes[2] = VERSION;
    // Hierarchical numbers of units, and the format of this answer.
    bytes[3] = 0x12;
    bytes[4] = (LENGTH - 5) as u8;
    // Commands may queue.
    bytes[7] = 0x02;
    bytes[8..16].copy_from_slice(&padded::<8>(vendor));
    bytes[16..32].copy_from_slice(&padded::<16>(product));
    bytes[32..36].copy_from_slice(&padded::<4>(revision));
    if unit.kind == Kind::Disk {
        for (place, version) in bytes[VERSIONS_AT..].chunks_exact_mut(2).zip(DISK_VERSIONS) {
            place.copy_from_slice(&version.to_be_bytes());
        }
    }
    bytes
}

/// Printable ASCII, padded with spaces or cut off.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    for (place, byte) in bytes.iter_mut().zip(printable(text)) {
        *place = byte;
    }
    bytes
}

fn printable(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().map(|byte| if (0x20..0x7f).contains(&byte) { byte } else { b'?' })
}

fn supported(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Disk => &[
            vpd::SUPPORTED,
            vpd::SERIAL,
            vpd::IDENTIFICATION,
            vpd::BLOCK_LIMITS,
            vpd::CHARACTERISTICS,
            vpd::PROVISIONING,
        ],
        Kind::CdRom => &[vpd::SUPPORTED, vpd::SERIAL, vpd::IDENTIFICATION],
    }
}

fn serial(identity: &Identity) -> Vec<u8> {
    printable(&identity.serial).take(36).collect()
}

/// Two names (SPC-4 §7.8.5): vendor, product and serial number as text, and a number made of them.
fn identification(identity: &Identity) -> Vec<u8> {
    let mut text = padded::<8>(&identity.vendor).to_vec();
    text.extend(padded::<16>(&identity.product));
    text.extend(serial(identity));
    let number = 3 << 60 | hash(&text) >> 4;
    // ASCII, by T10 vendor.
    let mut bytes = vec![0x02, 0x01, 0, text.len() as u8];
    bytes.extend(text);
    // Binary, NAA locally assigned.
    bytes.extend([0x01, 0x03, 0, 8]);
    bytes.extend(number.to_be_bytes());
    bytes
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Block limits (SBC-3 §6.5.3).
fn block_limits(unit: &Unit) -> Vec<u8> {
    let shape = unit.medium.as_ref().map(|port| port.shape());
    let blocks = |bytes: u32| u64::from(bytes).div_ceil(DISK_BLOCK) as u32;
    let granularity = shape.map_or(1, |shape| blocks(shape.physical_block));
    let unmap_unit = shape.and_then(|shape| shape.discard_unit).map(blocks);
    let mut page = vec![0; 60];
    page[2..4].copy_from_slice(&(granularity.min(0xffff) as u16).to_be_bytes());
    page[4..8].copy_from_slice(&(BLOCKS_PER_TRANSFER as u32).to_be_bytes());
    // 1 MiB at a time is best.
    page[8..12].copy_from_slice(&2048_u32.to_be_bytes());
    if let Some(unit) = unmap_unit {
        page[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
        page[20..24].copy_from_slice(&(UNMAP_RANGES_MAX as u32).to_be_bytes());
        page[24..28].copy_from_slice(&unit.to_be_bytes());
        // The alignment counts: 0.
        page[28..32].copy_from_slice(&0x8000_0000_u32.to_be_bytes());
    }
    page[32..40].copy_from_slice(&SAME_BLOCKS_MAX.to_be_bytes());
    page
}

/// Block device characteristics (SBC-3 §6.5.2): nothing turns.
fn characteristics() -> Vec<u8> {
    let mut page = vec![0; 60];
    page[1] = 1;
    page
}

/// Logical block provisioning (SBC-3 §6.5.4).
fn provisioning(unit: &Unit) -> Vec<u8> {
    // UNMAP and both forms of WRITE SAME let go; zeros are read afterwards; thin.
    if unit.is_thin() { vec![0, 0xe4, 2, 0] } else { vec![0; 4] }
}
