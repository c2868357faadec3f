//! What says that a stored block was made by this very program on such a host: host code is believed only from there.
use std::arch::x86_64::__cpuid_count;
use std::fs::File;
use std::io::{self, Read};

use super::checksum;

/// Bytes of the program that are read at once.
const PIECE: usize = 64 << 10;
/// Leaves and subleaves of CPUID that say what the host can do (SDM 2A, CPUID).
const FEATURES: [(u32, u32); 5] = [(1, 0), (7, 0), (7, 1), (0xd, 0), (0xd, 1)];

/// A number that changes with the program and with what the host can do.
pub fn identity() -> io::Result<u64> {
    let mut file = File::open("/proc/self/exe")?;
    let mut sums = features();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(checksum::of_words(sums)),
            length => sums.push(checksum::of(&piece[..length])),
        }
    }
}

fn features() -> Vec<u64> {
    let most = __cpuid_count(0, 0).eax;
    let leaves = FEATURES.into_iter().filter(|(leaf, _)| *leaf <= most);
    let words = leaves.flat_map(|(leaf, subleaf)| {
        let found = __cpuid_count(leaf, subleaf);
        // EBX of leaf 1 says on which CPU this runs, and ECX bit 27 and EBX of leaf 13 what the system has enabled.
        let ebx = if leaf == 1 { 0 } else { found.ebx };
        [found.eax, ebx, found.ecx, found.edx]
    });
    words.map(u64::from).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_has_one_identity() {
        assert_eq!(super::identity().unwrap(), super::identity().unwrap());
    }
}
