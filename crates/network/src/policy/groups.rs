//! Security groups: who may speak to whom, as in clouds.
//!
//! Rules allow and never forbid. A card with at least one group may do what the rules of any of its groups allow, and a
//! flow that was let in may be answered. A card without groups is not filtered.

mod compiled;
mod edit;
mod parse;
mod rule;
mod store;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use compiled::{Compiled, Ordinal, Ruling};
pub use edit::GroupsError;
pub use parse::ParseError;
pub use rule::{Direction, IcmpMatch, Peer, PortRange, Rule, RuleId, RuleProtocol};
pub(in crate::policy) use store::write_whole;
pub use store::{StoreError, Stored};

/// The group that always exists: everything out, and in from its members.
pub const DEFAULT: &str = "default";

/// All groups, and who is in which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// Groups of a machine, for all of its cards, or of one card: `vm` or `vm:nic`.
    pub assignments: BTreeMap<String, Vec<String>>,
}

/// A security group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it allows.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// The number of the latest rule; numbers are not used again.
    #[serde(default)]
    pub last_rule: RuleId,
}

impl Default for Groups {
    fn default() -> Self {
        let mut groups = Self { groups: BTreeMap::new(), assignments: BTreeMap::new() };
        groups.complete();
        groups
    }
}

impl Groups {
    /// Adds the group that always exists, if it is not there.
    pub fn complete(&mut self) {
        self.groups.entry(DEFAULT.to_owned()).or_insert_with(|| {
            let everybody = Rule::any(1, Direction::Egress, Peer::Anybody);
            let members = Rule::any(2, Direction::Ingress, Peer::Group(DEFAULT.to_owned()));
            Group { description: String::new(), rules: vec![everybody, members], last_rule: 2 }
        });
    }
    /// Names of the groups of a machine's card: those of the card itself if there are any, else the machine's.
    pub fn of(&self, vm: &str, nic: &str) -> &[String] {
        let own = self.assignments.get(&format!("{vm}:{nic}"));
        own.or_else(|| self.assignments.get(vm)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
