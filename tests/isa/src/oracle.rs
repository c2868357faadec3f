//! All runners together: a case runs on each, and the first one is right.
use std::sync::Arc;

use translator::Store;

use crate::amd;
use crate::bare::{BareCpu, BareError};
use crate::case::{Case, Runner};
use crate::compare;
use crate::engine::{Engine, Entry, Kind};
use crate::state::{Ending, Outcome};

/// Cases whose blocks a store holds; it has room for several times as many.
const CASES_A_STORE: u32 = 10_000;

/// The runners, the bare CPU first if it can serve.
pub struct Oracle {
    bare: Option<BareCpu>,
    engines: Vec<Engine>,
    outcomes: Vec<Outcome>,
    /// How many ran the last case.
    ran: usize,
    /// The last case did not end alike for all, so that code outside its window may differ now.
    clears_code: bool,
    /// Cases until the store is renewed.
    until_new_store: u32,
    /// The bare CPU is one of AMD's.
    amd: bool,
    /// Why there is no bare CPU.
    pub bare_missing: Option<BareError>,
}

impl Oracle {
    /// Interpreter, translator, and the bare CPU where it can serve.
    pub fn new(entry: Entry) -> anyhow::Result<Self> {
        // Engines first: the bare CPU's signal handlers chain to theirs.
        let kinds =
            [Kind::Interpreter, Kind::Light, Kind::Translator, Kind::Windows, Kind::Settled, Kind::Stored];
        let engines = kinds.into_iter().map(|kind| Engine::new(kind, entry)).collect::<Result<_, _>>()?;
        let (bare, bare_missing) = match BareCpu::new() {
            Ok(bare) => (Some(bare), None),
            Err(error) => (None, Some(error)),
        };
        let outcomes = vec![Outcome::default(); kinds.len() + 1];
        let amd = bare.is_some() && amd::is_here();
        Ok(Self { amd, bare, engines, outcomes, ran: 0, clears_code: true, until_new_store: 0, bare_missing })
    }

    /// Gives [`Kind::Settled`] a store whose blocks [`Kind::Stored`] takes, before the last one is full.
    fn renew_store(&mut self) {
        let Some(left) = self.until_new_store.checked_sub(1) else {
            self.until_new_store = CASES_A_STORE;
            let store = Arc::new(Store::open(None).expect("room for a store"));
            let sharing = |engine: &&mut Engine| matches!(engine.kind(), Kind::Settled | Kind::Stored);
            self.engines.iter_mut().filter(sharing).for_each(|engine| engine.share(&store));
            return;
        };
        self.until_new_store = left;
    }

    /// Changes how the engines enter cases.
    pub fn set_entry(&mut self, entry: Entry) {
        self.engines.iter_mut().for_each(|engine| engine.set_entry(entry));
    }

    /// Makes the engines start from nothing.
    pub fn forget(&mut self) {
        self.engines.iter_mut().for_each(|engine| engine.forget());
    }

    /// Name and outcome of everybody who ran the last case, the last of whom may have timed out; `with_bare` as it was
    /// passed to [`Oracle::run`].
    pub fn results(&self, with_bare: bool) -> Vec<(&dyn Runner, &Outcome)> {
        let bare = self.bare.iter().filter(|_| with_bare).map(|bare| bare as &dyn Runner);
        let engines = self.engines.iter().map(|engine| engine as &dyn Runner);
        bare.chain(engines).zip(&self.outcomes).take(self.ran).collect()
    }

    /// Runs a case on everybody (on the bare CPU only `with_bare`). Whether all agree with the first.
    pub fn run(&mut self, case: &Case, with_bare: bool) -> bool {
        self.execute(case, with_bare);
        self.agree(case, with_bare)
    }

    /// Runs a case on everybody.
    pub fn execute(&mut self, case: &Case, with_bare: bool) {
        self.renew_store();
        if std::mem::take(&mut self.clears_code) {
            // Who timed out wrote less than the others, or nothing.
            self.bare.iter_mut().for_each(Runner::clear_code);
            self.engines.iter_mut().for_each(Runner::clear_code);
        }
        self.ran = 0;
        let bare = self.bare.iter_mut().filter(|_| with_bare).map(|bare| bare as &mut dyn Runner);
        let engines = self.engines.iter_mut().map(|engine| engine as &mut dyn Runner);
        for (runner, outcome) in bare.chain(engines).zip(&mut self.outcomes) {
            runner.run(case, outcome);
            self.ran += 1;
            if outcome.ending == Ending::TimedOut {
                self.clears_code = true;
                break;
            }
        }
    }

    /// Whether all agree with the first about the case that was executed last.
    pub fn agree(&mut self, case: &Case, with_bare: bool) -> bool {
        let results = self.results(with_bare);
        let Some((first, rest)) = results.split_first() else { return true };
        if rest.iter().all(|result| compare::agree_exactly(case, *first, *result)) {
            return true;
        }
        let went_on = results.iter().any(|(runner, _)| compare::wrote_over_a_repetition(case, *runner));
        self.clears_code |= went_on;
        self.agree_as_far_as_they_must(case, with_bare)
    }

    fn agree_as_far_as_they_must(&self, case: &Case, with_bare: bool) -> bool {
        let mut results = self.results(with_bare).into_iter();
        let Some(first) = results.next() else { return true };
        let excused = |result| with_bare && self.amd && amd::excuses(case, first, result);
        results.all(|result| compare::agree(case, first, result) || excused(result))
    }

    /// What differs from the first runner in the last case, one line each.
    pub fn differences(&self, case: &Case, with_bare: bool) -> Vec<String> {
        let results = self.results(with_bare);
        let Some((first, rest)) = results.split_first() else { return Vec::new() };
        rest.iter().flat_map(|result| compare::differences(case, *first, *result)).collect()
    }

    /// The engines' counters, for reports.
    pub fn statistics(&self) -> Vec<(&'static str, Vec<(&'static str, u64)>)> {
        self.engines.iter().map(|engine| (engine.name(), engine.statistics())).collect()
    }
}
