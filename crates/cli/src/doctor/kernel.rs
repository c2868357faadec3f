//! The host's kernel: memory, limits, and what a jail can be built from.
#![expect(unsafe_code, reason = "asks the kernel for its Landlock version")]
use std::fs;

use rustix::fs::{MemfdFlags, memfd_create};

use super::{Finding, Level};
use crate::memory::HostMemory;
use crate::quantity::show_size;

/// With fewer mappings, a guest's memory and translations may not fit.
const MAP_COUNT_MIN: u64 = 65_530;
/// `vm.overcommit_memory`: the kernel refuses more than it can back.
const OVERCOMMIT_NEVER: u64 = 2;

/// Everything about the kernel.
pub fn probe() -> Vec<Finding> {
    vec![version(), memory(), memfd(), map_count(), overcommit(), seccomp(), landlock()]
}

fn version() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let finding = Finding::ok("Linux", release.as_str(), "5.9 or later is needed");
    match parse_version(&release) {
        Some(version) if version >= (5, 9) => finding,
        Some(_) => finding.lacking(Level::Missing, "use a host with a newer kernel"),
        None => finding.lacking(Level::Note, "its version cannot be told"),
    }
}

fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn memory() -> Finding {
    let meaning = "a guest has 512 MiB unless --memory says otherwise";
    let Some(memory) = HostMemory::read() else {
        return Finding::ok("memory", "unknown", meaning)
            .lacking(Level::Note, "/proc/meminfo cannot be read");
    };
    let found = format!("{} free of {}", show_size(memory.available), show_size(memory.total));
    let finding = Finding::ok("memory", found, meaning);
    if memory.available < 1 << 30 {
        return finding.lacking(Level::Note, "close other programs, or give guests less with --memory");
    }
    finding
}

fn memfd() -> Finding {
    let meaning = "guest memory lives in one";
    match memfd_create(c"doctor", MemfdFlags::CLOEXEC) {
        Ok(_) => Finding::ok("memfd", "yes", meaning),
        Err(error) => Finding::ok("memfd", format!("refused ({error})"), meaning)
            .lacking(Level::Missing, "a sandbox around this process may forbid it; allow memfd_create"),
    }
}

fn map_count() -> Finding {
    let meaning = "mappings that a process may have";
    match setting("vm/max_map_count") {
        Some(count) if count >= MAP_COUNT_MIN => Finding::ok("max_map_count", count.to_string(), meaning),
        Some(count) => Finding::ok("max_map_count", count.to_string(), meaning)
            .lacking(Level::Note, format!("sudo sysctl vm.max_map_count={MAP_COUNT_MIN}")),
        None => unreadable("max_map_count", meaning),
    }
}

fn overcommit() -> Finding {
    let meaning = "guests touch less memory than they are given";
    match setting("vm/overcommit_memory") {
        Some(OVERCOMMIT_NEVER) => Finding::ok("overcommit", "never", meaning)
            .lacking(Level::Note, "large guests may be refused; sudo sysctl vm.overcommit_memory=0"),
        Some(mode) => Finding::ok("overcommit", if mode == 1 { "always" } else { "heuristic" }, meaning),
        None => unreadable("overcommit", meaning),
    }
}

fn seccomp() -> Finding {
    let meaning = "can confine a process to few system calls";
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(_) => Finding::ok("seccomp", "yes", meaning),
        Err(_) => Finding::ok("seccomp", "no", meaning)
            .lacking(Level::Note, "use a kernel with CONFIG_SECCOMP_FILTER"),
    }
}

fn landlock() -> Finding {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    let meaning = "can confine a process to few files";
    // SAFETY: with this flag, no attributes are passed and the call only returns a version (landlock(7)).
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            CREATE_RULESET_VERSION,
        )
    };
    if version > 0 {
        return Finding::ok("Landlock", format!("version {version}"), meaning);
    }
    Finding::ok("Landlock", "no", meaning)
        .lacking(Level::Note, "use a kernel with CONFIG_SECURITY_LANDLOCK, and 'landlock' in its lsm= list")
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

fn unreadable(name: &'static str, meaning: &'static str) -> Finding {
    Finding::ok(name, "unknown", meaning).lacking(Level::Note, "/proc/sys cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(parse_version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(parse_version("5.10"), Some((5, 10)));
        assert_eq!(parse_version("odd"), None);
    }
}
