//! `gasang sg revoke`.
use clap::Args;

use crate::exit::Code;
use crate::output::say;
use crate::policy::change_groups;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg revoke web 2\n  gasang sg revoke web 2 --cut")]
pub struct Revoke {
    /// The group's name
    group: String,
    /// The rule's number ('gasang sg ls GROUP' lists them)
    rule: u32,
    /// End connections that no rule allows any more; without it, they go on
    #[arg(long)]
    cut: bool,
}

impl Revoke {
    /// Removes the rule.
    pub fn execute(self) -> anyhow::Result<Code> {
        let rule = change_groups(self.cut, |groups| Ok(groups.revoke(&self.group, self.rule)?))?;
        say(&format!("{} has no rule {} any more: {rule}", self.group, self.rule));
        Ok(Code::OK)
    }
}
