//! Asking a machine that runs.
use api::{Failure, FailureKind, Reply, Request};
use manager::running::{Client, Kind, Place};

/// A machine's "no".
#[derive(Debug, thiserror::Error)]
#[error("{}", .failure.message)]
pub struct Refused {
    /// What it said.
    pub failure: Failure,
}

impl Refused {
    /// What kind of failure it is.
    pub fn kind(&self) -> FailureKind {
        self.failure.kind
    }
}

/// Asks the machine of a name; a failure on its side is an error here.
pub fn ask(machine: &str, request: Request) -> anyhow::Result<Reply> {
    match Client::connect(&Place::of(Kind::Machine), machine)?.ask(request)? {
        Reply::Failed(failure) => Err(Refused { failure }.into()),
        reply => Ok(reply),
    }
}

/// The machine answered something else than what was asked.
pub fn unexpected() -> anyhow::Error {
    anyhow::anyhow!("the machine gave an answer that does not fit the question")
}
