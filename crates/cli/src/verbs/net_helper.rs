//! `gasang net-helper`, which is not for people: opens what needs privileges for a network, passes it over, and exits.
//!
//! A copy of this program whose name ends with `net-helper`, or whose file gives it privileges, is that and nothing else,
//! whatever its caller says.
use std::process::ExitCode;

use network::host::{capability, helper};

/// The verb, and the end of the name of a program that has no other.
const NAME: &str = "net-helper";

/// Runs the net helper, if this process is one.
pub fn run() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let is_helper = arguments.next().is_some_and(|program| program.ends_with(NAME));
    let mut arguments: Vec<_> = arguments.collect();
    let has_verb = arguments.first().is_some_and(|verb| verb == NAME);
    if has_verb {
        arguments.remove(0);
    }
    (is_helper || has_verb || capability::is_elevated()).then(|| helper::serve(&arguments))
}
