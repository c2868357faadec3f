//! Logs that READ LOG EXT reads (ACS-3 annex A).
use serde::{Deserialize, Serialize};

use super::registers::{Failure, Registers, Task};
use super::spec::{SECTOR, log};

const PAGE: usize = SECTOR as usize;
/// Of the log of queued commands, byte 0: there was none.
const NOT_QUEUED: u8 = 1 << 7;

/// What was wrong with a queued command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueError {
    pub(crate) tag: u8,
    pub(crate) registers: Registers,
}

/// One page of a log; reading the log of queued commands clears it.
pub(super) fn read(task: &Task, queue_error: &mut Option<QueueError>) -> Result<Vec<u8>, Failure> {
    let page = task.lba >> 8 & 0xff | task.lba >> 24 & 0xff00;
    if page != 0 || task.count != 1 {
        return Err(Failure::aborted());
    }
    match task.lba as u8 {
        log::DIRECTORY => Ok(directory()),
        log::QUEUE_ERROR => Ok(queue_page(queue_error.take())),
        _ => Err(Failure::aborted()),
    }
}

/// Pages of each log, a word each; the first word is a version.
fn directory() -> Vec<u8> {
    let mut bytes = vec![0; PAGE];
    bytes[0] = 1;
    bytes[usize::from(log::QUEUE_ERROR) * 2] = 1;
    bytes
}

/// The page of the log of queued commands (§A.14).
fn queue_page(error: Option<QueueError>) -> Vec<u8> {
    let mut bytes = vec![0; PAGE];
    match error {
        None => bytes[0] = NOT_QUEUED,
        Some(QueueError { tag, registers }) => {
            let lba = registers.lba.to_le_bytes();
            (bytes[0], bytes[2], bytes[3]) = (tag & 0x1f, registers.status, registers.error);
            bytes[4..7].copy_from_slice(&lba[..3]);
            bytes[7] = registers.device;
            bytes[8..11].copy_from_slice(&lba[3..6]);
            bytes[12..14].copy_from_slice(&registers.count.to_le_bytes());
        }
    }
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[PAGE - 1] = sum.wrapping_neg();
    bytes
}
