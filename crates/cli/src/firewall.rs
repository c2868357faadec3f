//! firewall-cmd for networks: its options, its outputs, its exit codes.
//!
//! - [`options`]: the command line, read as firewall-cmd does
//! - [`command`]: what it does
//! - [`zone`]: what it does with a zone
//! - [`print`]: zones and services for people

mod backend;
mod command;
mod options;
mod print;
mod zone;

pub use backend::{Backend, Live};
pub use command::execute;

/// What is printed, and the exit code.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// To stdout.
    pub out: String,
    /// To stderr.
    pub err: String,
    /// The exit code.
    pub code: u8,
    /// Nothing is to be printed.
    quiet: bool,
}

impl Output {
    /// A line to stdout.
    fn line(&mut self, text: &str) {
        if !self.quiet {
            self.out += &format!("{text}\n");
        }
    }
    /// A line to stderr.
    fn complain(&mut self, text: &str) {
        if !self.quiet {
            self.err += &format!("{text}\n");
        }
    }
    /// The end, with a line of its own to stderr if it is no good end.
    fn end(mut self, text: &str, code: u8) -> Self {
        if code > 1 {
            self.complain(text)
        } else {
            self.line(text)
        }
        self.code = code;
        self
    }
}

#[cfg(test)]
mod tests;
