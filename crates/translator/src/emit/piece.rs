//! Some bytes of an instruction, put together in a register.

/// Up to eight bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Piece {
    word: u64,
    length: usize,
}

impl Piece {
    /// Bytes that begin with these, and end with them for now.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        let mut piece = Self::default();
        piece.extend(bytes);
        piece
    }
    /// The first `length` bytes of a word, at most four.
    #[inline]
    pub fn first_of(word: u64, length: usize) -> Self {
        debug_assert!(length <= 4);
        Self { word: word & !(u64::MAX << (8 * length as u32)), length }
    }
    /// One more byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        debug_assert!(self.length < 8);
        self.word |= u64::from(byte) << (8 * self.length as u32);
        self.length += 1;
    }
    /// The same if a condition holds.
    #[inline]
    pub fn push_if(&mut self, condition: bool, byte: u8) {
        if condition {
            self.push(byte);
        }
    }
    /// More bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }
    /// A little-endian number of 32 bits.
    #[inline]
    pub fn dword(&mut self, value: i32) {
        debug_assert!(self.length <= 4);
        self.word |= u64::from(value as u32) << (8 * self.length as u32);
        self.length += 4;
    }
    /// The bytes of another one.
    #[inline]
    pub fn append(&mut self, other: Self) {
        debug_assert!(self.length + other.length <= 8 && self.length < 8);
        self.word |= other.word << (8 * self.length as u32);
        self.length += other.length;
    }
    /// The bytes, and zeroes after them.
    #[inline]
    pub fn bytes(self) -> [u8; 8] {
        self.word.to_le_bytes()
    }
    /// The same as a number.
    #[inline]
    pub fn word(self) -> u64 {
        self.word
    }
    /// How many.
    #[inline]
    pub fn len(self) -> usize {
        self.length
    }
    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}
