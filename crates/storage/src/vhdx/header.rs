//! The header of a VHDX image, which is kept twice.
use super::checksum;
use super::spec::{self, Guid, header};
use crate::fields::{array, le16, le32, le64};
use crate::file::HostFile;
use crate::{Format, ImageError};

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Whose entries count in the log; `None` if nothing is in it.
    pub log_guid: Option<Guid>,
    /// Where the log is.
    pub log_offset: u64,
    /// Its bytes.
    pub log_length: u32,
    sequence: u64,
}

pub fn malformed(file: &HostFile, problem: &str) -> ImageError {
    ImageError::Malformed { path: file.path().to_owned(), format: Format::Vhdx, problem: problem.to_owned() }
}

pub fn unsupported(file: &HostFile, feature: String) -> ImageError {
    ImageError::Unsupported { path: file.path().to_owned(), feature }
}

impl Header {
    /// The header that counts: the later one of those that are sound.
    pub fn read(file: &HostFile) -> Result<Self, ImageError> {
        let mut signature = [0; spec::FILE_SIGNATURE.len()];
        file.read(0, &mut signature)?;
        if signature != spec::FILE_SIGNATURE {
            return Err(malformed(file, "its signature is wrong"));
        }
        let mut found: Option<Self> = None;
        for offset in spec::HEADERS {
            let mut bytes = [0; spec::HEADER_BYTES];
            file.read(offset, &mut bytes)?;
            if !checksum::is_sound(&bytes, header::SIGNATURE) {
                continue;
            }
            let sequence = le64(&bytes, header::SEQUENCE);
            if found.is_none_or(|found| found.sequence < sequence) {
                found = Some(Self::of(file, &bytes)?);
            }
        }
        found.ok_or_else(|| malformed(file, "it has no header whose checksum is right"))
    }
    fn of(file: &HostFile, bytes: &[u8]) -> Result<Self, ImageError> {
        let (version, log_version) = (le16(bytes, header::VERSION), le16(bytes, header::LOG_VERSION));
        let log_guid = Some(array(bytes, header::LOG_GUID)).filter(|guid| *guid != [0; 16]);
        if version != 1 {
            return Err(unsupported(file, format!("version {version} of VHDX")));
        }
        if log_guid.is_some() && log_version != 0 {
            return Err(unsupported(file, format!("version {log_version} of the VHDX log")));
        }
        Ok(Self {
            log_guid,
            log_offset: le64(bytes, header::LOG_OFFSET),
            log_length: le32(bytes, header::LOG_LENGTH),
            sequence: le64(bytes, header::SEQUENCE),
        })
    }
}
