//! Messages on a stream: one JSON object a line, bounded in length.
use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{VERSION, Versioned};

/// Bytes of a line at most.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// A message that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other side is gone.
    #[error("the connection ended")]
    Ended,
    /// The host failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// No line within bounds.
    #[error("a message of more than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not what is expected here.
    #[error("a message that makes no sense")]
    Malformed(#[source] serde_json::Error),
    /// Another version of gasang.
    #[error("a message in version {0}, and this program speaks version {VERSION}")]
    Version(u32),
}

/// The version alone, which every version has.
#[derive(serde::Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Reads a message.
pub fn read_line<T: DeserializeOwned>(stream: &mut impl BufRead) -> Result<T, LineError> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.last() {
        None => return Err(LineError::Ended),
        Some(b'\n') => {}
        Some(_) if (line.len() as u64) < LINE_BYTES_MAX => return Err(LineError::Ended),
        Some(_) => return Err(LineError::TooLong),
    }
    let VersionOnly { version } = serde_json::from_slice(&line).map_err(LineError::Malformed)?;
    if version != VERSION {
        return Err(LineError::Version(version));
    }
    let read: Versioned<T> = serde_json::from_slice(&line).map_err(LineError::Malformed)?;
    Ok(read.message)
}

/// Writes a message.
pub fn write_line<T: Serialize>(stream: &mut impl Write, message: T) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(&Versioned::new(message)).map_err(LineError::Malformed)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Ok(stream.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reply, Request};

    #[test]
    fn messages_come_back() {
        let mut bytes = Vec::new();
        write_line(&mut bytes, Request::DetachDisk { name: "data".to_owned() }).unwrap();
        write_line(&mut bytes, Request::Disks).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        let mut stream = &bytes[..];
        let first: Request = read_line(&mut stream).unwrap();
        assert_eq!(first, Request::DetachDisk { name: "data".to_owned() });
        assert_eq!(read_line::<Request>(&mut stream).unwrap(), Request::Disks);
        assert!(matches!(read_line::<Request>(&mut stream), Err(LineError::Ended)));
    }

    #[test]
    fn what_is_odd_is_told_apart() {
        let read = |text: &str| read_line::<Reply>(&mut text.as_bytes());
        assert!(matches!(read("{\"version\":2,\"message\":{\"later\":1}}\n"), Err(LineError::Version(2))));
        assert!(matches!(read("{\"version\":1,\"message\":\"odd\"}\n"), Err(LineError::Malformed(_))));
        assert!(matches!(read("{\"version\":1,\"mess"), Err(LineError::Ended)));
        assert!(matches!(read(&" ".repeat(1 << 21)), Err(LineError::TooLong)));
    }
}
