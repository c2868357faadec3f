//! Changes of groups.
use super::{DEFAULT, Direction, Group, Groups, Peer, Rule, RuleId};

/// Groups, rules and members at most; more than anybody wants, and little enough for a message.
const GROUPS_MAX: usize = 1000;
const RULES_MAX: usize = 2000;

/// A change that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupsError {
    /// No such group.
    #[error("no security group is called {0:?}")]
    NoGroup(String),
    /// No such rule.
    #[error("the security group {group:?} has no rule {rule}")]
    NoRule {
        /// The group.
        group: String,
        /// The rule's number.
        rule: RuleId,
    },
    /// The machine is not in the group.
    #[error("{member:?} is not in the security group {group:?}")]
    NotAssigned {
        /// The machine or card.
        member: String,
        /// The group.
        group: String,
    },
    /// The name is taken.
    #[error("a security group called {0:?} exists already")]
    Exists(String),
    /// The same rule is there already.
    #[error("rule {rule} of the security group {group:?} says that already")]
    SameRule {
        /// The group.
        group: String,
        /// The rule's number.
        rule: RuleId,
    },
    /// Machines are in the group, or rules name it.
    #[error("the security group {group:?} is in use by {by}")]
    InUse {
        /// The group.
        group: String,
        /// A machine, or a rule of another group.
        by: String,
    },
    /// It always exists.
    #[error("the security group \"default\" cannot be removed")]
    Default,
    /// A name that cannot be one.
    #[error("{0:?} is no name: 1 to 64 letters, digits, '-', '_' and '.', the first no '.' or '-'")]
    Name(String),
    /// Too many groups or rules.
    #[error("there are too many of them already: {0}")]
    TooMany(usize),
}

impl Groups {
    /// Makes a group that lets everything out and nothing in.
    pub fn create(&mut self, name: &str, description: &str) -> Result<(), GroupsError> {
        check_name(name)?;
        if self.groups.contains_key(name) {
            return Err(GroupsError::Exists(name.to_owned()));
        }
        if self.groups.len() >= GROUPS_MAX {
            return Err(GroupsError::TooMany(GROUPS_MAX));
        }
        let rules = vec![Rule::any(1, Direction::Egress, Peer::Anybody)];
        let group = Group { description: description.to_owned(), rules, last_rule: 1 };
        self.groups.insert(name.to_owned(), group);
        Ok(())
    }
    /// Removes a group that nobody uses.
    pub fn remove(&mut self, name: &str) -> Result<(), GroupsError> {
        self.group_mut(name)?;
        if name == DEFAULT {
            return Err(GroupsError::Default);
        }
        let in_use = |by: String| GroupsError::InUse { group: name.to_owned(), by };
        let is_this = |group: &String| group == name;
        if let Some((member, _)) = self.assignments.iter().find(|(_, groups)| groups.iter().any(is_this)) {
            return Err(in_use(member.clone()));
        }
        for (other, group) in self.groups.iter().filter(|(other, _)| *other != name) {
            let names_it = |rule: &&Rule| matches!(&rule.peer, Peer::Group(group) if group == name);
            if let Some(rule) = group.rules.iter().find(names_it) {
                return Err(in_use(format!("rule {} of {other:?}", rule.id)));
            }
        }
        self.groups.remove(name);
        Ok(())
    }
    /// Adds a rule; its number is given to it here.
    pub fn allow(&mut self, name: &str, rule: Rule) -> Result<RuleId, GroupsError> {
        if let Peer::Group(peer) = &rule.peer {
            self.group_mut(&peer.clone())?;
        }
        let group = self.group_mut(name)?;
        if let Some(same) = group.rules.iter().find(|other| other.says_the_same(&rule)) {
            return Err(GroupsError::SameRule { group: name.to_owned(), rule: same.id });
        }
        if group.rules.len() >= RULES_MAX {
            return Err(GroupsError::TooMany(RULES_MAX));
        }
        group.last_rule = group.last_rule.saturating_add(1);
        let id = group.last_rule;
        group.rules.push(Rule { id, ..rule });
        Ok(id)
    }
    /// Removes a rule.
    pub fn revoke(&mut self, name: &str, id: RuleId) -> Result<Rule, GroupsError> {
        let group = self.group_mut(name)?;
        let place = group.rules.iter().position(|rule| rule.id == id);
        let place = place.ok_or_else(|| GroupsError::NoRule { group: name.to_owned(), rule: id })?;
        Ok(group.rules.remove(place))
    }
    /// Puts a machine, or one of its cards, into groups.
    pub fn assign(&mut self, member: &str, names: &[String]) -> Result<(), GroupsError> {
        check_member(member)?;
        for name in names {
            self.group_mut(name)?;
        }
        let of_member = self.assignments.entry(member.to_owned()).or_default();
        for name in names.iter().filter(|name| !of_member.contains(name)).collect::<Vec<_>>() {
            of_member.push(name.clone());
        }
        Ok(())
    }
    /// Takes a machine, or one of its cards, out of groups; out of all of them if none is named.
    pub fn unassign(&mut self, member: &str, names: &[String]) -> Result<(), GroupsError> {
        check_member(member)?;
        let absent =
            |group: &str| GroupsError::NotAssigned { member: member.to_owned(), group: group.to_owned() };
        let of_member = self
            .assignments
            .get_mut(member)
            .ok_or_else(|| absent(names.first().map_or("", String::as_str)))?;
        if let Some(name) = names.iter().find(|name| !of_member.contains(name)) {
            return Err(absent(name));
        }
        of_member.retain(|name| !names.is_empty() && !names.contains(name));
        if of_member.is_empty() {
            self.assignments.remove(member);
        }
        Ok(())
    }

    fn group_mut(&mut self, name: &str) -> Result<&mut Group, GroupsError> {
        self.groups.get_mut(name).ok_or_else(|| GroupsError::NoGroup(name.to_owned()))
    }
}

fn check_member(member: &str) -> Result<(), GroupsError> {
    let (vm, nic) = member.split_once(':').unwrap_or((member, "0"));
    check_name(vm).and(check_name(nic)).map_err(|_| GroupsError::Name(member.to_owned()))
}

fn check_name(name: &str) -> Result<(), GroupsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=64).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with(['.', '-']);
    if fits { Ok(()) } else { Err(GroupsError::Name(name.to_owned())) }
}
