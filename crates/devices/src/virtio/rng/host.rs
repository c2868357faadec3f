//! The host's random bytes.
#![expect(unsafe_code, reason = "getrandom is a system call")]
use super::Entropy;

/// The host kernel's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            // SAFETY: pointer and length are those of a slice that nobody else has.
            let got = unsafe { libc::getrandom(left.as_mut_ptr().cast(), left.len(), 0) };
            match usize::try_from(got) {
                Ok(count) => left = &mut left[count..],
                Err(_) => {
                    let error = std::io::Error::last_os_error();
                    if error.kind() != std::io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}
