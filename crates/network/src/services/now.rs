//! What time it is.
use std::time::{Duration, Instant, SystemTime};

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what ends while the process runs.
    pub instant: Instant,
    /// Seconds since 1970, for what is written to files.
    pub unix_s: u64,
}

impl Now {
    /// Reads the host's clocks.
    pub fn read() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_s: since.as_secs() }
    }
    /// Later.
    pub fn after(self, time: Duration) -> Self {
        Self { instant: self.instant + time, unix_s: self.unix_s + time.as_secs() }
    }
}
