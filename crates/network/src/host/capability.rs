//! What the kernel lets this process do.
#![expect(unsafe_code, reason = "reads the auxiliary vector")]
use rustix::thread::{CapabilitySet, capabilities};

/// Whether this thread may set up interfaces of its network namespace.
pub fn may_administer() -> bool {
    has(CapabilitySet::NET_ADMIN)
}

/// Whether this thread may have packet sockets and raw sockets.
pub fn may_have_raw_sockets() -> bool {
    has(CapabilitySet::NET_RAW)
}

/// Whether this thread may listen on ports that are not for everybody.
pub fn may_bind_low_ports() -> bool {
    has(CapabilitySet::NET_BIND_SERVICE)
}

/// Whether this program's file gave it privileges that whoever started it does not have. Such a program must not do what
/// its caller says but for what it checks.
pub fn is_elevated() -> bool {
    // SAFETY: a plain look-up in this process's auxiliary vector.
    (unsafe { libc::getauxval(libc::AT_SECURE) }) != 0
}

fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}
