//! Commands that are on their way, so that they can be given up.
use super::super::{Chain, Chains};

/// Tasks that are kept before those are looked for that are done.
const PRUNE_FROM: usize = 64;

/// A command that its unit works at.
pub struct Task {
    pub target: u8,
    pub tag: u64,
    pub chain: Chain,
}

impl Task {
    fn is_meant(&self, target: u8, tag: Option<u64>) -> bool {
        self.target == target && tag.is_none_or(|tag| self.tag == tag)
    }
}

/// The commands on their way, and some that are done.
#[derive(Default)]
pub struct Tasks {
    list: Vec<Task>,
    /// So long may the list become before it is looked through.
    limit: usize,
}

impl Tasks {
    /// Remembers a command.
    pub fn add(&mut self, task: Task, chains: &Chains<'_>) {
        if self.list.len() >= self.limit {
            self.list.retain(|task| chains.awaits(&task.chain));
            self.limit = (self.list.len() * 2).max(PRUNE_FROM);
        }
        self.list.push(task);
    }
    /// Whether a target's command with a tag, or any of its commands, is on its way.
    pub fn has(&self, chains: &Chains<'_>, target: u8, tag: Option<u64>) -> bool {
        self.list.iter().any(|task| task.is_meant(target, tag) && chains.awaits(&task.chain))
    }
    /// Forgets such commands, and returns their chains, also of some that are done.
    pub fn remove(&mut self, target: u8, tag: Option<u64>) -> Vec<Chain> {
        self.list.extract_if(.., |task| task.is_meant(target, tag)).map(|task| task.chain).collect()
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}
