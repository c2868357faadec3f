//! `gasang sg ls`.
use clap::Args;
use network::policy::groups::{Group, Groups, GroupsError};

use crate::exit::Code;
use crate::output;
use crate::policy;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg ls\n  gasang sg ls web\n  gasang sg ls --format json")]
pub struct Ls {
    /// A group, to list its rules and members
    group: Option<String>,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Ls {
    /// Prints the groups.
    pub fn execute(self) -> anyhow::Result<Code> {
        let mut groups = policy::groups()?;
        if let Some(name) = &self.group {
            if !groups.groups.contains_key(name) {
                return Err(GroupsError::NoGroup(name.clone()).into());
            }
            groups.groups.retain(|other, _| other == name);
            groups.assignments.retain(|_, of| of.contains(name));
        }
        match &self.group {
            None => output::print(self.format, &groups, table)?,
            Some(name) => output::print(self.format, &groups, |groups| rules(groups, name))?,
        }
        Ok(Code::OK)
    }
}

fn members(groups: &Groups, name: &str) -> String {
    let of = groups.assignments.iter().filter(|(_, of)| of.iter().any(|other| other == name));
    of.map(|(member, _)| member.as_str()).collect::<Vec<_>>().join(" ")
}

fn table(groups: &Groups) -> String {
    let row = |(name, group): (&String, &Group)| {
        vec![name.clone(), group.rules.len().to_string(), members(groups, name), group.description.clone()]
    };
    let rows: Vec<_> = groups.groups.iter().map(row).collect();
    output::table(&["GROUP", "RULES", "MEMBERS", "DESCRIPTION"], &rows)
}

fn rules(groups: &Groups, name: &str) -> String {
    let rules = groups.groups.get(name).map_or(&[][..], |group| &group.rules);
    let rows: Vec<_> = rules.iter().map(|rule| vec![rule.id.to_string(), rule.to_string()]).collect();
    output::table(&["RULE", "ALLOWS"], &rows) + &format!("members: {}\n", members(groups, name))
}
