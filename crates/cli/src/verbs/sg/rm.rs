//! `gasang sg rm`.
use clap::Args;

use crate::exit::Code;
use crate::policy::change_groups;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang sg rm web\n\nA group that machines are in, or that rules name, stays."
)]
pub struct Rm {
    /// The groups' names
    #[arg(required = true)]
    groups: Vec<String>,
}

impl Rm {
    /// Removes the groups, all or none.
    pub fn execute(self) -> anyhow::Result<Code> {
        change_groups(false, |groups| self.groups.iter().try_for_each(|group| Ok(groups.remove(group)?)))?;
        Ok(Code::OK)
    }
}
