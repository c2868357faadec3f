//! What this host offers for running guests: one finding per line, each with its meaning and what to do about it.

mod cpu;
mod guests;
mod kernel;
mod kvm;
mod network;

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; guests run.
    Note,
    /// Guests cannot run without it.
    Missing,
}

impl Level {
    /// For the table.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Missing => "MISSING",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub level: Level,
    /// What is there.
    pub found: String,
    /// What it is for.
    pub meaning: &'static str,
    /// What to do, if anything.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>, meaning: &'static str) -> Self {
        Self { name, level: Level::Ok, found: found.into(), meaning, advice: None }
    }

    fn lacking(self, level: Level, advice: impl Into<String>) -> Self {
        Self { level, advice: Some(advice.into()), ..self }
    }
}

/// Looks at everything.
pub fn probe_all() -> Vec<Finding> {
    let mut findings = cpu::probe();
    findings.push(kvm::probe());
    findings.extend(kernel::probe());
    findings.extend(network::probe());
    findings.extend(guests::probe());
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_as_it_should_be_has_advice() {
        let findings = probe_all();
        assert!(findings.len() >= 10);
        for finding in findings {
            assert_eq!(finding.level == Level::Ok, finding.advice.is_none(), "{finding:?}");
        }
    }
}
