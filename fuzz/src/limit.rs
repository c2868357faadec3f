//! No more memory than an image can be worth.
use rustix::process::{Resource, Rlimit, setrlimit};

/// Bytes of address space. libFuzzer itself takes a few hundred MiB of it.
const ADDRESS_SPACE: u64 = 2 << 30;

/// Makes larger allocations fail, which ends the process, even if nobody ever touches their pages.
pub fn limit_memory() {
    let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) };
    setrlimit(Resource::As, limit).expect("a process may limit itself");
}
