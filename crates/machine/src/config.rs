//! What a machine is made of, as its user chose.
use std::path::PathBuf;

use crate::board::{RAM_MAX_BYTES, RAM_MIN_BYTES};
use crate::boot::BootFiles;
use crate::disks::DiskConfig;
use crate::nics::NicConfig;
use x86::address::PAGE_SIZE;

/// What the process takes beside guest RAM, if the user says nothing about room for translated code; with more than four CPUs
/// it may be more.
const BESIDE_RAM: u64 = 64 << 20;
/// What of that is not translated code: the program and what CPUs share, and the tables of one CPU.
const BESIDE_CODE: u64 = 24 << 20;
const BESIDE_CODE_PER_CPU: u64 = 6 << 20;
/// Large guests have at least such a part of their memory for translated code, up to so much.
const CODE_CACHES_PART: u64 = 256;
const CODE_CACHE_LARGE: u64 = 96 << 20;
/// The least and the most room for translated code.
const CODE_CACHE_LEAST: u64 = 8 << 20;
const CODE_CACHE_MOST: u64 = 1 << 30;
/// How many CPUs a machine can have.
pub const CPUS_MAX: u8 = 16;

/// A machine, described.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Guest RAM in bytes: whole pages, [`RAM_MIN_BYTES`] to [`RAM_MAX_BYTES`].
    pub memory_bytes: u64,
    /// Number of CPUs, 1 to [`CPUS_MAX`].
    pub cpus: u8,
    /// What to boot.
    pub boot: BootFiles,
    /// Its disks, in the order in which the guest finds those of one bus.
    pub disks: Vec<DiskConfig>,
    /// Its network cards, in the order in which the guest finds them; eight at most.
    pub nics: Vec<NicConfig>,
    /// Whether there is a virtio console whose other end is [`crate::MachineHandle::channel`].
    pub channel: bool,
    /// Port of the debug-exit device, if there shall be one.
    pub debug_exit: Option<u16>,
    /// Whether there is a debug console at port 0xe9.
    pub debug_console: bool,
    /// Bound on the memory for translated code, which all CPUs share, 8 MiB to 1 GiB. The description of the code takes half
    /// of that again. `None` for one that goes by memory and CPUs.
    pub code_cache_bytes: Option<u64>,
    /// Where translated code is kept for the next machine, if anywhere.
    pub translations: Option<PathBuf>,
    /// Interpret everything: slow, for finding the engine's own bugs.
    pub interpret_only: bool,
    /// Let the engine measure where time goes, for its statistics; costs a little.
    pub timed: bool,
    /// Keep a map of translated code for `perf`.
    pub perf_map: bool,
}

/// A description that no machine fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too little RAM.
    #[error("{0} bytes of memory are too few for a machine, at least {min} MiB are needed", min = RAM_MIN_BYTES >> 20)]
    MemoryTooSmall(u64),
    /// Too much RAM.
    #[error("{0} bytes of memory are more than the {max} MiB that a machine can have", max = RAM_MAX_BYTES >> 20)]
    MemoryTooLarge(u64),
    /// No whole pages.
    #[error("{0} bytes of memory are not a multiple of {PAGE_SIZE}")]
    MemoryNotInPages(u64),
    /// Too little or too much room for translated code.
    #[error(
        "{0} bytes are no room for translated code, only {least} MiB to {most} MiB are",
        least = CODE_CACHE_LEAST >> 20,
        most = CODE_CACHE_MOST >> 20
    )]
    CodeCache(u64),
    /// A number of CPUs that does not exist.
    #[error("{0} CPUs are not possible, only 1 to {CPUS_MAX}")]
    Cpus(u8),
    /// The debug-exit port belongs to something else.
    #[error("the debug-exit port {0:#x} belongs to another device of the machine")]
    DebugExitTaken(u16),
}

impl MachineConfig {
    /// A machine with one CPU and without debug devices.
    pub fn new(memory_bytes: u64, boot: BootFiles) -> Self {
        Self {
            memory_bytes,
            cpus: 1,
            boot,
            disks: Vec::new(),
            nics: Vec::new(),
            channel: false,
            debug_exit: None,
            debug_console: false,
            code_cache_bytes: None,
            translations: None,
            interpret_only: false,
            timed: false,
            perf_map: false,
        }
    }

