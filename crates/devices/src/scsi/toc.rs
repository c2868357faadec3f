//! Where a disc's tracks are: one data track, from the disc's start to its end (MMC-6 §6.25, §6.22, §6.26).
use super::cdb::Cdb;
use super::sense::Sense;
use super::spec::{DATA_TRACK, LEAD_OUT, bit};
use super::transfer::Step;
use super::unit::Unit;

/// Frames before the first block: two seconds.
const PREGAP: u64 = 150;
const FRAMES_PER_SECOND: u64 = 75;
/// Audio status: nothing plays.
const AUDIO_NONE: u8 = 0x15;

impl Unit {
    /// READ TOC/PMA/ATIP.
    pub(super) fn read_toc(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let blocks = self.disc_blocks()?;
        let as_msf = cdb.has(1, bit::MSF);
        // Old hosts say the format in the last byte.
        let format = match cdb.byte(2) & 0xf {
            0 => cdb.byte(9) >> 6,
            format => format,
        };
        let bytes = match format {
            0 => tracks(cdb.byte(6), blocks, as_msf)?,
            1 => with_length(&[&[1, 1, 0, DATA_TRACK, 1, 0], &address(0, as_msf)[..]].concat()),
            2 => raw(blocks),
            _ => return Err(Sense::field(2)),
        };
        Ok(Step::data(bytes, cdb.number(7, 2)))
    }
    /// READ SUB-CHANNEL: a data disc plays nothing.
    pub(super) fn read_subchannel(&self, cdb: &Cdb) -> Result<Step, Sense> {
        self.ready()?;
        let mut bytes = vec![0, AUDIO_NONE, 0, 0];
        if cdb.has(2, bit::SUBCHANNEL) {
            let as_msf = cdb.has(1, bit::MSF);
            match cdb.byte(3) {
                1 => {
                    bytes.extend([1, DATA_TRACK, 1, 1]);
                    bytes.extend(address(0, as_msf));
                    bytes.extend(if as_msf { [0; 4] } else { address(0, false) });
                }
                // Neither catalogue number nor recording code.
                2 | 3 => {
                    bytes.extend([cdb.byte(3), 0, 0, 0]);
                    bytes.extend([0; 16]);
                }
                _ => return Err(Sense::field(3)),
            }
            bytes[3] = (bytes.len() - 4) as u8;
        }
        Ok(Step::data(bytes, cdb.number(7, 2)))
    }
    /// READ DISC INFORMATION: complete, one session, one track.
    pub(super) fn read_disc_information(&self, cdb: &Cdb) -> Result<Step, Sense> {
        self.ready()?;
        if cdb.byte(1) & 7 != 0 {
            return Err(Sense::field(1));
        }
        let mut bytes = vec![0; 32];
        bytes[..6].copy_from_slice(&[0x0e, 1, 1, 1, 1, 0x20]);
        // Neither lead-in nor a place to go on writing.
        bytes[14..22].fill(0xff);
        Ok(Step::data(with_length(&bytes), cdb.number(7, 2)))
    }
    /// READ TRACK INFORMATION, of the only track.
    pub(super) fn read_track_information(&self, cdb: &Cdb) -> Result<Step, Sense> {
        let blocks = self.disc_blocks()?;
        let named = cdb.number(2, 4);
        let is_there = match cdb.byte(1) & 3 {
            0 => named < blocks,
            _ => named == 1,
        };
        if !is_there {
            return Err(Sense::field(2));
        }
        let mut bytes = vec![0; 34];
        // Track, session; uninterrupted data, of mode 1.
        bytes[..5].copy_from_slice(&[1, 1, 0, 4, 1]);
        bytes[22..26].copy_from_slice(&u32::try_from(blocks).unwrap_or(u32::MAX).to_be_bytes());
        Ok(Step::data(with_length(&bytes), cdb.number(7, 2)))
    }
}

/// The list of tracks from `first` on, with the lead-out.
fn tracks(first: u8, blocks: u64, as_msf: bool) -> Result<Vec<u8>, Sense> {
    if first > 1 && first != LEAD_OUT {
        return Err(Sense::field(6));
    }
    let mut bytes = vec![1, 1];
    if first != LEAD_OUT {
        bytes.extend([0, DATA_TRACK, 1, 0]);
        bytes.extend(address(0, as_msf));
    }
    bytes.extend([0, DATA_TRACK, LEAD_OUT, 0]);
    bytes.extend(address(blocks, as_msf));
    Ok(with_length(&bytes))
}

/// The table as it is in the lead-in's subchannel Q: first and last track, lead-out, and the track.
fn raw(blocks: u64) -> Vec<u8> {
    let msf = |block| {
        let [_, minute, second, frame] = address(block, true);
        [minute, second, frame]
    };
    let points = [(0xa0, [1, 0, 0]), (0xa1, [1, 0, 0]), (0xa2, msf(blocks)), (1, msf(0))];
    let mut bytes = vec![1, 1];
    for (point, place) in points {
        bytes.extend([1, DATA_TRACK, 0, point, 0, 0, 0, 0]);
        bytes.extend(place);
    }
    with_length(&bytes)
}

/// A block's address: a number, or minutes, seconds and frames.
fn address(block: u64, as_msf: bool) -> [u8; 4] {
    if !as_msf {
        return u32::try_from(block).unwrap_or(u32::MAX).to_be_bytes();
    }
    let frames = block.saturating_add(PREGAP);
    let seconds = frames / FRAMES_PER_SECOND;
    let minutes = (seconds / 60).min(0xff);
    [0, minutes as u8, (seconds % 60) as u8, (frames % FRAMES_PER_SECOND) as u8]
}

/// The bytes after their own length.
fn with_length(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes(), body].concat()
}
