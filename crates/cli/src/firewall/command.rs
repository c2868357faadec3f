//! What firewall-cmd does, but for zones' settings.
use network::policy::zones::{
    Fault, Firewall, Permanent, RichRule, Setting, builtin_services, icmp_type, icmp_types,
};

use super::options::{Group, Options, USAGE};
use super::{Backend, Output, print, zone};

/// Exit codes of firewall-cmd that are no fault's.
const USAGE_CODE: u8 = 2;
const NOT_RUNNING: u8 = 252;

const HELP: &str = "
Usage: gasang firewall NET [OPTIONS...]

Options of this command alone
  --start              Start the firewall of the network, now and whenever it runs
  --stop               Stop it

Options of firewall-cmd
  -h, --help -V, --version -v, --verbose -q, --quiet
  --state --reload --complete-reload --runtime-to-permanent --check-config
  --permanent --zone=<zone> --timeout=<seconds>[s|m|h]
  --get-default-zone --set-default-zone=<zone> --get-active-zones --get-zones --get-services --get-icmptypes
  --get-zone-of-source=<source> --list-all-zones --list-all
  --info-zone=<zone> --info-service=<service> --info-icmptype=<icmptype>
  --new-zone=<zone> --delete-zone=<zone> --path-zone=<zone> --set-target=<target> --get-target   [with --permanent]
  --new-service=<service> --delete-service=<service> --service=<service> --add-port=<port>       [with --permanent]
  --{add,remove,query}-{service,port,protocol,source-port,icmp-block,forward-port,rich-rule,source,interface}=<…>
  --{add,remove,query}-{masquerade,forward,icmp-block-inversion}
  --{change}-{source,interface}=<…>
  --list-{services,ports,protocols,source-ports,icmp-blocks,forward-ports,rich-rules,sources,interfaces}
  --panic-on --panic-off --query-panic
";

/// Both states, to be changed.
pub struct States<'a> {
    pub backend: &'a mut dyn Backend,
    pub firewall: Firewall,
    pub permanent: Permanent,
    /// As it is on disk.
    saved: Permanent,
}

impl States<'_> {
    /// Puts the changed state in force.
    pub fn apply(&mut self, cut: bool) -> anyhow::Result<()> {
        self.backend.set_firewall(&self.firewall, cut)
    }
    /// Writes the changed state.
    pub fn save(&mut self) -> anyhow::Result<()> {
        self.permanent.save(self.backend.directory(), &self.saved)?;
        self.saved = self.permanent.clone();
        Ok(())
    }
}

/// Does what firewall-cmd would, on a network.
pub fn execute(arguments: &[String], backend: &mut dyn Backend) -> anyhow::Result<Output> {
    let mut output = Output::default();
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(complaint) => return Ok(output.end(&format!("{USAGE}\n{complaint}"), USAGE_CODE)),
    };
    output.quiet = options.has("--quiet");
    if let Err(complaint) = check(&options) {
        // Whoever wants to see something cannot want to see nothing.
        output.quiet &= !complaint.starts_with('-');
        return Ok(output.end(&complaint, USAGE_CODE));
    }
    if options.has("--help") {
        output.out += HELP;
        return Ok(output);
    }
    // A network that has no directory was never started, and asking is no reason to make one.
    let is_known = options.has("--start") || backend.directory().exists();
    let _lock = is_known.then(|| Permanent::lock(backend.directory())).transpose()?;
    let permanent = Permanent::load(backend.directory())?;
    let found = backend.firewall()?;
    let is_here = found.is_some();
    let mut firewall = found.unwrap_or_default();
    firewall.expire(backend.now());
    let mut states = States { backend, firewall, saved: permanent.clone(), permanent };
    if options.has("--start") || options.has("--stop") {
        start_or_stop(&mut states, options.has("--start"), is_here)?;
        return Ok(output.end("success", 0));
    }
    let is_running = is_here && states.firewall.running;
    if options.of(Group::Standalone).is_none()
        && options.of(Group::Config).is_none()
        && zone_option(&options).is_none()
    {
        let state = if is_running { "running" } else { "not running" };
        let complaint = format!("State: {state}\n\nNo options specified\n{USAGE}");
        return Ok(output.end(&complaint, USAGE_CODE));
    }
    if !is_running {
        let told = if options.has("--state") { "not running" } else { "FirewallD is not running" };
        return Ok(output.end(told, NOT_RUNNING));
    }
    if zone_option(&options).is_some() {
        return zone::execute(&options, &mut states, output);
    }
    let result = match options.of(Group::Config) {
        Some(option) => configure(option, &options, &mut states, &mut output)?,
        None => stand_alone(&options, &mut states, &mut output)?,
    };
    Ok(finish(result, output))
}

/// What is left to say.
pub enum Done {
    /// Nothing.
    Silent(u8),
    /// That it was done.
    Success,
}

