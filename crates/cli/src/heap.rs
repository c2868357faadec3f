//! How the process's heap gives memory back.
#![expect(unsafe_code, reason = "tunes the C library's allocator")]

/// Blocks of this size and above go back to the host when they are freed. By itself the C library raises the bound to the
/// size of the largest one that was freed; what grew by doubling then leaves its smaller selves in the heap for good.
const LARGE_BYTES: libc::c_int = 256 << 10;

/// To be called first.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain library calls; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_BYTES);
    }
}
