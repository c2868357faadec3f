//! The command line, read as firewall-cmd does: long options, shortened as far as they stay unique, in groups of which only
//! one may be given.

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    Many,
}

/// Options of one group exclude one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Free,
    Output,
    /// Of everything.
    Standalone,
    /// Makes and removes zones and services.
    Config,
    /// Of a zone.
    Zone,
    /// Of a service.
    Service,
}

#[derive(Debug)]
struct Spec {
    name: &'static str,
    takes: Takes,
    group: Group,
}

macro_rules! specs {
    ($($group:ident $takes:ident: $($name:literal)*;)*) => {
        &[$($(Spec { name: $name, takes: Takes::$takes, group: Group::$group },)*)*]
    };
}

const SPECS: &[Spec] = specs! {
    Output Nothing: "--verbose" "--quiet";
    Standalone Nothing: "--help" "--version" "--state" "--reload" "--complete-reload" "--runtime-to-permanent"
        "--check-config" "--panic-on" "--panic-off" "--query-panic" "--get-default-zone";
    Standalone One: "--set-default-zone";
    Standalone Nothing: "--get-zones" "--get-services" "--get-icmptypes" "--get-active-zones" "--start" "--stop";
    Standalone Many: "--get-zone-of-interface" "--get-zone-of-source";
    Standalone Nothing: "--list-all-zones";
    Standalone One: "--info-zone" "--info-service" "--info-icmptype";
    Config One: "--new-zone" "--delete-zone" "--path-zone" "--new-service" "--delete-service";
    Free Nothing: "--permanent";
    Free One: "--zone" "--timeout" "--service";
    Service Nothing: "--get-ports";
    Zone Nothing: "--list-interfaces";
    Zone Many: "--add-interface" "--remove-interface" "--query-interface" "--change-interface";
    Zone Nothing: "--list-sources";
    Zone Many: "--add-source" "--remove-source" "--query-source" "--change-source"
        "--add-rich-rule" "--remove-rich-rule" "--query-rich-rule" "--add-service" "--remove-service" "--query-service"
        "--add-port" "--remove-port" "--query-port" "--add-protocol" "--remove-protocol" "--query-protocol"
        "--add-source-port" "--remove-source-port" "--query-source-port";
    Zone Nothing: "--add-forward" "--remove-forward" "--query-forward"
        "--add-masquerade" "--remove-masquerade" "--query-masquerade";
    Zone Many: "--add-icmp-block" "--remove-icmp-block" "--query-icmp-block";
    Zone Nothing: "--add-icmp-block-inversion" "--remove-icmp-block-inversion" "--query-icmp-block-inversion";
    Zone Many: "--add-forward-port" "--remove-forward-port" "--query-forward-port";
    Zone Nothing: "--list-rich-rules" "--list-services" "--list-ports" "--list-protocols" "--list-icmp-blocks"
        "--list-forward-ports" "--list-source-ports" "--list-all" "--get-target";
    Zone One: "--set-target";
};

/// Short names.
const SHORT: [(&str, &str); 4] =
    [("-v", "--verbose"), ("-q", "--quiet"), ("-h", "--help"), ("-V", "--version")];

/// First line of every complaint about the command line.
pub const USAGE: &str = "usage: 'firewall-cmd --help' for usage information or see firewall-cmd(1) man page";

/// What was given.
#[derive(Debug, Default)]
pub struct Options(Vec<(&'static Spec, String)>);

impl Options {
    /// Reads the arguments; an error is what is to be printed, behind [`USAGE`].
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        let error = |what: String| format!("firewall-cmd: error: {what}");
        let (mut options, mut odd) = (Self::default(), Vec::new());
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let Some(spec) = spec_of(name).map_err(error)? else {
                odd.push(argument.as_str());
                continue;
            };
            if let Some((other, _)) = options.0.iter().find(|(other, _)| excludes(other, spec)) {
                let (name, other) = (spec.shown(), other.shown());
                return Err(error(format!("argument {name}: not allowed with argument {other}")));
            }
            let value = match (spec.takes, value) {
                (Takes::Nothing, None) => String::new(),
                (Takes::Nothing, Some(value)) => {
                    return Err(error(format!(
                        "argument {}: ignored explicit argument '{value}'",
                        spec.shown()
                    )));
                }
                (_, Some(value)) => value,
                (_, None) => match rest.next_if(|next| !next.starts_with('-')) {
                    Some(value) => value.clone(),
                    None => return Err(error(format!("argument {}: expected one argument", spec.shown()))),
                },
            };
            options.0.push((spec, value));
        }
        if odd.is_empty() {
            Ok(options)
        } else {
            Err(error(format!("unrecognized arguments: {}", odd.join(" "))))
        }
    }
    /// Whether an option was given, with a value if it takes one.
    pub fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(spec, value)| spec.name == name && (spec.takes != Takes::One || !value.is_empty()))
    }
    /// The last value of an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().rev().filter(|(spec, value)| spec.name == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }
    /// The values of an option.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(spec, _)| spec.name == name).map(|(_, value)| value.as_str()).collect()
    }
    /// The option of a group that was given.
    pub fn of(&self, group: Group) -> Option<&'static str> {
        self.0
            .iter()
            .map(|(spec, _)| *spec)
            .find(|spec| spec.group == group && self.has(spec.name))
            .map(|spec| spec.name)
    }
}

impl Spec {
    /// As complaints name it.
    fn shown(&self) -> String {
        match SHORT.iter().find(|(_, long)| *long == self.name) {
            Some((short, long)) => format!("{short}/{long}"),
            None => self.name.to_owned(),
        }
    }
}

fn excludes(one: &Spec, other: &Spec) -> bool {
    one.group == other.group && one.group != Group::Free && one.name != other.name
}

/// The option of a name, or of the beginning of one.
fn spec_of(name: &str) -> Result<Option<&'static Spec>, String> {
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    if let Some(spec) = SPECS.iter().find(|spec| spec.name == name) {
        return Ok(Some(spec));
    }
    if !name.starts_with("--") || name.len() < 3 {
        return Ok(None);
    }
    let fitting: Vec<&Spec> = SPECS.iter().filter(|spec| spec.name.starts_with(name)).collect();
    match fitting[..] {
        [] => Ok(None),
        [spec] => Ok(Some(spec)),
        _ => {
            let names: Vec<&str> = fitting.iter().map(|spec| spec.name).collect();
            Err(format!("ambiguous option: {name} could match {}", names.join(", ")))
        }
    }
}