/// Says how it went.
pub fn finish(result: Result<Done, Fault>, mut output: Output) -> Output {
    match result {
        Ok(Done::Success) => output.end("success", 0),
        Ok(Done::Silent(code)) => {
            output.code = code;
            output
        }
        Err(fault) if fault.is_remark() => {
            output.complain(&format!("Warning: {fault}"));
            output.end("success", 0)
        }
        Err(fault) => output.end(&format!("Error: {fault}"), fault.code.number()),
    }
}

/// The option about a zone's or a service's setting.
fn zone_option(options: &Options) -> Option<&'static str> {
    options.of(Group::Zone).or(options.of(Group::Service))
}

/// Options that are read-only and long: of a state as a whole.
const CONFIG: [&str; 9] = [
    "--get-zones",
    "--get-services",
    "--get-icmptypes",
    "--list-all-zones",
    "--get-zone-of-interface",
    "--get-zone-of-source",
    "--info-zone",
    "--info-icmptype",
    "--info-service",
];

/// Combinations that make no sense, in firewall-cmd's order.
fn check(options: &Options) -> Result<(), String> {
    let usage = |what: &str| Err(format!("{USAGE}\n{what}"));
    let has = |name| options.has(name);
    let is_config = options.of(Group::Standalone).is_some_and(|name| CONFIG.contains(&name));
    let stands_alone = options.of(Group::Standalone).is_some() && !is_config;
    let of_zone = zone_option(options).is_some()
        || has("--zone")
        || options.value("--timeout").is_some_and(|t| t != "0");
    if stands_alone && (of_zone || has("--permanent") || options.of(Group::Config).is_some()) {
        return usage("Can't use stand-alone options with other options.");
    }
    let needs_permanent = options.of(Group::Config).is_some()
        || (has("--service") && zone_option(options).is_some())
        || has("--get-target")
        || has("--set-target");
    if needs_permanent && !has("--permanent") {
        return usage("Option can be used only with --permanent.");
    }
    if is_config && of_zone {
        return usage("Wrong usage of --get-zones | --get-services | --get-icmptypes | --get-policies.");
    }
    let timeout = options.value("--timeout").unwrap_or("0");
    let Some(seconds) = seconds_of(timeout) else {
        return usage(&format!("'{timeout}' is wrong timeout value. Use for example '2m' or '1h'"));
    };
    let adds = options.of(Group::Zone).is_some_and(|name| {
        name.starts_with("--add-")
            && !matches!(name, "--add-source" | "--add-interface" | "--add-icmp-block-inversion")
    });
    if seconds > 0 && !adds {
        return usage("Wrong --timeout usage");
    }
    if seconds > 0 && has("--permanent") {
        return usage("Can't specify timeout for permanent action.");
    }
    let lists = options
        .of(Group::Zone)
        .is_some_and(|name| name.starts_with("--list-") && name != "--list-source-ports")
        || has("--get-target")
        || is_config
        || ["--help", "--version", "--get-default-zone", "--get-active-zones"].into_iter().any(has);
    if has("--quiet") && lists {
        return Err("-q/--quiet can't be used with this option(s)".to_owned());
    }
    Ok(())
}

