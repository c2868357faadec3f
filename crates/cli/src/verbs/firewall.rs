//! `gasang firewall`.
use clap::Args;

use crate::exit::Code;
use crate::firewall::{self, Live};
use crate::output;

#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  gasang firewall lab --start\n  gasang firewall lab --add-service=http\n  \
                         gasang firewall lab --permanent --add-port=8080/tcp\n  gasang firewall lab --reload\n  \
                         gasang firewall lab --list-all\n\n\
                         Flows to a guest pass the zone that has their source, or else the default zone. A firewall is \
                         off until --start, and off again after --stop. All other options, outputs and exit codes \
                         are firewall-cmd's; 'gasang firewall NET -- --help' lists them."
)]
pub struct Firewall {
    /// The network, or the machine whose own network it is
    network: String,
    /// Options of firewall-cmd, --start or --stop
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

impl Firewall {
    /// Does what firewall-cmd would.
    pub fn execute(self) -> anyhow::Result<Code> {
        let mut live = Live::new(&self.network)?;
        let output = firewall::execute(&self.options, &mut live)?;
        output::write(output.out.as_bytes())?;
        if !output.err.is_empty() {
            output::say(output.err.trim_end_matches('\n'));
        }
        Ok(Code(output.code))
    }
}
