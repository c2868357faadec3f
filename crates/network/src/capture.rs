//! Frames written to a file that tcpdump and Wireshark read: classic pcap.
use std::io::{self, Write};
use std::time::SystemTime;

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a frame at most; the rest is left out.
    pub snap_length: u32,
    /// Times in nanoseconds; old readers know microseconds only.
    pub is_nanoseconds: bool,
    /// Bytes of the file at most; `None` for no limit.
    pub bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        // As much as tcpdump takes.
        Self { snap_length: 262_144, is_nanoseconds: false, bytes_max: None }
    }
}

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const VERSION: (u16, u16) = (2, 4);
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;
const FILE_HEADER: u64 = 24;
const FRAME_HEADER: u64 = 16;

/// A file of frames, little endian. A frame is written as it passed: one whose sender left its checksum to the card has a
/// partial one, and one that is to be cut into segments is whole.
#[derive(Debug)]
pub struct Capture<W> {
    to: W,
    options: Options,
    bytes: u64,
    /// Frames that were left out since the file is full.
    left_out: u64,
}

impl<W: Write> Capture<W> {
    /// Writes the file's header.
    pub fn new(mut to: W, options: Options) -> io::Result<Self> {
        let magic = if options.is_nanoseconds { MAGIC_NANOSECONDS } else { MAGIC_MICROSECONDS };
        let mut header = Vec::with_capacity(FILE_HEADER as usize);
        header.extend_from_slice(&magic.to_le_bytes());
        header.extend_from_slice(&VERSION.0.to_le_bytes());
        header.extend_from_slice(&VERSION.1.to_le_bytes());
        // Time zone and accuracy: always zero.
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&options.snap_length.to_le_bytes());
        header.extend_from_slice(&ETHERNET.to_le_bytes());
        to.write_all(&header)?;
        Ok(Self { to, options, bytes: FILE_HEADER, left_out: 0 })
    }
    /// Writes a frame that passed at a time. `false` if the file is full: this frame and all later ones are left out.
    pub fn write(&mut self, time: SystemTime, frame: &[u8]) -> io::Result<bool> {
        let snap_length = usize::try_from(self.options.snap_length).unwrap_or(usize::MAX);
        let kept = &frame[..frame.len().min(snap_length)];
        let bytes = self.bytes + FRAME_HEADER + kept.len() as u64;
        if self.left_out > 0 || self.options.bytes_max.is_some_and(|max| bytes > max) {
            self.left_out += 1;
            return Ok(false);
        }
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let fraction = if self.options.is_nanoseconds { since.subsec_nanos() } else { since.subsec_micros() };
        let words = [
            // The format ends in 2106.
            u32::try_from(since.as_secs()).unwrap_or(u32::MAX),
            fraction,
            kept.len() as u32,
            u32::try_from(frame.len()).unwrap_or(u32::MAX),
        ];
        let mut header = [0; FRAME_HEADER as usize];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.to.write_all(&header)?;
        self.to.write_all(kept)?;
        self.bytes = bytes;
        Ok(true)
    }
    /// Frames that were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Hands on what is still in buffers.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(nanoseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
    }

    #[test]
    fn a_file_byte_by_byte() {
        let mut file = Vec::new();
        let options = Options { snap_length: 4, is_nanoseconds: true, bytes_max: None };
        let mut capture = Capture::new(&mut file, options).unwrap();
        assert!(capture.write(at(1_000_000_002), b"abcdef").unwrap());
        assert_eq!(capture.bytes(), 44);
        let mut expected =
            vec![0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0];
        expected.extend([1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0]);
        expected.extend(b"abcd");
        assert_eq!(file, expected);
    }
    #[test]
    fn a_full_file_stays_as_it_is() {
        let mut file = Vec::new();
        let options = Options { bytes_max: Some(24 + 16 + 10), ..Options::default() };
        let mut capture = Capture::new(&mut file, options).unwrap();
        assert!(capture.write(at(1_500_000), b"0123456789").unwrap());
        assert!(!capture.write(at(0), b"").unwrap() && !capture.write(at(0), b"").unwrap());
        assert_eq!(capture.left_out(), 2);
        assert_eq!(
            (file.len(), &file[..4], &file[28..32]),
            (50, &[0xd4, 0xc3, 0xb2, 0xa1][..], &[0xdc, 5, 0, 0][..])
        );
    }
}