/// Of `--timeout`: a number, of seconds unless a letter says of what.
pub fn seconds_of(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "s" | "S" => 1,
        "m" | "M" => 60,
        "h" | "H" => 3600,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn start_or_stop(states: &mut States<'_>, start: bool, is_here: bool) -> anyhow::Result<()> {
    states.permanent.started = start;
    states.save()?;
    if is_here && states.firewall.running != start {
        states.firewall = states.permanent.to_firewall();
        states.apply(false)?;
    }
    Ok(())
}

/// Zones and services come and go.
fn configure(
    option: &str,
    options: &Options,
    states: &mut States<'_>,
    output: &mut Output,
) -> anyhow::Result<Result<Done, Fault>> {
    let name = options.value(option).unwrap_or_default();
    let permanent = &mut states.permanent;
    let result = match option {
        "--new-zone" => permanent.new_zone(name),
        "--delete-zone" => permanent.delete_zone(name),
        "--new-service" => permanent.new_service(name),
        "--delete-service" => permanent.delete_service(name),
        _ => {
            if let Err(fault) = permanent.zone(name) {
                return Ok(Err(fault));
            }
            let path = Permanent::zone_path(states.backend.directory(), name);
            output.line(&path.map_or_else(|| "built-in".to_owned(), |path| path.display().to_string()));
            return Ok(Ok(Done::Silent(0)));
        }
    };
    if result.is_ok() {
        states.save()?;
    }
    Ok(result.map(|()| Done::Success))
}

fn stand_alone(
    options: &Options,
    states: &mut States<'_>,
    output: &mut Output,
) -> anyhow::Result<Result<Done, Fault>> {
    let Some(option) = options.of(Group::Standalone) else { return Ok(Ok(Done::Success)) };
    let value = options.value(option).unwrap_or_default().to_owned();
    Ok(match option {
        "--state" => Ok(say(output, "running")),
        "--version" => Ok(say(output, env!("CARGO_PKG_VERSION"))),
        "--check-config" => states.permanent.to_firewall().check_all().map(|()| Done::Success),
        "--reload" | "--complete-reload" => reload(states, option == "--complete-reload")?,
        "--runtime-to-permanent" => {
            states.permanent.zones.clone_from(&states.firewall.zones);
            states.save()?;
            Ok(Done::Success)
        }
        "--panic-on" | "--panic-off" => {
            let result = states.firewall.set_panic(option == "--panic-on");
            if result.is_ok() {
                states.apply(false)?;
            }
            result.map(|()| Done::Success)
        }
        "--query-panic" => Ok(answer(output, states.firewall.panic)),
        "--get-default-zone" => Ok(say(output, &states.firewall.default_zone)),
        "--set-default-zone" => {
            let result = states.firewall.set_default_zone(&value);
            if result.is_ok() {
                states.permanent.default_zone = value;
                states.save()?;
                states.apply(false)?;
            }
            result.map(|()| Done::Success)
        }
        _ => look(option, &value, options, states, output),
    })
}

/// What is on disk gets in force. Panic mode stays, and so do tracked flows unless they are to be cut.
fn reload(states: &mut States<'_>, cut: bool) -> anyhow::Result<Result<Done, Fault>> {
    let firewall = Firewall { running: true, panic: states.firewall.panic, ..states.permanent.to_firewall() };
    if let Err(fault) = firewall.check_all() {
        return Ok(Err(fault));
    }
    states.firewall = firewall;
    states.apply(cut)?;
    Ok(Ok(Done::Success))
}

/// Options that only print something, of the one state or the other.
fn look(
    option: &str,
    value: &str,
    options: &Options,
    states: &States<'_>,
    output: &mut Output,
) -> Result<Done, Fault> {
    let is_permanent = options.has("--permanent");
    let view = match is_permanent {
        true => &states.permanent.to_firewall(),
        false => &states.firewall,
    };
    let verbose = options.has("--verbose");
    match option {
        "--get-zones" => Ok(say(output, &print::words(view.zones.keys()))),
        "--get-services" => {
            let names: std::collections::BTreeSet<&String> =
                builtin_services().keys().chain(view.services.keys()).collect();
            Ok(say(output, &print::words(names)))
        }
        "--get-icmptypes" => Ok(say(output, &print::words(icmp_types().iter().map(|known| known.name)))),
        "--get-active-zones" => {
            print::active_zones(view).lines().for_each(|line| output.line(line));
            Ok(Done::Silent(0))
        }
        "--list-all-zones" => {
            for (name, zone) in &view.zones {
                output.line(&print::zone(name, zone, verbose));
                output.line("");
            }
            Ok(Done::Silent(0))
        }
        "--info-zone" => Ok(say(output, &print::zone(value, view.zone(value)?, verbose))),
        "--info-service" => match view.service(value) {
            Some(service) => Ok(say(output, &print::service(value, service, verbose))),
            None => Err(Fault::new(network::policy::zones::FaultCode::InvalidService, value)),
        },
        "--info-icmptype" => match icmp_type(value) {
            Some(known) => {
                let versions = [known.ipv4.map(|_| "ipv4"), known.ipv6.map(|_| "ipv6")];
                let versions = print::words(versions.into_iter().flatten());
                Ok(say(output, &format!("{value}\n  destination: {versions}")))
            }
            None => Err(Fault::new(network::policy::zones::FaultCode::InvalidIcmpType, value)),
        },
        _ => {
            let setting: fn(String) -> Setting = match option {
                "--get-zone-of-source" => Setting::Source,
                _ => Setting::Interface,
            };
            match view.bound_to(&setting(value.to_owned())) {
                Some(zone) => Ok(say(output, zone)),
                None => {
                    output.complain("no zone");
                    Ok(Done::Silent(USAGE_CODE))
                }
            }
        }
    }
}

/// A line, and nothing more.
pub fn say(output: &mut Output, text: &str) -> Done {
    output.line(text);
    Done::Silent(0)
}

/// Yes or no, as text and as exit code.
pub fn answer(output: &mut Output, is: bool) -> Done {
    output.line(if is { "yes" } else { "no" });
    Done::Silent(u8::from(!is))
}

/// A rule as it was typed, and what it says.
pub fn rich_rule(text: &str) -> Result<Setting, Fault> {
    Ok(Setting::RichRule { rule: Box::new(text.parse::<RichRule>()?), typed: text.to_owned() })
}
