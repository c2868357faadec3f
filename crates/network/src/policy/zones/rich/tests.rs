use super::*;

/// What is typed, and what firewalld 1.3.3 prints of it.
const RULES: &[(&str, &str)] = &[
    (
        "rule family=ipv4 source address=192.0.2.7 port port=8080 protocol=tcp reject",
        "rule family=\"ipv4\" source address=\"192.0.2.7\" port port=\"8080\" protocol=\"tcp\" reject",
    ),
    (
        "rule service name=ssh log prefix=\"ssh \" level=\"info\" limit value=\"3/minute\" accept",
        "rule service name=\"ssh\" log prefix=\"ssh \" level=\"info\" limit value=\"3/m\" accept",
    ),
    (
        "rule priority=-5 family=ipv4 source not address=192.0.2.0/24 drop",
        "rule priority=\"-5\" family=\"ipv4\" source NOT address=\"192.0.2.0/24\" drop",
    ),
    ("rule protocol value=icmp drop", "rule protocol value=\"icmp\" drop"),
    ("rule icmp-block name=echo-request", "rule icmp-block name=\"echo-request\""),
    (
        "rule family=ipv4 forward-port port=8080 protocol=tcp to-port=80 to-addr=10.0.2.15",
        "rule family=\"ipv4\" forward-port port=\"8080\" protocol=\"tcp\" to-port=\"80\" to-addr=\"10.0.2.15\"",
    ),
    (
        "rule family=ipv4 source address=192.0.2.0/24 reject type=\"icmp-host-prohibited\"",
        "rule family=\"ipv4\" source address=\"192.0.2.0/24\" reject type=\"icmp-host-prohibited\"",
    ),
    ("rule accept service name=http", "rule service name=\"http\" accept"),
    (
        "rule service name=http accept limit value=2/s",
        "rule service name=\"http\" accept limit value=\"2/s\"",
    ),
    (
        "rule service name=http audit limit value=2/s accept",
        "rule service name=\"http\" audit limit value=\"2/s\" accept",
    ),
    ("rule protocol value=tcp mark set=1", "rule protocol value=\"tcp\" mark set=1"),
    ("rule priority=5 accept", "rule priority=\"5\" accept"),
    (
        "rule family=ipv4 source address=192.0.2.1 invert=true accept",
        "rule family=\"ipv4\" source NOT address=\"192.0.2.1\" accept",
    ),
];

/// What is typed, and what firewalld 1.3.3 complains of.
const FAULTS: &[(&str, &str)] = &[
    ("rule source address=192.0.2.0/24 accept", "MISSING_FAMILY"),
    ("rule family=ipv4 source address=192.0.2.0/24", "INVALID_RULE: no element, no action"),
    (
        "rule family=ipx accept",
        "INVALID_RULE: 'family' attribute cannot have 'ipx' value. Use 'ipv4' or 'ipv6' instead.",
    ),
    ("rule bogus", "INVALID_RULE: unknown element bogus"),
    ("bogus", "INVALID_RULE: unknown element bogus"),
    ("rule", "INVALID_RULE: no element, no action"),
    ("", "INVALID_RULE: no element, no action"),
    (" ", "INVALID_RULE: empty rule"),
    ("rule accept", "INVALID_RULE: no element, no source, no destination"),
    ("rule service name=http", "INVALID_RULE: no action, no log, no audit"),
    ("rule family=ipv4 source address=300.0.0.0/8 accept", "INVALID_ADDR: 300.0.0.0/8"),
    ("rule family=ipv6 source address=192.0.2.0/24 accept", "INVALID_ADDR: 192.0.2.0/24"),
    ("rule port port=80 protocol=xyz accept", "INVALID_PROTOCOL: xyz"),
    ("rule port port=80 accept", "INVALID_PROTOCOL"),
    ("rule port port=99999 protocol=tcp accept", "INVALID_PORT: 99999"),
    (
        "rule service name=http service name=ssh accept",
        "INVALID_RULE: more than one element. There cannot be both 'service' and 'service name=\"http\"' in one rule.",
    ),
    (
        "rule service name=http accept drop",
        "INVALID_RULE: more than one 'action' element. There cannot be both 'drop' and 'accept' in one rule.",
    ),
    (
        "rule priority=99999 accept",
        "INVALID_PRIORITY: 'priority' attribute must be between -32768 and 32767.",
    ),
    ("rule priority=x accept", "INVALID_PRIORITY: invalid 'priority' attribute value 'x'."),
    ("rule icmp-block name=echo-request accept", "INVALID_RULE: icmp-block and action"),
    ("rule source accept", "INVALID_RULE: no address, mac and ipset"),
    ("rule service accept", "INVALID_RULE: invalid 'service' element"),
    ("rule service name= accept", "INVALID_RULE: internal error in _lexer(): name="),
    ("rule foo=bar accept", "INVALID_RULE: bad attribute 'foo'"),
    ("rule service name=http accept limit value=x", "INVALID_LIMIT: x"),
    ("rule service name=http log level=bad accept", "INVALID_LOG_LEVEL: bad"),
    (
        "rule family=ipv4 destination address=10.0.0.1 masquerade accept",
        "INVALID_RULE: masquerade and action",
    ),
    ("family=ipv4 accept", "INVALID_RULE: 'family' outside of rule. Use 'rule family=...'."),
];

#[test]
fn rules_are_printed_as_firewalld_does() {
    for (typed, printed) in RULES {
        let rule: RichRule = typed.parse().unwrap_or_else(|fault| panic!("{typed}: {fault}"));
        assert_eq!(rule.to_string(), *printed);
        assert_eq!(printed.parse::<RichRule>().unwrap(), rule, "{printed}");
        assert_eq!(of_xml(&to_xml(&rule)).unwrap(), rule, "{printed}");
    }
}

#[test]
fn faults_are_firewalls_own() {
    for (typed, fault) in FAULTS {
        assert_eq!(typed.parse::<RichRule>().unwrap_err().to_string(), *fault, "{typed}");
    }
}
