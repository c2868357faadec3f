//! Copying one image into another, zeros excepted.
use platform::Buffers;

use crate::image::ExtentKind;
use crate::{Image, ImageError};

/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 2 << 20;
/// Zeros shorter than this are copied like data.
const ZERO_BYTES: usize = 64 << 10;

/// Told how many bytes of how many are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies all of `source` into `target`, which is as long and reads as zeros, and flushes it.
pub fn convert(source: &dyn Image, target: &dyn Image, progress: Progress<'_>) -> Result<(), ImageError> {
    let length = source.shape().length;
    let mut at = 0;
    while at < length {
        let extent = source.extent(at)?;
        let end = (at + extent.length.max(1)).min(length);
        if extent.kind == ExtentKind::Data {
            copy(source, target, at, end, length, progress)?;
        }
        at = end;
        progress(at, length);
    }
    target.flush()?;
    Ok(())
}

fn copy(
    source: &dyn Image,
    target: &dyn Image,
    from: u64,
    end: u64,
    length: u64,
    progress: Progress<'_>,
) -> Result<(), ImageError> {
    // The extent may begin and end anywhere; sectors are copied as a whole.
    let (mut at, end) = (from / 512 * 512, end.next_multiple_of(512).min(length));
    while at < end {
        let piece = Buffers::of_bytes(vec![0; PIECE_BYTES.min(end - at) as usize]);
        source.read(at, piece.all())?;
        for start in (0..piece.len()).step_by(ZERO_BYTES) {
            let part = piece.part(start..start + ZERO_BYTES);
            if !part.is_zero() {
                target.write(at + start as u64, part)?;
            }
        }
        at += piece.len() as u64;
        progress(at, length);
    }
    Ok(())
}
