use super::*;
use crate::policy::Reject;
use crate::wire::{Protocol, Tuple};

fn to(protocol: Protocol, source: &str, destination_port: u16) -> Tuple {
    let source: std::net::IpAddr = source.parse().unwrap();
    let destination = if source.is_ipv6() { "fe80::15" } else { "10.0.2.15" };
    Tuple { protocol, source, destination: destination.parse().unwrap(), source_port: 4000, destination_port }
}

fn tcp(source: &str, port: u16) -> Tuple {
    to(Protocol::TCP, source, port)
}

fn rich(text: &str) -> Setting {
    Setting::RichRule { rule: Box::new(text.parse().unwrap()), typed: text.to_owned() }
}

fn why(firewall: &Firewall, tuple: &Tuple) -> (Decision, String) {
    let Ruled { decision, why } = decide(firewall, tuple);
    (decision, why)
}

const REJECTED: Decision = Decision::Reject(Reject::Prohibited);

#[test]
fn the_public_zone_lets_ssh_in() {
    let firewall = Firewall::default();
    assert_eq!(
        why(&firewall, &tcp("192.0.2.7", 22)),
        (Decision::Accept, "zone public: service ssh".to_owned())
    );
    assert_eq!(why(&firewall, &tcp("192.0.2.7", 80)), (REJECTED, "zone public: target default".to_owned()));
    assert_eq!(decide(&firewall, &to(Protocol::ICMP, "192.0.2.7", 8 << 8)).decision, Decision::Accept);
    assert_eq!(decide(&firewall, &to(Protocol::UDP, "fe80::1", 546)).decision, Decision::Accept);
    // That service is for IPv6 only.
    assert_eq!(decide(&firewall, &to(Protocol::UDP, "192.0.2.7", 546)).decision, REJECTED);
}

#[test]
fn sources_choose_the_zone() {
    let mut firewall = Firewall::default();
    firewall.add("trusted", &Setting::Source("192.0.2.0/24".to_owned()), None).unwrap();
    firewall.add("drop", &Setting::Source("198.51.100.7".to_owned()), None).unwrap();
    assert_eq!(decide(&firewall, &tcp("192.0.2.7", 80)).decision, Decision::Accept);
    assert_eq!(decide(&firewall, &tcp("198.51.100.7", 22)).decision, Decision::Drop);
    assert_eq!(decide(&firewall, &tcp("198.51.100.8", 80)).decision, REJECTED);
}

#[test]
fn everything_that_allows_allows() {
    let mut firewall = Firewall::default();
    for setting in [
        Setting::Port("8000-8100/tcp".parse().unwrap()),
        Setting::Protocol("gre".to_owned()),
        Setting::SourcePort("4000/udp".parse().unwrap()),
        Setting::Service("samba".to_owned()),
        Setting::ForwardPort(parse_forward_port("port=9000:proto=tcp:toport=80:toaddr=10.0.2.16").unwrap()),
    ] {
        firewall.add("public", &setting, None).unwrap();
    }
    let accepts = |tuple: &Tuple| decide(&firewall, tuple).decision == Decision::Accept;
    assert!(accepts(&tcp("192.0.2.7", 8100)) && !accepts(&tcp("192.0.2.7", 8101)));
    assert!(accepts(&to(Protocol(47), "192.0.2.7", 0)));
    assert!(accepts(&to(Protocol::UDP, "192.0.2.7", 9)), "by the source's port");
    assert!(
        accepts(&tcp("192.0.2.7", 445)) && accepts(&to(Protocol::UDP, "192.0.2.7", 137)),
        "included services"
    );
    assert!(accepts(&tcp("192.0.2.7", 9000)));
    assert_eq!(forward(&firewall, &tcp("192.0.2.7", 9000)), Some("10.0.2.16:80".parse().unwrap()));
    assert_eq!(forward(&firewall, &tcp("192.0.2.7", 9001)), None);
}

#[test]
fn rich_rules_go_by_priority_and_denials_first() {
    let mut firewall = Firewall::default();
    let source = "rule family=ipv4 source address=192.0.2.0/24";
    firewall.add("public", &rich(&format!("{source} service name=http accept")), None).unwrap();
    assert_eq!(decide(&firewall, &tcp("192.0.2.7", 80)).decision, Decision::Accept);
    assert_eq!(decide(&firewall, &tcp("192.0.3.7", 80)).decision, REJECTED);
    firewall.add("public", &rich("rule family=ipv4 source address=192.0.2.7 drop"), None).unwrap();
    assert_eq!(decide(&firewall, &tcp("192.0.2.7", 80)).decision, Decision::Drop);
    firewall.add("public", &rich("rule priority=-1 port port=80 protocol=tcp accept"), None).unwrap();
    assert_eq!(decide(&firewall, &tcp("192.0.2.7", 80)).decision, Decision::Accept);
    firewall
        .add(
            "public",
            &rich("rule priority=5 port port=99 protocol=tcp reject type=tcp-reset family=ipv4"),
            None,
        )
        .unwrap_or_default();
    firewall.add("public", &rich("rule family=ipv4 priority=5 reject type=tcp-reset"), None).unwrap();
    assert_eq!(decide(&firewall, &tcp("192.0.9.7", 99)).decision, Decision::Reject(Reject::TcpReset));
    assert_eq!(decide(&firewall, &tcp("192.0.9.7", 22)).decision, Decision::Accept);
}

