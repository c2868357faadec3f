//! The footer of a VHD image: found, checked, made.
use std::time::SystemTime;

use platform::disk::SECTOR_BYTES;

use super::geometry::{Geometry, MOST_SECTORS};
use super::spec::{self, footer};
use crate::fields::{be16, be32, be64, put};
use crate::file::HostFile;
use crate::{Format, ImageError};

/// Creator applications whose images are as long as Current Size says. The others' are as long as their geometry.
const SIZE_COUNTS: [&[u8]; 6] = [b"win ", b"qem2", b"d2v ", b"tap\0", b"CTXS", b"wa\0\0"];
/// Creator of new images: one of those that everybody knows to mean Current Size.
const CREATOR: &[u8] = b"win ";
/// Creator Version of new images, that of Windows 7.
const CREATOR_VERSION: u32 = 0x0006_0001;
/// Creator Host OS of new images.
const CREATOR_HOST: &[u8] = b"Wi2k";

/// What a footer says.
#[derive(Clone, Debug)]
pub struct Footer {
    /// All of it.
    pub bytes: [u8; spec::FOOTER_BYTES],
    /// Disk Type.
    pub kind: u32,
    /// Where the dynamic disk header is.
    pub data_offset: u64,
    /// Bytes of the disk.
    pub length: u64,
    /// It is where it belongs, and not only at the beginning.
    pub is_at_end: bool,
}

/// The checksum of a footer or dynamic disk header whose checksum is at an offset.
pub fn checksum(bytes: &[u8], at: usize) -> u32 {
    let others = bytes.iter().enumerate().filter(|(index, _)| !(at..at + 4).contains(index));
    !others.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

impl Footer {
    /// The footer of an image: at the file's end, or the copy at its beginning if the end has none that is sound.
    pub fn find(file: &HostFile) -> Result<Self, ImageError> {
        let malformed = |problem: &str| ImageError::Malformed {
            path: file.path().to_owned(),
            format: Format::Vhd,
            problem: problem.to_owned(),
        };
        let end = file.length()?.saturating_sub(spec::FOOTER_BYTES as u64);
        let found = match Self::at(file, end)? {
            Some(found) => Some(found),
            None => Self::at(file, 0)?.map(|copy| Self { is_at_end: false, ..copy }),
        };
        let found = found.ok_or_else(|| malformed("it has no footer whose checksum is right"))?;
        let unsupported =
            |feature: String| Err(ImageError::Unsupported { path: file.path().to_owned(), feature });
        if be32(&found.bytes, footer::VERSION) >> 16 != spec::VERSION_1_0 >> 16 {
            return unsupported("another version of VHD".to_owned());
        }
        match found.kind {
            spec::TYPE_FIXED if found.length > end => Err(malformed("it is cut off")),
            spec::TYPE_FIXED | spec::TYPE_DYNAMIC => Ok(found),
            spec::TYPE_DIFFERENCING => unsupported("a parent image".to_owned()),
            other => unsupported(format!("VHD type {other}")),
        }
    }
    /// The footer at an offset, if there is one.
    pub fn at(file: &HostFile, offset: u64) -> Result<Option<Self>, ImageError> {
        let mut bytes = [0; spec::FOOTER_BYTES];
        file.read(offset, &mut bytes)?;
        let sound = bytes.starts_with(spec::FOOTER_COOKIE)
            && (be32(&bytes, footer::CHECKSUM) == checksum(&bytes, footer::CHECKSUM) || cfg!(fuzzing));
        Ok(sound.then(|| Self::of(bytes)))
    }
    /// Creator Application.
    pub fn creator(&self) -> &[u8] {
        &self.bytes[footer::CREATOR..footer::CREATOR_VERSION]
    }
    fn of(bytes: [u8; spec::FOOTER_BYTES]) -> Self {
        let geometry = Geometry {
            cylinders: be16(&bytes, footer::GEOMETRY),
            heads: bytes[footer::GEOMETRY + 2],
            sectors: bytes[footer::GEOMETRY + 3],
        };
        let size_counts = SIZE_COUNTS.iter().any(|creator| bytes[footer::CREATOR..].starts_with(creator));
        let length = if size_counts || geometry.sectors_in_all() == MOST_SECTORS {
            be64(&bytes, footer::CURRENT_SIZE) / SECTOR_BYTES * SECTOR_BYTES
        } else {
            geometry.sectors_in_all() * SECTOR_BYTES
        };
        let (kind, data_offset) = (be32(&bytes, footer::TYPE), be64(&bytes, footer::DATA_OFFSET));
        Self { kind, data_offset, length, bytes, is_at_end: true }
    }
    /// The footer of a new dynamic image.
    pub fn new(length: u64, data_offset: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let stamp = now.saturating_sub(spec::EPOCH_UNIX_S) as u32;
        let geometry = Geometry::of(length / SECTOR_BYTES);
        let mut bytes = [0; spec::FOOTER_BYTES];
        put(&mut bytes, footer::COOKIE, spec::FOOTER_COOKIE);
        put(&mut bytes, footer::FEATURES, &spec::FEATURE_RESERVED.to_be_bytes());
        put(&mut bytes, footer::VERSION, &spec::VERSION_1_0.to_be_bytes());
        put(&mut bytes, footer::DATA_OFFSET, &data_offset.to_be_bytes());
        put(&mut bytes, footer::TIME_STAMP, &stamp.to_be_bytes());
        put(&mut bytes, footer::CREATOR, CREATOR);
        put(&mut bytes, footer::CREATOR_VERSION, &CREATOR_VERSION.to_be_bytes());
        put(&mut bytes, footer::CREATOR_HOST, CREATOR_HOST);
        put(&mut bytes, footer::ORIGINAL_SIZE, &length.to_be_bytes());
        put(&mut bytes, footer::CURRENT_SIZE, &length.to_be_bytes());
        put(&mut bytes, footer::GEOMETRY, &geometry.cylinders.to_be_bytes());
        put(&mut bytes, footer::GEOMETRY + 2, &[geometry.heads, geometry.sectors]);
        put(&mut bytes, footer::TYPE, &spec::TYPE_DYNAMIC.to_be_bytes());
        put(&mut bytes, footer::UNIQUE_ID, &rand::random::<[u8; 16]>());
        let sum = checksum(&bytes, footer::CHECKSUM);
        put(&mut bytes, footer::CHECKSUM, &sum.to_be_bytes());
        Self::of(bytes)
    }
}
