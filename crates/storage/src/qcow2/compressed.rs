//! Compressed clusters: "Compressed Clusters Descriptor". They are read; what is written is never compressed.
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use parking_lot::Mutex;
use platform::DiskError;
use ruzstd::decoding::StreamingDecoder;

use crate::file::HostFile;

use super::header::Compression;
use super::slot::Packed;

/// Clusters that are kept, as neighbours are likely to be read next.
const KEPT_BYTES: usize = 4 << 20;
const KEPT_MAX: usize = 16;
/// What a frame may ask a decoder to remember; QEMU's compressor asks for at most a cluster's 2 MiB.
const WINDOW_MAX: u64 = 8 << 20;

/// Clusters that were decompressed last. A place in the file always stands for the same cluster, as nothing compressed is
/// ever written here.
#[derive(Debug)]
pub struct Unpacked {
    compression: Compression,
    cluster: usize,
    kept: Mutex<VecDeque<(Packed, Arc<[u8]>)>>,
}

impl Unpacked {
    /// None yet.
    pub fn new(compression: Compression, cluster: u64) -> Self {
        Self { compression, cluster: cluster as usize, kept: Mutex::default() }
    }
    /// A cluster's bytes.
    pub fn get(&self, file: &HostFile, packed: Packed) -> Result<Arc<[u8]>, DiskError> {
        if let Some((_, bytes)) = self.kept.lock().iter().find(|(place, _)| *place == packed) {
            return Ok(bytes.clone());
        }
        let mut source = vec![0; packed.length as usize];
        file.read(packed.offset, &mut source)?;
        let bytes: Arc<[u8]> = match self.compression {
            Compression::Zlib => inflate(&source, self.cluster),
            Compression::Zstd => decode_zstd(&source, self.cluster),
        }
        .ok_or_else(|| {
            DiskError::Damaged(format!("the compressed cluster at {:#x} cannot be read", packed.offset))
        })?
        .into();
        let mut kept = self.kept.lock();
        kept.push_front((packed, bytes.clone()));
        kept.truncate((KEPT_BYTES / self.cluster).clamp(1, KEPT_MAX));
        Ok(bytes)
    }
}

/// What follows the compressed bytes in the last sector belongs to somebody else, so the end is where a cluster is full.
fn inflate(source: &[u8], cluster: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; cluster];
    flate2::read::DeflateDecoder::new(source).read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn decode_zstd(source: &[u8], cluster: usize) -> Option<Vec<u8>> {
    if window(source)? > WINDOW_MAX {
        return None;
    }
    let mut bytes = vec![0; cluster];
    StreamingDecoder::new(source).ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// RFC 8878 §3.1.1.1: what a frame's header asks for. With a single segment that is the content's size.
fn window(source: &[u8]) -> Option<u64> {
    let descriptor = *source.get(4)?;
    if descriptor & 0x20 == 0 {
        let (exponent, mantissa) = (source.get(5)? >> 3, source.get(5)? & 7);
        let base = 1_u64 << (10 + exponent);
        return Some(base + base / 8 * u64::from(mantissa));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = source.get(5 + dictionary..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*size.first()?),
        1 => u64::from(u16::from_le_bytes(*size.first_chunk()?)) + 256,
        2 => u32::from_le_bytes(*size.first_chunk()?).into(),
        _ => u64::from_le_bytes(*size.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_frames() {
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]), Some(1 << 21));
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 1, 0]), Some(512));
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd]), None);
    }

    #[test]
    fn rubbish_is_no_cluster() {
        assert_eq!(inflate(&[0xff; 512], 512), None);
        assert_eq!(decode_zstd(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 1, 2, 3], 512), None);
    }
}
