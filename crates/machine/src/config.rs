//! What a machine is made of, as its user chose.
use std::path::PathBuf;

use crate::board::{RAM_MAX_BYTES, RAM_MIN_BYTES};
use crate::boot::BootFiles;
use crate::disks::DiskConfig;
use crate::nics::NicConfig;
use x86::address::PAGE_SIZE;

/// What the process takes beside guest RAM, if the user says nothing about room for translated code; with many CPUs it may be
/// more.
const BESIDE_RAM: u64 = 64 << 20;
/// What of it is neither the process's own memory nor code: shared memory in which each CPU has its views, and by what the rest
/// may grow until somebody looks.
const SHARED_PER_CPU: u64 = 3 << 18;
/// More of it is not used for code, even if it is there.
const CODE_CACHE_USUAL: u64 = 32 << 20;
/// Large guests have at least such a part of their memory for translated code, up to so much.
const CODE_CACHES_PART: u64 = 256;
const CODE_CACHE_LARGE: u64 = 96 << 20;
/// The least and the most room for translated code.
const CODE_CACHE_LEAST: u64 = 8 << 20;
const CODE_CACHE_MOST: u64 = 1 << 30;
/// How many CPUs a machine can have.
pub const CPUS_MAX: u8 = 16;

/// Memory for translated code, without its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRoom {
    /// Bytes that it may take in any case.
    pub least: usize,
    /// Bytes that it may take at most.
    pub most: usize,
    /// Between the two, as many as the rest of the process leaves of so many, guest RAM apart; if nothing is said, the most.
    pub process: Option<u64>,
}

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
    /// of that again. `None` for one that goes by what the process takes for everything else ([`CodeRoom`]).
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
    pub fn code_room(&self) -> CodeRoom {
        if let Some(bytes) = self.code_cache_bytes {
            let bytes = bytes.clamp(CODE_CACHE_LEAST, CODE_CACHE_MOST) as usize;
            return CodeRoom { least: bytes, most: bytes, process: None };
        }
        let large = (self.memory_bytes / CODE_CACHES_PART).min(CODE_CACHE_LARGE);
        let (least, most) = (large.max(CODE_CACHE_LEAST) as usize, large.max(CODE_CACHE_USUAL) as usize);
        let process = BESIDE_RAM - SHARED_PER_CPU * u64::from(self.cpus);
        CodeRoom { least, most, process: Some(process) }
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
            assert_eq!(config.code_room(), CodeRoom { least: 24 << 20, most: 24 << 20, process: None });
        }
    }

    #[test]
    fn large_guests_have_more_room_for_code() {
        for (memory_mib, least, most) in
            [(128, 8, 32), (2048, 8, 32), (4096, 16, 32), (8192, 32, 32), (32768, 96, 96)]
        {
            let room = MachineConfig::new(memory_mib << 20, BootFiles::default()).code_room();
            let expected =
                CodeRoom { least: least << 20, most: most << 20, process: Some((64 << 20) - (3 << 18)) };
            assert_eq!(room, expected, "{memory_mib} MiB");
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
