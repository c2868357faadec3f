//! Settings of a zone: added, removed, asked for, listed.
use network::policy::zones::{
    Fault, FaultCode, PortSpec, Setting, Zone, parse_forward_port, parse_port_spec,
};

use super::command::{Done, States, answer, finish, rich_rule, say, seconds_of};
use super::options::{Group, Options};
use super::{Output, print};

/// Several errors of several kinds.
const UNKNOWN_ERROR: u8 = 254;

/// What is done with settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Add,
    Remove,
    Query,
    Change,
}

/// Where it is done.
struct Place<'a> {
    zone: String,
    is_permanent: bool,
    until: Option<u64>,
    options: &'a Options,
}

/// Does what an option about a zone says.
pub fn execute(options: &Options, states: &mut States<'_>, mut output: Output) -> anyhow::Result<Output> {
    if options.has("--service") {
        return of_service(options, states, output);
    }
    let is_permanent = options.has("--permanent");
    let timeout = options.value("--timeout").and_then(seconds_of).filter(|seconds| *seconds > 0);
    let until = timeout.map(|seconds| states.backend.now().saturating_add(seconds));
    let zone = match options.value("--zone") {
        Some(zone) => zone.to_owned(),
        None => {
            let default = states.firewall.default_zone.clone();
            if options.has("--verbose") {
                output.line(&format!("No zone specified, using default zone, i.e. '{default}'"));
            }
            warn_of_default(states, &default, &mut output);
            default
        }
    };
    let place = Place { zone, is_permanent, until, options };
    let Some(option) = options.of(Group::Zone) else { return Ok(output.end("success", 0)) };
    let act = [
        ("--add-", Act::Add),
        ("--remove-", Act::Remove),
        ("--query-", Act::Query),
        ("--change-", Act::Change),
    ]
    .into_iter()
    .find_map(|(prefix, act)| Some((act, option.strip_prefix(prefix)?)));
    match act {
        Some((act, what)) => change(act, option, what, &place, states, output),
        None if option == "--set-target" => {
            let target = options.value("--set-target").unwrap_or_default();
            let result = states.permanent.set_target(&place.zone, target);
            if result.is_ok() {
                states.save()?;
            }
            Ok(finish(result.map(|()| Done::Success), output))
        }
        None => {
            let result = list(option, &place, states, &mut output);
            Ok(finish(result, output))
        }
    }
}

/// Whoever changes the default zone while only others have something bound to them is told so.
fn warn_of_default(states: &States<'_>, default: &str, output: &mut Output) {
    let is_active = |zone: &&Zone| !zone.interfaces.is_empty() || !zone.sources.is_empty();
    let zones = &states.firewall.zones;
    let active: Vec<&str> =
        zones.iter().filter(|(_, zone)| is_active(zone)).map(|(name, _)| name.as_str()).collect();
    if let Some(first) = active.first()
        && !active.contains(&default)
    {
        output.line(&format!("You're performing an operation over default zone ('{default}'),"));
        output.line(&format!(
            "but your connections/interfaces are in zone '{}' (see --get-active-zones)",
            active.join(",")
        ));
        output.line(&format!("You most likely need to use --zone={first} option.\n"));
    }
}

fn setting_of(what: &str, text: &str) -> Result<Setting, Fault> {
    let owned = text.to_owned();
    Ok(match what {
        "service" if text.is_empty() => return Err(Fault::new(FaultCode::InvalidService, "")),
        "service" => Setting::Service(owned),
        "port" => Setting::Port(parse_port_spec(text)?),
        "source-port" => Setting::SourcePort(parse_port_spec(text)?),
        "protocol" => Setting::Protocol(owned),
        "icmp-block" => Setting::IcmpBlock(owned),
        "forward-port" => Setting::ForwardPort(parse_forward_port(text)?),
        "rich-rule" => rich_rule(text)?,
        "source" => Setting::Source(owned),
        "interface" => Setting::Interface(owned),
        "masquerade" => Setting::Masquerade,
        "forward" => Setting::Forward,
        _ => Setting::IcmpBlockInversion,
    })
}

/// Does the same with all values of an option. Of several, those that make sense are done, and the others are warned
/// of; the exit code tells only when all of them failed.
fn change(
    act: Act,
    option: &str,
    what: &str,
    place: &Place<'_>,
    states: &mut States<'_>,
    mut output: Output,
) -> anyhow::Result<Output> {
    let values = place.options.values(option);
    let settings: Vec<Result<Setting, Fault>> = values.iter().map(|value| setting_of(what, value)).collect();
    if act == Act::Query {
        return Ok(query(settings, place, states, output));
    }
    let (mut codes, mut done) = (Vec::new(), 0);
    let is_alone = settings.len() == 1;
    let (parsed, wrong): (Vec<_>, Vec<_>) = settings.into_iter().partition(Result::is_ok);
    let done_with =
        parsed.into_iter().map(|setting| setting.and_then(|setting| apply(act, &setting, place, states)));
    for result in wrong.into_iter().map(|wrong| wrong.map(|_| ())).chain(done_with.collect::<Vec<_>>()) {
        match result {
            Ok(()) => done += 1,
            Err(fault) if is_alone => return Ok(finish(Err(fault), output)),
            Err(fault) => {
                output.complain(&format!("Warning: {fault}"));
                let code = if fault.is_remark() { 0 } else { fault.code.number() };
                if !codes.contains(&code) {
                    codes.push(code);
                }
            }
        }
    }
    if done > 0 && place.is_permanent {
        states.save()?;
    } else if done > 0 {
        states.apply(false)?;
    }
    if done > 0 || codes.contains(&0) {
        return Ok(output.end("success", 0));
    }
    output.code = if let [code] = codes[..] { code } else { UNKNOWN_ERROR };
    Ok(output)
}