#[test]
fn icmp_is_blocked_by_type() {
    let mut firewall = Firewall::default();
    firewall.add("public", &Setting::IcmpBlock("echo-request".to_owned()), None).unwrap();
    let echo = |kind: u16| to(Protocol::ICMP, "192.0.2.7", kind << 8);
    assert_eq!(decide(&firewall, &echo(8)).decision, REJECTED);
    assert_eq!(decide(&firewall, &to(Protocol::ICMPV6, "fe80::1", 128 << 8)).decision, REJECTED);
    assert_eq!(decide(&firewall, &echo(13)).decision, Decision::Accept);
    firewall.add("public", &Setting::IcmpBlockInversion, None).unwrap();
    assert_eq!(decide(&firewall, &echo(8)).decision, Decision::Accept);
    assert_eq!(decide(&firewall, &echo(13)).decision, REJECTED);
}

#[test]
fn what_is_there_for_a_while_goes() {
    let mut firewall = Firewall::default();
    let http = Setting::Service("http".to_owned());
    firewall.add("public", &http, Some(1000)).unwrap();
    assert!(!firewall.expire(999) && firewall.query("public", &http).unwrap());
    let text = serde_json::to_string(&firewall).unwrap();
    assert_eq!(serde_json::from_str::<Firewall>(&text).unwrap(), firewall);
    assert!(firewall.expire(1000) && !firewall.query("public", &http).unwrap());
    assert_eq!(firewall, Firewall::default());
}

#[test]
fn ranges_of_ports_join_and_break() {
    let spec = |text: &str| text.parse::<PortSpec>().unwrap();
    let mut zone = Zone::default();
    for text in ["8080/tcp", "8080-8090/tcp", "53/udp", "8091/tcp"] {
        zone.add(&Setting::Port(spec(text)));
    }
    assert_eq!(zone.ports, [spec("8080-8090/tcp"), spec("53/udp"), spec("8091/tcp")]);
    zone.remove(&Setting::Port(spec("8085/tcp")));
    let of_tcp: Vec<String> = zone.ports.iter().map(ToString::to_string).collect();
    assert_eq!(of_tcp, ["53/udp", "8091/tcp", "8080-8084/tcp", "8086-8090/tcp"]);
    assert_eq!(spec("http/tcp").to_string(), "80/tcp");
    assert_eq!(spec("443-80/tcp").to_string(), "80-443/tcp");
}

#[test]
fn zones_come_back_from_disk() {
    let place = tempfile::tempdir().unwrap();
    let mut permanent = Permanent::load(place.path()).unwrap();
    assert_eq!(permanent, Permanent::default());
    permanent.new_zone("lab").unwrap();
    permanent.set_target("lab", "DROP").unwrap();
    for setting in [
        Setting::Service("http".to_owned()),
        Setting::Port("8000-8100/tcp".parse().unwrap()),
        Setting::SourcePort("53/udp".parse().unwrap()),
        Setting::Protocol("gre".to_owned()),
        Setting::Source("192.0.2.0/24".to_owned()),
        Setting::Interface("eth1".to_owned()),
        Setting::IcmpBlock("redirect".to_owned()),
        Setting::ForwardPort(parse_forward_port("port=1:proto=udp:toport=2:toaddr=fd00::1").unwrap()),
        Setting::Forward,
        Setting::Masquerade,
        Setting::IcmpBlockInversion,
        rich(
            "rule priority=-5 family=ipv4 source NOT address=192.0.2.0/24 log prefix=\"<a & b>\" limit value=3/m drop",
        ),
    ] {
        permanent.add("lab", &setting).unwrap();
    }
    permanent.new_service("mine").unwrap();
    let mine = Service {
        ports: vec!["9000/tcp".parse().unwrap()],
        includes: vec!["ssh".to_owned()],
        ..Service::default()
    };
    permanent.services.insert("mine".to_owned(), mine);
    (permanent.started, permanent.default_zone) = (true, "lab".to_owned());
    permanent.save(place.path(), &Permanent::default()).unwrap();
    let loaded = Permanent::load(place.path()).unwrap();
    assert_eq!(loaded, permanent);
    assert!(loaded.to_firewall().running);
    permanent.delete_zone("lab").unwrap();
    permanent.save(place.path(), &loaded).unwrap();
    assert_eq!(Permanent::load(place.path()).unwrap().default_zone, "public");
    std::fs::write(place.path().join("zones/odd.xml"), "<zone target='x'/>").unwrap();
    assert!(matches!(Permanent::load(place.path()), Err(StoreError::Malformed { .. })));
}

#[test]
fn bindings_are_to_one_zone() {
    let mut firewall = Firewall::default();
    let source = Setting::Source("52:54:00:ab:cd:ef".to_owned());
    firewall.add("public", &source, None).unwrap();
    assert_eq!(firewall.bound_to(&source), Some("public"));
    let told = |fault: Fault| fault.to_string();
    let conflict = firewall.add("home", &source, None).map_err(told);
    assert_eq!(conflict, Err("ZONE_CONFLICT: '52:54:00:AB:CD:EF' already bound to a zone".to_owned()));
    firewall.change("home", &source).unwrap();
    assert_eq!(firewall.bound_to(&source), Some("home"));
    let elsewhere = firewall.remove("public", &source).map_err(told);
    assert_eq!(
        elsewhere,
        Err("ZONE_CONFLICT: remove_source(public, 52:54:00:AB:CD:EF): zos='home'".to_owned())
    );
}
