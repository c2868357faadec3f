//! How a fuzzer's bytes become an image and a list of acts.
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the file in bytes, little-endian, up to [`FILE_MAX`] |
//! | [`ACTS`] times 6 | what is done with the image: kind, length, position (little-endian, in sectors) |
//! | 516 each | a sector's number, little-endian, and its bytes; sectors that are not here are zeros |

const SECTOR: usize = 512;
/// Bytes of a file.
pub const FILE_MAX: u64 = 32 << 20;
/// How many things are done with an image.
pub const ACTS: usize = 12;
const ACT_BYTES: usize = 6;

/// One thing that is done with an image.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// What; the highest bit counts positions from the disk's end.
    pub kind: u8,
    /// How much, in units of 8 sectors.
    pub length: u8,
    /// Where, in sectors.
    pub sector: u32,
}

/// An image and what is done with it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Bytes of the image.
    pub length: u64,
    /// Its sectors that are not zeros, by number; they may be beyond its end, and the last one may be short.
    pub sectors: Vec<(u32, Vec<u8>)>,
    /// What is done, in order.
    pub acts: Vec<Act>,
}

impl Input {
    /// From an image in full.
    pub fn of_file(file: &[u8], acts: Vec<Act>) -> Self {
        let numbered = (0_u32..).zip(file.chunks(SECTOR));
        let sectors = numbered.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
        let sectors = sectors.map(|(number, sector)| (number, sector.to_vec())).collect();
        Self { length: file.len() as u64, sectors, acts }
    }
    /// Takes a fuzzer's bytes apart; `None` if there are too few.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (acts, sectors) = rest.split_at_checked(ACTS * ACT_BYTES)?;
        let acts = acts.as_chunks::<ACT_BYTES>().0.iter();
        let acts =
            acts.map(|&[kind, length, sector @ ..]| Act { kind, length, sector: u32::from_le_bytes(sector) });
        let sectors = sectors.chunks(4 + SECTOR).filter_map(|record| {
            let (number, contents) = record.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*number), contents.to_vec()))
        });
        let length = u64::from(u32::from_le_bytes(*length)) % (FILE_MAX + 1);
        Some(Self { length, sectors: sectors.collect(), acts: acts.collect() })
    }
    /// The bytes of which [`Input::decode`] makes this. Acts beyond [`ACTS`] are left out, missing ones are zeros.
    pub fn encode(&self) -> Vec<u8> {
        let mut acts = Vec::new();
        for Act { kind, length, sector } in &self.acts {
            acts.extend([*kind, *length]);
            acts.extend(sector.to_le_bytes());
        }
        acts.resize(ACTS * ACT_BYTES, 0);
        let mut bytes = (self.length as u32).to_le_bytes().to_vec();
        bytes.extend(acts);
        for (number, sector) in &self.sectors {
            bytes.extend(number.to_le_bytes());
            bytes.extend(sector);
        }
        bytes
    }
    /// What is where, as far as it is inside.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.sectors.iter().filter_map(|(number, sector)| {
            let start = u64::from(*number) * SECTOR as u64;
            let there = self.length.checked_sub(start)?.min(sector.len() as u64);
            Some((start, &sector[..there as usize]))
        })
    }
    /// The image in full.
    pub fn file(&self) -> Vec<u8> {
        let mut file = vec![0; self.length as usize];
        for (start, piece) in self.pieces() {
            file[start as usize..][..piece.len()].copy_from_slice(piece);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back() {
        let mut file = vec![0; 5 * SECTOR + 100];
        file[SECTOR + 3] = 7;
        file[5 * SECTOR + 99] = 9;
        let input = Input::of_file(&file, vec![Act { kind: 0x83, length: 5, sector: 77 }]);
        let bytes = input.encode();
        assert_eq!(bytes.len(), 4 + ACTS * ACT_BYTES + 4 + SECTOR + 4 + 100);
        let again = Input::decode(&bytes).unwrap();
        assert_eq!(again.file(), file);
        assert_eq!((again.acts[0].kind, again.acts[0].length, again.acts[0].sector), (0x83, 5, 77));
    }
}
