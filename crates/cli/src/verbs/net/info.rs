//! `gasang net info`.
use api::{NetworkInfo, NetworkPort};
use clap::Args;

use super::ask;
use crate::exit::Code;
use crate::output;
use crate::quantity::show_size;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang net info lab\n  gasang net info web --format json")]
pub struct Info {
    /// The network, or the machine whose own network it is
    name: String,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Info {
    /// Prints what a running network says of itself.
    pub fn execute(self) -> anyhow::Result<Code> {
        output::print(self.format, &ask::info(&self.name)?, text)?;
        Ok(Code::OK)
    }
}

fn text(info: &NetworkInfo) -> String {
    let prefixes: Vec<&str> =
        [&info.prefix, &info.prefix6].into_iter().flatten().map(String::as_str).collect();
    let mut text = format!("{} ({}), process {}", info.name, info.mode, info.pid);
    if !prefixes.is_empty() {
        text += &format!(", {}", prefixes.join(" and "));
    }
    text += &format!("; {} connections to the outside\n", info.connections);
    let row = |port: &NetworkPort| {
        let addresses: Vec<String> = port.addresses.iter().map(ToString::to_string).collect();
        vec![
            port.vm.clone(),
            port.nic.clone(),
            port.mac.clone(),
            if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") },
            show_size(port.received_bytes),
            show_size(port.sent_bytes),
            (port.dropped + port.malformed).to_string(),
        ]
    };
    text += &output::table(
        &["MACHINE", "CARD", "MAC", "ADDRESSES", "FROM IT", "TO IT", "DROPPED"],
        &info.ports.iter().map(row).collect::<Vec<_>>(),
    );
    for forward in &info.forwards {
        let api::PortForward { carries, host, guest, guest_port } = forward;
        text += &format!("{host}/{carries} leads to {guest}, port {guest_port}\n");
    }
    text
}
