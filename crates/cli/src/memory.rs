//! Whether the host has the memory that a guest shall have.
use std::fs;

use crate::exit::Usage;
use crate::quantity::show_size;

/// The host's memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    pub total: u64,
    /// What can be had without pushing others out.
    pub available: u64,
}

impl HostMemory {
    /// From `/proc/meminfo`; `None` where that cannot be read.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { total: field("MemTotal:")?, available: field("MemAvailable:")? })
    }

    /// Refuses a guest larger than the host.
    pub fn check(self, guest_bytes: u64) -> Result<(), Usage> {
        if guest_bytes > self.total {
            let what = format!(
                "the guest shall have {} of memory, this host has {}",
                show_size(guest_bytes),
                show_size(self.total)
            );
            let advice = format!("choose a smaller --memory; {} are free now", show_size(self.available));
            return Err(Usage { what, advice });
        }
        if guest_bytes > self.available {
            tracing::warn!("only {} of the host's memory are free", show_size(self.available));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        let text = "MemTotal:       24684948 kB\nMemFree: 1 kB\nMemAvailable:   24425472 kB\n";
        let expected = HostMemory { total: 24_684_948 << 10, available: 24_425_472 << 10 };
        assert_eq!(HostMemory::parse(text), Some(expected));
        assert_eq!(HostMemory::parse("MemTotal: 5 pounds\n"), None);
    }

    #[test]
    fn a_guest_larger_than_the_host_is_refused() {
        let host = HostMemory { total: 8 << 30, available: 6 << 30 };
        assert!(host.check(8 << 30).is_ok());
        let error = host.check(9 << 30).unwrap_err();
        assert!(error.what.contains("9 GiB") && error.what.contains("8 GiB"), "{error}");
    }
}
