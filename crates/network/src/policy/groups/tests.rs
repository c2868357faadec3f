use super::*;
use crate::wire::{Protocol, Tuple};

fn rule(text: &str) -> Rule {
    let mut words = text.split(' ');
    let direction = words.next().unwrap().parse().unwrap();
    let protocol: RuleProtocol = words.next().unwrap().parse().unwrap();
    let mut rule = Rule { protocol, ..Rule::any(0, direction, Peer::Anybody) };
    for word in words {
        match (word.split("/").next().unwrap().parse::<PortRange>(), protocol) {
            (Ok(range), RuleProtocol::One(Protocol::TCP | Protocol::UDP)) => rule.ports = Some(range),
            (Ok(_), RuleProtocol::One(protocol)) => {
                rule.icmp = Some(IcmpMatch::parse(word, protocol).unwrap())
            }
            _ => rule.peer = word.parse().unwrap(),
        }
    }
    rule
}

fn tuple(protocol: Protocol, source: &str, destination_port: u16) -> Tuple {
    let (source, destination) = (source.parse().unwrap(), "10.0.2.15".parse().unwrap());
    Tuple { protocol, source, destination, source_port: 40_000, destination_port }
}

fn allowed_by(groups: &Groups, names: &[&str], tuple: &Tuple, peers: &[&str]) -> Option<u32> {
    let ruling = Ruling::new(groups, &Ruling::default());
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let compiled = Compiled::new(&owned(names), &ruling);
    let ordinal = compiled.allows(Direction::Ingress, tuple, &owned(peers), &ruling)?;
    Some(ruling.get(ordinal).unwrap().1.id)
}

#[test]
fn rules_say_what_may_come_in() {
    let mut groups = Groups::default();
    groups.create("web", "pages").unwrap();
    for (text, id) in [
        ("ingress tcp 80", 2),
        ("ingress tcp 8000-8100 192.0.2.0/24", 3),
        ("ingress icmp 8", 4),
        ("ingress 47 fd00::/8", 5),
        ("ingress tcp 22 group:default", 6),
    ] {
        assert_eq!(groups.allow("web", rule(text)), Ok(id), "{text}");
    }
    let by =
        |protocol, source: &str, port| allowed_by(&groups, &["web"], &tuple(protocol, source, port), &[]);
    assert_eq!(by(Protocol::TCP, "10.0.2.2", 80), Some(2));
    assert_eq!(by(Protocol::TCP, "10.0.2.2", 81), None);
    assert_eq!(by(Protocol::UDP, "10.0.2.2", 80), None);
    assert_eq!(by(Protocol::TCP, "192.0.2.7", 8100), Some(3));
    assert_eq!(by(Protocol::TCP, "192.0.3.7", 8100), None);
    assert_eq!(by(Protocol::ICMP, "192.0.3.7", 8 << 8), Some(4));
    assert_eq!(by(Protocol::ICMP, "192.0.3.7", 13 << 8), None);
    assert_eq!(by(Protocol(47), "fd00::1", 0), Some(5));
    let ssh = tuple(Protocol::TCP, "10.0.2.16", 22);
    assert_eq!(allowed_by(&groups, &["web"], &ssh, &["default"]), Some(6));
    assert_eq!(allowed_by(&groups, &["web"], &ssh, &["web"]), None);
    // The union of groups: members of the default group speak to one another.
    let both = allowed_by(&groups, &["web", "default"], &tuple(Protocol::UDP, "10.0.2.16", 9), &["default"]);
    assert_eq!(both, Some(2));
}

#[test]
fn stretches_agree_with_rules_one_by_one() {
    let mut groups = Groups::default();
    groups.create("many", "").unwrap();
    for number in 0..300_u16 {
        let first = number * 97 % 1000;
        let ports = PortRange { first, last: first + number % 50 };
        let peer = Peer::Net(format!("10.{}.0.0/{}", number % 7, 10 + number % 7).parse().unwrap());
        let rule = Rule { ports: Some(ports), ..rule("ingress tcp") };
        let _ = groups.allow("many", Rule { peer, ..rule });
    }
    for port in 0..1100 {
        let tuple = tuple(Protocol::TCP, &format!("10.{}.1.2", port % 8), port);
        let has = |rule: &&Rule| {
            rule.direction == Direction::Ingress
                && rule.numbers().contains(&port)
                && rule.peer.has(tuple.source)
        };
        let slow = groups.groups["many"].rules.iter().find(has).map(|rule| rule.id);
        assert_eq!(allowed_by(&groups, &["many"], &tuple, &[]), slow, "{port}");
    }
}

