//! `gasang sg assign` and `gasang sg unassign`.
use clap::Args;

use crate::exit::Code;
use crate::policy::change_groups;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg assign vm1 web db\n  gasang sg assign vm1:eth1 db\n\n\
                         Groups of one card stand in the place of the machine's.")]
pub struct Assign {
    /// The machine's name, or machine and card
    #[arg(value_name = "VM[:NIC]")]
    member: String,
    /// Names of groups
    #[arg(required = true)]
    groups: Vec<String>,
}

impl Assign {
    /// Puts the machine into the groups.
    pub fn execute(self) -> anyhow::Result<Code> {
        change_groups(false, |groups| Ok(groups.assign(&self.member, &self.groups)?))?;
        Ok(Code::OK)
    }
}

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg unassign vm1 db\n  gasang sg unassign vm1\n\n\
                         A machine without a group is not filtered.")]
pub struct Unassign {
    /// The machine's name, or machine and card
    #[arg(value_name = "VM[:NIC]")]
    member: String,
    /// Names of groups [default: all of them]
    groups: Vec<String>,
    /// End connections that no rule allows any more; without it, they go on
    #[arg(long)]
    cut: bool,
}

impl Unassign {
    /// Takes the machine out of the groups.
    pub fn execute(self) -> anyhow::Result<Code> {
        change_groups(self.cut, |groups| Ok(groups.unassign(&self.member, &self.groups)?))?;
        Ok(Code::OK)
    }
}
