//! Numbers and texts at fixed places of a sector. What is beyond the sector's end is zeros.

/// Bytes with fields in them.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// A number of one byte.
    pub fn u8(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }
    /// A little-endian number.
    pub fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }
    /// A little-endian number.
    pub fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }
    /// A little-endian number.
    pub fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
    /// Some bytes; fewer at the end.
    pub fn bytes(self, at: usize, length: usize) -> &'a [u8] {
        let rest = self.0.get(at..).unwrap_or(&[]);
        rest.get(..length).unwrap_or(rest)
    }
    /// Whether these bytes are there.
    pub fn has(self, at: usize, what: &[u8]) -> bool {
        self.bytes(at, what.len()) == what
    }
    /// A text that ends at a zero or in blanks; `None` if it is empty.
    pub fn text(self, at: usize, length: usize) -> Option<String> {
        let bytes = self.bytes(at, length);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }
    /// The same in UTF-16, little-endian; `units` are 16 bits each.
    pub fn text_utf16(self, at: usize, units: usize) -> Option<String> {
        let units = (0..units).map(|unit| self.u16(at + 2 * unit)).take_while(|unit| *unit != 0);
        let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
        (!text.is_empty()).then_some(text)
    }
    /// A UUID whose bytes are in the order in which they are written down; `None` if all are zero.
    pub fn uuid(self, at: usize) -> Option<String> {
        let bytes: [u8; 16] = self.array(at);
        let digits = |range: std::ops::Range<usize>| -> String {
            bytes[range].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let parts = [digits(0..4), digits(4..6), digits(6..8), digits(8..10), digits(10..16)];
        (bytes != [0; 16]).then(|| parts.join("-"))
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(at, N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_beyond_the_end() {
        let fields = Fields(&[1, 2, 3]);
        assert_eq!((fields.u16(0), fields.u32(1), fields.u64(9), fields.u8(3)), (0x201, 0x302, 0, 0));
        assert_eq!(fields.bytes(2, 9), [3]);
        assert!(!fields.has(2, &[3, 0]));
    }

    #[test]
    fn texts_end_at_zeros_and_blanks() {
        assert_eq!(Fields(b"root  \0rest").text(0, 11).as_deref(), Some("root"));
        assert_eq!(Fields(b"   ").text(0, 3), None);
        assert_eq!(Fields(b"e\0f\0\0\0x\0").text_utf16(0, 4).as_deref(), Some("ef"));
    }
}
