//! `-v`: what the parts of gasang have to say, on stderr.
use tracing_subscriber::EnvFilter;

/// The variable that says which parts speak, as in `GASANG_LOG=machine=debug`; it overrides `-v`.
pub const VARIABLE: &str = "GASANG_LOG";

/// Starts logging. `verbosity` counts the `-v`s.
pub fn start(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only if somebody has set one before; then that one stays.
    let _ = subscriber.with_ansi(false).try_init();
}