fn apply(act: Act, setting: &Setting, place: &Place<'_>, states: &mut States<'_>) -> Result<(), Fault> {
    let zone = &place.zone;
    match (act, place.is_permanent) {
        (Act::Add, true) => states.permanent.add(zone, setting),
        (Act::Remove, true) => states.permanent.remove(zone, setting),
        (_, true) => states.permanent.change(zone, setting),
        (Act::Add, false) => states.firewall.add(zone, setting, place.until),
        (Act::Remove, false) => states.firewall.remove(zone, setting),
        (_, false) => states.firewall.change(zone, setting),
    }
}

fn query(
    settings: Vec<Result<Setting, Fault>>,
    place: &Place<'_>,
    states: &States<'_>,
    mut output: Output,
) -> Output {
    let is_alone = settings.len() == 1;
    let (parsed, wrong): (Vec<_>, Vec<_>) = settings.into_iter().partition(Result::is_ok);
    for setting in wrong.into_iter().chain(parsed) {
        let found = setting.and_then(|setting| {
            let is = match place.is_permanent {
                true => states.permanent.query(&place.zone, &setting),
                false => states.firewall.query(&place.zone, &setting),
            };
            is.map(|is| (setting, is))
        });
        match found {
            Ok((_, is)) if is_alone => {
                let done = answer(&mut output, is);
                return finish(Ok(done), output);
            }
            Ok((setting, is)) => {
                let is = if is { "yes" } else { "no" };
                output.line(&format!("'{}': {is}", shown(&setting)));
            }
            Err(fault) if is_alone => return finish(Err(fault), output),
            Err(fault) => output.complain(&format!("Warning: {fault}")),
        }
    }
    output
}

/// As answers to several questions at once name it.
fn shown(setting: &Setting) -> String {
    match setting {
        Setting::Port(spec) | Setting::SourcePort(spec) => spec.to_string(),
        Setting::ForwardPort(forward) => {
            let text = forward.to_string();
            if forward.to_address.is_none() { text + "None" } else { text }
        }
        other => other.permanent_text(),
    }
}

fn list(option: &str, place: &Place<'_>, states: &States<'_>, output: &mut Output) -> Result<Done, Fault> {
    let zone = match place.is_permanent {
        true => states.permanent.zone(&place.zone)?,
        false => states.firewall.zone(&place.zone)?,
    };
    let text = match option {
        "--list-services" => print::sorted(&zone.services),
        "--list-ports" => print::sorted_ports(&zone.ports),
        "--list-protocols" => print::sorted(&zone.protocols),
        "--list-source-ports" => print::sorted_ports(&zone.source_ports),
        "--list-icmp-blocks" => print::sorted(&zone.icmp_blocks),
        "--list-sources" => print::words(&zone.sources),
        "--list-interfaces" => print::words(&zone.interfaces),
        "--list-forward-ports" => print::lines(&zone.forward_ports),
        "--list-rich-rules" => print::lines(&zone.rules),
        "--get-target" => zone.target.name().to_owned(),
        _ => print::zone(&place.zone, zone, place.options.has("--verbose")),
    };
    Ok(say(output, &text))
}

/// `--service=…` with an option about its ports.
fn of_service(options: &Options, states: &mut States<'_>, mut output: Output) -> anyhow::Result<Output> {
    let name = options.value("--service").unwrap_or_default();
    let mut service = match states.permanent.services.get(name) {
        Some(service) => service.clone(),
        None => match states.permanent.to_firewall().service(name) {
            Some(service) => service.clone(),
            None => return Ok(finish(Err(Fault::new(FaultCode::InvalidService, name)), output)),
        },
    };
    if options.has("--get-ports") {
        let done = say(&mut output, &print::words(service.ports.iter().map(PortSpec::to_string)));
        return Ok(finish(Ok(done), output));
    }
    let parsed =
        |option| options.values(option).into_iter().map(parse_port_spec).collect::<Result<Vec<_>, _>>();
    let (added, removed) = match (parsed("--add-port"), parsed("--remove-port")) {
        (Ok(added), Ok(removed)) => (added, removed),
        (Err(fault), _) | (_, Err(fault)) => return Ok(finish(Err(fault), output)),
    };
    service.ports.retain(|spec| !removed.contains(spec));
    for spec in added {
        if !service.ports.contains(&spec) {
            service.ports.push(spec);
        }
    }
    states.permanent.services.insert(name.to_owned(), service);
    states.save()?;
    Ok(output.end("success", 0))
}
