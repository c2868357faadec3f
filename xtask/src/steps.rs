//! A task of several steps: each is announced, none is silently left out, the summary comes last.
use std::time::Instant;

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Steps so far.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(String, Verdict)>,
}

impl Steps {
    /// Runs a step. Later steps run even if it fails.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) {
        println!("==> {name}");
        let start = Instant::now();
        let verdict = match work() {
            Ok(()) => Verdict::Passed,
            Err(error) => Verdict::Failed(format!("{error:#}")),
        };
        match &verdict {
            Verdict::Failed(why) => println!("<== {name}: FAILED: {why}"),
            _ => println!("<== {name}: passed in {} s", start.elapsed().as_secs()),
        }
        self.done.push((name.to_owned(), verdict));
    }

    /// Records a step that cannot be done here.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!("<== {name}: SKIPPED: {why}");
        self.done.push((name.to_owned(), Verdict::Skipped(why.to_owned())));
    }

    /// Prints each step's verdict and the count of each; an error if one failed.
    pub fn finish(self) -> anyhow::Result<()> {
        println!();
        for (name, verdict) in &self.done {
            match verdict {
                Verdict::Passed => println!("passed   {name}"),
                Verdict::Failed(why) => println!("FAILED   {name}: {why}"),
                Verdict::Skipped(why) => println!("skipped  {name}: {why}"),
            }
        }
        let summary = self.summary();
        println!("{summary}");
        anyhow::ensure!(self.failed() == 0, "{} of {} steps failed", self.failed(), self.done.len());
        Ok(())
    }

    fn failed(&self) -> usize {
        self.done.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_))).count()
    }

    fn summary(&self) -> String {
        let skipped = self.done.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Skipped(_))).count();
        let failed = self.failed();
        format!("{} passed, {failed} failed, {skipped} skipped", self.done.len() - failed - skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_does_not_stop_the_rest_and_fails_the_whole() {
        let mut steps = Steps::default();
        steps.step("one", || anyhow::bail!("broken"));
        steps.step("two", || Ok(()));
        steps.skip("three", "no reason");
        assert_eq!(steps.summary(), "1 passed, 1 failed, 1 skipped");
        assert!(steps.finish().is_err());
    }
}
