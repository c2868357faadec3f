//! Messages: a line "WORD LENGTH" and so many bytes.
use machine::GuestChannel;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Longest first line of a message.
const LINE_MAX: usize = 64;
/// Most bytes of a message.
const LENGTH_MAX: usize = 1 << 20;

/// Messages of the guest.
pub struct Messages<'a> {
    channel: &'a GuestChannel,
    pending: Vec<u8>,
}

impl<'a> Messages<'a> {
    /// Those that come on a channel.
    pub fn of(channel: &'a GuestChannel) -> Self {
        Self { channel, pending: Vec::new() }
    }
    /// The next one; `None` once the machine has ended, an error if what comes is no message.
    pub fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, ()> {
        loop {
            let header = header(&self.pending).inspect_err(|()| {
                let shown = &self.pending[..self.pending.len().min(LINE_MAX)];
                tracing::warn!(message = %shown.escape_ascii(), "the guest's agent says what is no message");
            });
            let whole = header?.filter(|(_, start, length)| self.pending.len() >= start + length);
            if let Some((word, start, length)) = whole {
                let rest = self.pending.split_off(start + length);
                let bytes = std::mem::replace(&mut self.pending, rest).split_off(start);
                return Ok(Some((word, bytes)));
            }
            let more = self.channel.read(READ_BYTES);
            if more.is_empty() {
                return Ok(None);
            }
            self.pending.extend(more);
        }
    }
}

/// Sends a message; `false` once the machine has ended.
pub fn send(channel: &GuestChannel, word: &str, bytes: &[u8]) -> bool {
    channel.write(&[format!("{word} {}\n", bytes.len()).as_bytes(), bytes].concat())
}

/// The word of the first message, where its bytes begin, and how many there are.
fn header(pending: &[u8]) -> Result<Option<(String, usize, usize)>, ()> {
    let Some(end) = pending.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
        return if pending.len() < LINE_MAX { Ok(None) } else { Err(()) };
    };
    let line = std::str::from_utf8(&pending[..end]).map_err(drop)?;
    let (word, length) = line.split_once(' ').ok_or(())?;
    let length = length.parse().ok().filter(|length| *length <= LENGTH_MAX).ok_or(())?;
    Ok(Some((word.to_owned(), end + 1, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_bounded_and_whole() {
        assert_eq!(header(b"out 5\nhello"), Ok(Some(("out".to_owned(), 6, 5))));
        assert_eq!(header(b"out 5"), Ok(None));
        assert_eq!(header(&[b'a'; LINE_MAX]), Err(()));
        for odd in ["out\n", "out x\n", "out -1\n", "out 1048577\n", "\u{e9}\n"] {
            assert_eq!(header(odd.as_bytes()), Err(()), "{odd:?}");
        }
    }
}
