//! From text to elements and attributes, with firewalld's complaints.
use super::{Family, Part, Parts};
use crate::policy::zones::{Fault, FaultCode};

/// Elements, and which attributes each has.
const ELEMENTS: &[(&str, &[&str])] = &[
    ("source", &["address", "mac", "ipset", "invert"]),
    ("destination", &["address", "ipset", "invert"]),
    ("protocol", &["value"]),
    ("service", &["name"]),
    ("port", &["port", "protocol"]),
    ("icmp-block", &["name"]),
    ("icmp-type", &["name"]),
    ("masquerade", &[]),
    ("forward-port", &["port", "protocol", "to-port", "to-addr"]),
    ("source-port", &["port", "protocol"]),
    ("log", &["prefix", "level"]),
    ("nflog", &["group", "prefix", "queue-size"]),
    ("audit", &[]),
    ("accept", &[]),
    ("drop", &[]),
    ("reject", &["type"]),
    ("mark", &["set"]),
];
const ATTRIBUTES: [&str; 17] = [
    "priority",
    "family",
    "address",
    "mac",
    "ipset",
    "invert",
    "value",
    "port",
    "protocol",
    "to-port",
    "to-addr",
    "name",
    "group",
    "prefix",
    "level",
    "queue-size",
    "type",
];
/// Elements that must have their one attribute.
const NEEDY: [&str; 4] = ["protocol", "service", "icmp-block", "icmp-type"];
/// Elements that take a limit.
const LIMITED: [&str; 6] = ["log", "nflog", "audit", "accept", "drop", "reject"];

enum Token {
    Attribute(String, String),
    Element(String),
}

fn wrong(detail: impl Into<String>) -> Fault {
    Fault::new(FaultCode::InvalidRule, detail)
}

/// Takes a rule apart.
pub(super) fn read(text: &str) -> Result<(Parts, bool), Fault> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let is_empty = text.is_empty();
    let tokens = tokens(&text)?;
    if tokens.is_empty() && !is_empty {
        return Err(wrong("empty rule"));
    }
    let mut parts = Parts::default();
    let (mut in_rule, mut limit_next) = (false, false);
    for token in tokens {
        if limit_next && !matches!(&token, Token::Attribute(name, _) if name == "value") {
            return Err(wrong("invalid 'limit' element"));
        }
        match token {
            Token::Attribute(name, value) => {
                if name != "set" && !ATTRIBUTES.contains(&name.as_str()) {
                    return Err(wrong(format!("bad attribute '{name}'")));
                }
                if std::mem::take(&mut limit_next) {
                    set_limit(&mut parts, value);
                } else if !in_rule {
                    return Err(outside(&name));
                } else {
                    attribute(&mut parts, name, value)?;
                }
            }
            Token::Element(name) if name == "rule" && !in_rule => in_rule = true,
            Token::Element(name) => limit_next = element(&mut parts, name, in_rule)?,
        }
    }
    if limit_next {
        return Err(wrong("invalid 'limit' element"));
    }
    needs(parts.parts.last())?;
    Ok((parts, is_empty))
}

fn outside(name: &str) -> Fault {
    wrong(match name {
        "family" | "priority" => format!("'{name}' outside of rule. Use 'rule {name}=...'."),
        _ => format!("'{name}' outside of any element. Use 'rule <element> {name}= ...'."),
    })
}

/// An element begins; says whether it is a limit, whose value follows.
fn element(parts: &mut Parts, name: String, in_rule: bool) -> Result<bool, Fault> {
    let open = parts.parts.last_mut();
    match name.as_str() {
        "not" | "NOT" => match open {
            Some(part) if matches!(part.name.as_str(), "source" | "destination") => part.is_inverted = true,
            _ => return Err(wrong(format!("unknown element {name}"))),
        },
        "limit" => match open {
            Some(part) if LIMITED.contains(&part.name.as_str()) => return Ok(true),
            _ => return Err(wrong("invalid 'limit' element")),
        },
        _ if !ELEMENTS.iter().any(|(known, _)| *known == name) => {
            return Err(wrong(format!("unknown element {name}")));
        }
        _ if !in_rule => return Err(wrong(format!("'{name}' outside of rule. Use 'rule ... {name} ...'."))),
        _ => {
            once(parts, &name)?;
            needs(parts.parts.last())?;
            parts.parts.push(Part { name, attributes: Vec::new(), is_inverted: false, limit: None });
        }
    }
    Ok(false)
}

