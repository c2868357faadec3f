//! The tests by what they are about.

mod clock;
mod console;
mod cpus;
mod disks;
mod ends;
mod kernels;
mod networks;
mod nics;
mod results;
mod translations;

use crate::Verdict;
use crate::lab::Lab;

/// One test.
pub struct Case {
    /// `group/name`.
    pub name: String,
    /// Runs it.
    pub run: Box<Run>,
}

/// What a test does.
type Run = dyn Fn(&Lab) -> anyhow::Result<Verdict>;

impl Case {
    /// Whether nothing else should run beside it.
    pub fn is_alone(&self) -> bool {
        ["clock/", "cpus/", "console/", "ends/", "translations/"]
            .iter()
            .any(|group| self.name.starts_with(group))
    }
    /// A test that can run anywhere.
    fn new(name: impl Into<String>, run: impl Fn(&Lab) -> anyhow::Result<()> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(move |lab| run(lab).map(|()| Verdict::Passed)) }
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let groups = [
        kernels::cases(),
        cpus::cases(),
        console::cases(),
        ends::cases(),
        results::cases(),
        clock::cases(),
        translations::cases(),
        disks::cases(),
        networks::cases(),
        nics::cases(),
    ];
    groups.into_iter().flatten().collect()
}