    /// Room for the translated code of all CPUs.
    pub fn code_cache(&self) -> usize {
        let all = self.code_cache_bytes.unwrap_or_else(|| self.usual_code_cache());
        all.clamp(CODE_CACHE_LEAST, CODE_CACHE_MOST) as usize
    }

    fn usual_code_cache(&self) -> u64 {
        let cpus = u64::from(self.cpus.max(1));
        let room = BESIDE_RAM.saturating_sub(BESIDE_CODE + BESIDE_CODE_PER_CPU * cpus);
        // Two bytes of code take one more to be described.
        let large = (self.memory_bytes / CODE_CACHES_PART).min(CODE_CACHE_LARGE);
        large.max(room / 3 * 2)
    }

    /// Checks what can be checked without the host.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bytes = self.memory_bytes;
        if let Some(room) = self.code_cache_bytes
            && !(CODE_CACHE_LEAST..=CODE_CACHE_MOST).contains(&room)
        {
            return Err(ConfigError::CodeCache(room));
        }
        if bytes < RAM_MIN_BYTES {
            return Err(ConfigError::MemoryTooSmall(bytes));
        }
        if bytes > RAM_MAX_BYTES {
            return Err(ConfigError::MemoryTooLarge(bytes));
        }
        if !bytes.is_multiple_of(PAGE_SIZE) {
            return Err(ConfigError::MemoryNotInPages(bytes));
        }
        if self.cpus == 0 || self.cpus > CPUS_MAX {
            return Err(ConfigError::Cpus(self.cpus));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(memory_bytes: u64) -> Result<(), ConfigError> {
        MachineConfig::new(memory_bytes, BootFiles::default()).validate()
    }

    #[test]
    fn memory_has_bounds_and_whole_pages() {
        assert_eq!(check(0), Err(ConfigError::MemoryTooSmall(0)));
        assert_eq!(check(3), Err(ConfigError::MemoryTooSmall(3)));
        assert_eq!(check(RAM_MIN_BYTES), Ok(()));
        assert_eq!(check(RAM_MIN_BYTES + 1), Err(ConfigError::MemoryNotInPages(RAM_MIN_BYTES + 1)));
        assert_eq!(check(RAM_MAX_BYTES), Ok(()));
        assert_eq!(check(RAM_MAX_BYTES + 4096), Err(ConfigError::MemoryTooLarge(RAM_MAX_BYTES + 4096)));
    }

    #[test]
    fn room_for_code_is_what_the_user_says() {
        for cpus in [1, 2, 16] {
            let code_cache_bytes = Some(24 << 20);
            let usual = MachineConfig::new(RAM_MIN_BYTES, BootFiles::default());
            let config = MachineConfig { cpus, code_cache_bytes, ..usual };
            assert_eq!(config.code_cache(), 24 << 20);
        }
    }

    #[test]
    fn room_for_code_goes_by_memory_and_cpus() {
        for (memory_mib, cpus, mib) in [
            (128, 1, 22),
            (2048, 1, 22),
            (2048, 2, 18),
            (2048, 4, 10),
            (2048, 8, 8),
            (8192, 1, 32),
            (8192, 4, 32),
            (32768, 1, 96),
        ] {
            let config = MachineConfig { cpus, ..MachineConfig::new(memory_mib << 20, BootFiles::default()) };
            assert_eq!(config.code_cache() >> 20, mib, "{memory_mib} MiB, {cpus} CPUs");
        }
    }

    #[test]
    fn room_for_code_has_bounds() {
        for bytes in [0, CODE_CACHE_LEAST - 1, CODE_CACHE_MOST + 1] {
            let boot = BootFiles::default();
            let usual = MachineConfig::new(RAM_MIN_BYTES, boot);
            let config = MachineConfig { code_cache_bytes: Some(bytes), ..usual };
            assert_eq!(config.validate(), Err(ConfigError::CodeCache(bytes)));
        }
    }

    #[test]
    fn cpus_have_bounds() {
        for cpus in [0, CPUS_MAX + 1] {
            let config = MachineConfig { cpus, ..MachineConfig::new(RAM_MIN_BYTES, BootFiles::default()) };
            assert_eq!(config.validate(), Err(ConfigError::Cpus(cpus)));
        }
    }
}