#[test]
fn changes_are_checked() {
    let mut groups = Groups::default();
    groups.create("web", "").unwrap();
    assert_eq!(groups.create("web", ""), Err(GroupsError::Exists("web".to_owned())));
    assert_eq!(groups.create("-web", ""), Err(GroupsError::Name("-web".to_owned())));
    assert_eq!(groups.remove("default"), Err(GroupsError::Default));
    assert_eq!(groups.remove("db"), Err(GroupsError::NoGroup("db".to_owned())));
    assert_eq!(groups.allow("web", rule("ingress tcp 80")), Ok(2));
    assert!(matches!(
        groups.allow("web", rule("ingress tcp 80")),
        Err(GroupsError::SameRule { rule: 2, .. })
    ));
    assert!(matches!(groups.allow("web", rule("ingress any group:db")), Err(GroupsError::NoGroup(_))));
    assert_eq!(groups.revoke("web", 2).unwrap().to_string(), "ingress tcp 80");
    assert!(matches!(groups.revoke("web", 2), Err(GroupsError::NoRule { .. })));
    assert_eq!(groups.allow("web", rule("ingress tcp 81")), Ok(3), "numbers are not used again");
    groups.assign("vm1", &["web".to_owned(), "default".to_owned()]).unwrap();
    groups.assign("vm1:eth1", &["default".to_owned()]).unwrap();
    assert_eq!((groups.of("vm1", "eth0").len(), groups.of("vm1", "eth1").len()), (2, 1));
    assert!(groups.of("vm2", "eth0").is_empty());
    assert!(matches!(groups.remove("web"), Err(GroupsError::InUse { .. })));
    groups.unassign("vm1", &["web".to_owned()]).unwrap();
    assert!(matches!(groups.unassign("vm1", &["web".to_owned()]), Err(GroupsError::NotAssigned { .. })));
    groups.unassign("vm1", &[]).unwrap();
    assert!(groups.of("vm1", "eth0").is_empty());
    groups.remove("web").unwrap();
}

#[test]
fn parts_of_rules_are_checked() {
    assert!("8100-8000".parse::<PortRange>().is_err() && "+80".parse::<PortRange>().is_err());
    assert!("65536".parse::<PortRange>().is_err() && "".parse::<PortRange>().is_err());
    assert!("256".parse::<RuleProtocol>().is_err() && "TCP".parse::<RuleProtocol>().is_err());
    assert!("group:".parse::<Peer>().is_err() && "10.0.0.0/33".parse::<Peer>().is_err());
    assert_eq!("10.0.0.7/8".parse::<Peer>().unwrap().to_string(), "10.0.0.0/8");
    let parse = |text| IcmpMatch::parse(text, Protocol::ICMP);
    assert_eq!(parse("3/4").unwrap(), IcmpMatch { kind: 3, code: Some(4) });
    assert_eq!(parse("echo-request").unwrap(), IcmpMatch { kind: 8, code: None });
    assert!(parse("300").is_err() && parse("3/").is_err());
}

#[test]
fn groups_are_stored_whole() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("gasang/security-groups.json");
    assert_eq!(Groups::load(&path).unwrap(), Groups::default());
    let mut stored = Stored::open(&path).unwrap();
    stored.groups.create("web", "pages").unwrap();
    stored.groups.allow("web", rule("ingress icmp 3/4 192.0.2.0/24")).unwrap();
    stored.groups.assign("vm1", &["web".to_owned()]).unwrap();
    stored.save().unwrap();
    assert_eq!(Groups::load(&path).unwrap(), stored.groups);
    std::fs::write(&path, "{\"groups\": 3}").unwrap();
    assert!(matches!(Groups::load(&path), Err(StoreError::Malformed { .. })));
}
