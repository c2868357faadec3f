//! `gasang sg create`.
use clap::Args;

use crate::exit::Code;
use crate::policy::change_groups;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang sg create web\n  gasang sg create db --description 'data bases'"
)]
pub struct Create {
    /// The group's name
    group: String,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

impl Create {
    /// Makes the group.
    pub fn execute(self) -> anyhow::Result<Code> {
        change_groups(false, |groups| Ok(groups.create(&self.group, &self.description)?))?;
        Ok(Code::OK)
    }
}
