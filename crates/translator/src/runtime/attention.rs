//! Getting the attention of a running CPU from another thread: one store to the word that its jumps look at.
#![expect(unsafe_code, reason = "another thread writes one atomic word of the register file")]
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::cpu::{ATTENTION, Cpu};

/// The handle; it outlives the CPU.
pub struct AttentionHandle {
    cpu: Mutex<Option<CpuAddress>>,
}

struct CpuAddress(*const Cpu);

// SAFETY: only the atomic field `attention` is reached through it.
unsafe impl Send for CpuAddress {}

impl AttentionHandle {
    /// A handle of no CPU yet.
    pub fn new() -> Self {
        Self { cpu: Mutex::new(None) }
    }
    /// From now on the handle of this CPU.
    pub fn attach(&self, cpu: *const Cpu) {
        *self.cpu.lock() = Some(CpuAddress(cpu));
    }
    /// The CPU goes away.
    pub fn detach(&self) {
        *self.cpu.lock() = None;
    }
}

impl Default for AttentionHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl platform::Attention for AttentionHandle {
    fn raise(&self) {
        if let Some(CpuAddress(cpu)) = &*self.cpu.lock() {
            // SAFETY: attached CPUs are detached before their memory goes; the field is atomic.
            unsafe { (*std::ptr::addr_of!((**cpu).attention)).store(ATTENTION, Ordering::SeqCst) };
        }
    }
}
