//! Running the command.
use std::process::{Command, Output, Stdio};

/// The built command, without input and without the user's own settings.
pub fn gasang() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gasang"));
    command.stdin(Stdio::null()).env_remove("GASANG_GUESTS").env_remove("GASANG_LOG");
    command
}

/// Runs it with arguments to its end.
pub fn run(arguments: &[&str]) -> Output {
    gasang().args(arguments).output().unwrap()
}

/// What it said on stderr, after checking the exit code, and that it did not panic.
#[track_caller]
pub fn errors(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}
