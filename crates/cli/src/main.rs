//! The `gasang` command: one file per verb under `verbs/`; errors are printed and become exit codes here only.
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

mod console;
mod control;
mod disks;
mod doctor;
mod ending;
mod exit;
mod firewall;
mod guest_command;
mod heap;
mod logging;
mod memory;
mod networks;
mod nics;
mod output;
mod panic_watch;
mod policy;
mod quantity;
mod remote;
mod session;
mod signals;
mod statistics;
mod verbs;

/// Virtual machines from one binary, with or without /dev/kvm.
#[derive(Parser)]
#[command(name = "gasang", version, after_help = exit::HELP, subcommand_required = true)]
#[command(
    before_help = "Examples:\n  gasang run                 boot the default guest to a shell prompt\n  \
                         gasang doctor              say what this host offers\n  \
                         gasang run --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0'"
)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Boot a guest in the foreground, its console on this terminal
    Run(Box<verbs::run::Run>),
    /// Make, look at, convert and check disk images; attach them to running machines
    Disk(verbs::disk::Disk),
    /// Make and look at virtual networks; forward ports to guests
    Net(verbs::net::Net),
    /// Make guests with a disk
    Image(verbs::image::Image),
    /// Security groups: who may speak to whom
    Sg(verbs::sg::Sg),
    /// The firewall of a network, with firewall-cmd's own options
    Firewall(verbs::firewall::Firewall),
    /// Say what this host offers for running guests, and what to do about what it lacks
    Doctor(verbs::doctor::Doctor),
    /// Be the process of a network, as standard input says
    #[command(name = manager::networks::start::VERB, hide = true)]
    NetworkProcess,
}

fn main() -> ExitCode {
    heap::settle();
    if let Some(code) = verbs::net_helper::run() {
        return code;
    }
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let result = match command.verb {
        Verb::Run(run) => run.execute(),
        Verb::Disk(disk) => disk.execute(),
        Verb::Net(net) => net.execute(),
        Verb::NetworkProcess => verbs::network_process::execute(),
        Verb::Image(image) => image.execute(),
        Verb::Sg(sg) => sg.execute(),
        Verb::Firewall(firewall) => firewall.execute(),
        Verb::Doctor(doctor) => doctor.execute(),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) => report(&error),
    }
}

/// Prints help or what is wrong with the command line. A closed pipe is nobody's fault.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked_for { exit::Code::OK.into() } else { exit::Code::USAGE.into() }
}

/// The one place that prints errors.
fn report(error: &anyhow::Error) -> ExitCode {
    let mut text = format!("gasang: {error}");
    for source in error.chain().skip(1) {
        text += &format!(": {source}");
    }
    if let Some(advice) = exit::advice(error) {
        text += &format!("\n  {advice}");
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    exit::code_of(error).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Command::command().debug_assert();
    }
}