/// What a kind of elements is called, if a rule may have one of the kind only.
fn kind_of(name: &str) -> &'static str {
    match name {
        "source" => "source",
        "destination" => "destination",
        "log" | "nflog" => "logging",
        "audit" => "audit",
        "accept" | "drop" | "reject" | "mark" => "action",
        _ => "element",
    }
}

fn once(parts: &Parts, name: &str) -> Result<(), Fault> {
    let kind = kind_of(name);
    let Some(other) = parts.parts.iter().find(|part| kind_of(&part.name) == kind) else { return Ok(()) };
    Err(wrong(match kind {
        "logging" => "more than one logging element".to_owned(),
        "action" | "element" => {
            let what = if kind == "action" { "'action' element" } else { "element" };
            let other = super::print::part_text(other);
            format!("more than one {what}. There cannot be both '{name}' and '{other}' in one rule.")
        }
        _ => format!("more than one '{kind}' element"),
    }))
}

/// Whether an element has what it cannot do without.
fn needs(part: Option<&Part>) -> Result<(), Fault> {
    match part {
        Some(part) if NEEDY.contains(&part.name.as_str()) && part.attributes.is_empty() => {
            Err(wrong(format!("invalid '{}' element", part.name)))
        }
        _ => Ok(()),
    }
}

fn set_limit(parts: &mut Parts, value: String) {
    // Units may be written out; the first letter is what counts.
    let short = match value.split_once('/') {
        Some((rate, unit @ ("second" | "minute" | "hour" | "day"))) => format!("{rate}/{}", &unit[..1]),
        _ => value,
    };
    if let Some(part) = parts.parts.last_mut() {
        part.limit = Some(short);
    }
}

fn attribute(parts: &mut Parts, name: String, value: String) -> Result<(), Fault> {
    let open = parts.parts.last_mut();
    let takes = |part: &Part| {
        ELEMENTS.iter().any(|(known, attributes)| *known == part.name && attributes.contains(&name.as_str()))
    };
    match open {
        Some(part) if takes(part) && (part.attributes.is_empty() || !NEEDY.contains(&part.name.as_str())) => {
            match name.as_str() {
                "invert" => part.is_inverted = true,
                _ => part.attributes.push((name, value)),
            }
            return Ok(());
        }
        Some(part) if NEEDY.contains(&part.name.as_str()) && part.attributes.is_empty() => {
            return Err(wrong(format!("invalid '{}' element", part.name)));
        }
        _ => {}
    }
    match name.as_str() {
        "family" => {
            parts.family = Some(match value.as_str() {
                "ipv4" => Family::Ipv4,
                "ipv6" => Family::Ipv6,
                _ => {
                    let told = format!("'family' attribute cannot have '{value}' value.");
                    return Err(wrong(format!("{told} Use 'ipv4' or 'ipv6' instead.")));
                }
            });
        }
        "priority" => {
            let told = || format!("invalid 'priority' attribute value '{value}'.");
            parts.priority = value.parse().map_err(|_| Fault::new(FaultCode::InvalidPriority, told()))?;
        }
        "protocol" => {
            return Err(wrong(
                "wrong 'protocol' usage. Use either 'rule protocol value=...' or  'rule [forward-]port protocol=...'.",
            ));
        }
        _ => {
            let told = format!("attribute '{name}' outside of any element.");
            return Err(wrong(format!("{told} Use 'rule <element> {name}= ...'.")));
        }
    }
    Ok(())
}

/// Words, as a shell would take them apart; `name=value` is an attribute.
fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let token = |word: String| {
        if !word.contains('=') {
            return Ok(Token::Element(word));
        }
        match word.split('=').collect::<Vec<_>>()[..] {
            [name, value] if !name.is_empty() && !value.is_empty() => {
                Ok(Token::Attribute(name.to_owned(), value.to_owned()))
            }
            _ => Err(wrong(format!("internal error in _lexer(): {word}"))),
        }
    };
    words(text)?.into_iter().map(token).collect()
}

fn words(text: &str) -> Result<Vec<String>, Fault> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(wrong("No closing quotation"));
    }
    words.extend(word);
    Ok(words)
}
