//! `gasang sg`: security groups.
mod allow;
mod assign;
mod create;
mod ls;
mod revoke;
mod rm;
mod stats;
mod trace;

use clap::{Args, Subcommand};

use crate::exit::Code;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang sg create web --description 'web servers'\n  \
                         gasang sg allow web ingress tcp 80\n  gasang sg allow web ingress tcp 22 --from 192.0.2.0/24\n  \
                         gasang sg assign vm1 web\n  gasang sg ls web\n  \
                         gasang sg trace vm1 ingress tcp 80 --from 192.0.2.7\n  gasang sg revoke web 2 --cut\n\n\
                         Rules allow and never forbid: a card in groups may do what any of them allows, and be \
                         answered. A machine without a group is not filtered. Changes apply at once; connections go \
                         on unless --cut is given.")]
pub struct Sg {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a group, which lets everything out and nothing in
    Create(create::Create),
    /// List groups, or the rules and members of one
    Ls(ls::Ls),
    /// Remove a group that nobody uses
    Rm(rm::Rm),
    /// Add a rule to a group
    Allow(allow::Allow),
    /// Remove a rule from a group
    Revoke(revoke::Revoke),
    /// Put a machine, or one of its cards, into groups
    Assign(assign::Assign),
    /// Take a machine, or one of its cards, out of groups
    Unassign(assign::Unassign),
    /// Say which rule decides about a connection
    Trace(trace::Trace),
    /// Count what rules have let in, and what was dropped
    Stats(stats::Stats),
}

impl Sg {
    /// Does it.
    pub fn execute(self) -> anyhow::Result<Code> {
        match self.action {
            Action::Create(create) => create.execute(),
            Action::Ls(ls) => ls.execute(),
            Action::Rm(rm) => rm.execute(),
            Action::Allow(allow) => allow.execute(),
            Action::Revoke(revoke) => revoke.execute(),
            Action::Assign(assign) => assign.execute(),
            Action::Unassign(unassign) => unassign.execute(),
            Action::Trace(trace) => trace.execute(),
            Action::Stats(stats) => stats.execute(),
        }
    }
}
