use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::*;
use crate::services::Plan;

fn names() -> Names {
    let mut names = Names::default();
    let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    names.set_fixed(BTreeMap::from([
        ("gateway".to_owned(), list(&["10.0.2.1"])),
        ("Host".to_owned(), list(&["10.0.2.1"])),
    ]));
    names.learn("web", "10.0.2.4".parse().unwrap());
    names.learn("db", "10.0.2.5".parse().unwrap());
    names.learn("db", "fd31:42bc:a7c4::5".parse().unwrap());
    names
}

fn plan(forwards_names: bool) -> Plan {
    let mut plan = Plan::natnet("lab");
    plan.forwards_names = forwards_names;
    plan.v6.as_mut().unwrap().prefix = "fd31:42bc:a7c4::/64".parse().unwrap();
    plan
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask(bytes: &[u8], forwards_names: bool, over: Over) -> Answer {
    answer(bytes, &Zone { plan: &plan(forwards_names), names: &names() }, over)
}

/// What a name's records are, in short.
fn row(name: &str, kind: RecordType) -> String {
    let bytes = match ask(&query(name, kind).to_vec().unwrap(), true, Over::Udp) {
        Answer::Local(bytes) => bytes,
        other => return format!("{other:?}"),
    };
    let reply = Message::from_vec(&bytes).unwrap();
    assert_eq!((reply.metadata.id, reply.metadata.message_type), (0x1234, MessageType::Response));
    assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
    assert_eq!(reply.queries[0].name().to_ascii(), name);
    let has_authority = reply.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    assert_eq!(has_authority, reply.answers.is_empty());
    let records: Vec<_> = reply.answers.iter().map(|record| record.data.to_string()).collect();
    assert!(reply.answers.iter().all(|record| record.name.to_ascii() == name));
    match reply.metadata.response_code {
        ResponseCode::NoError if records.is_empty() => "nodata".to_owned(),
        ResponseCode::NoError => records.join(" "),
        code => format!("{code:?}"),
    }
}

#[test]
fn names_and_their_records() {
    use RecordType::{A, AAAA, ANY, MX, PTR, SOA};
    let rows = [
        ("web.internal.", A, "10.0.2.4"),
        ("web.internal.", AAAA, "nodata"),
        ("WeB.iNTernal.", A, "10.0.2.4"),
        ("web.", A, "10.0.2.4"),
        ("web.", MX, "nodata"),
        ("db.internal.", AAAA, "fd31:42bc:a7c4::5"),
        ("db.internal.", ANY, "10.0.2.5 fd31:42bc:a7c4::5"),
        ("host.internal.", A, "10.0.2.1"),
        ("gateway.internal.", A, "10.0.2.1"),
        ("nobody.internal.", A, "NXDomain"),
        ("nobody.internal.", AAAA, "NXDomain"),
        ("a.web.internal.", A, "NXDomain"),
        ("internal.", A, "nodata"),
        ("internal.", SOA, "gateway.internal. hostmaster.internal. 1 3600 600 86400 5"),
        ("4.2.0.10.in-addr.arpa.", PTR, "web.internal."),
        ("1.2.0.10.in-addr.arpa.", PTR, "gateway.internal."),
        ("9.2.0.10.in-addr.arpa.", PTR, "NXDomain"),
        ("4.2.0.10.in-addr.arpa.", A, "nodata"),
        ("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.c.7.a.c.b.2.4.1.3.d.f.ip6.arpa.", PTR, "db.internal."),
        ("1.1.168.192.in-addr.arpa.", PTR, "Forward"),
        ("2.0.10.in-addr.arpa.", PTR, "Forward"),
        ("nobody.", A, "Forward"),
        ("example.org.", A, "Forward"),
        ("web.internal.example.org.", A, "Forward"),
        ("notinternal.", A, "Forward"),
        (".", RecordType::NS, "Forward"),
    ];
    for (name, kind, expected) in rows {
        assert_eq!(row(name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn a_network_that_leads_nowhere_refuses_others_names() {
    let bytes = query("example.org.", RecordType::A).to_vec().unwrap();
    let Answer::Local(reply) = ask(&bytes, false, Over::Udp) else { panic!("not answered") };
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert!(!reply.metadata.recursion_available);
}

#[test]
fn queries_that_are_none() {
    let good = query("web.internal.", RecordType::A).to_vec().unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        match ask(&bytes, true, Over::Udp) {
            Answer::Local(reply) => {
                assert_eq!(reply[..2], [0x12, 0x34]);
                format!("{:?}", Message::from_vec(&reply).unwrap().metadata.response_code)
            }
            other => format!("{other:?}"),
        }
    };
    assert_eq!(changed(&|_| {}), "NoError");
    assert_eq!(changed(&|bytes| bytes.truncate(11)), "Drop");
    assert_eq!(changed(&|bytes| bytes[2] |= 0x80), "Drop");
    assert_eq!(changed(&|bytes| bytes[2] |= 0x10), "NotImp");
    assert_eq!(changed(&|bytes| bytes.truncate(20)), "FormErr");
    assert_eq!(changed(&|bytes| bytes[5] = 0), "FormErr");
    assert_eq!(changed(&|bytes| bytes[5] = 2), "FormErr");
    assert_eq!(changed(&|bytes| bytes[4] = 0xff), "FormErr");
    assert_eq!(changed(&|bytes| bytes[11] = 0xff), "FormErr");
    // A name that points at itself.
    assert_eq!(changed(&|bytes| bytes[12..14].copy_from_slice(&[0xc0, 12])), "FormErr");
    // Another class than IN.
    assert_eq!(changed(&|bytes| *bytes.last_mut().unwrap() = 3), "Forward");
}

#[test]
fn extensions_are_answered_in_kind() {
    let with = |version: u8| {
        let mut message = query("web.internal.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_version(version).set_dnssec_ok(true);
        message.set_edns(edns);
        let Answer::Local(reply) = ask(&message.to_vec().unwrap(), true, Over::Udp) else {
            panic!("not answered")
        };
        Message::from_vec(&reply).unwrap()
    };
    let reply = with(0);
    let edns = reply.edns.as_ref().unwrap();
    assert_eq!((edns.version(), edns.max_payload(), edns.flags().dnssec_ok), (0, 1232, true));
    // BADVERS, which has the number of BADSIG (RFC 6895 §2.3).
    assert_eq!(u16::from(with(1).metadata.response_code), 16);
}

#[test]
fn long_answers_are_asked_for_again() {
    let mut names = Names::default();
    let many = (0..60).map(|number| IpAddr::from([10, 0, 2, number])).collect();
    names.set_fixed(BTreeMap::from([("many".to_owned(), many)]));
    let (plan, bytes) = (plan(true), query("many.internal.", RecordType::A).to_vec().unwrap());
    let reply = |over| match answer(&bytes, &Zone { plan: &plan, names: &names }, over) {
        Answer::Local(reply) => (reply.len(), Message::from_vec(&reply).unwrap()),
        other => panic!("{other:?}"),
    };
    let (length, short) = reply(Over::Udp);
    assert!(length <= 512 && short.metadata.truncation && short.answers.is_empty());
    let (_, whole) = reply(Over::Tcp);
    assert!(!whole.metadata.truncation && whole.answers.len() == 60);
    // The same of a resolver's answer.
    let whole = whole.to_vec().unwrap();
    let cut = shorten(&whole, datagram_limit(&bytes));
    let message = Message::from_vec(&cut).unwrap();
    assert!(message.metadata.truncation && message.answers.is_empty());
    assert_eq!(message.queries[0].name().to_ascii(), "many.internal.");
    assert_eq!(shorten(&whole, whole.len()), whole);
    assert_eq!(shorten(&[0; 600], 512), [0_u8; 0]);
}

#[test]
fn an_address_has_one_name() {
    let mut names = names();
    let address: IpAddr = "10.0.2.4".parse().unwrap();
    names.learn("other", address);
    assert_eq!((names.name(address), names.addresses("web")), (Some("other"), None));
    let next: IpAddr = "10.0.2.6".parse().unwrap();
    names.learn("other", next);
    assert_eq!(names.addresses("other"), Some(&[next][..]));
    // What a user set stays.
    names.learn("host", next);
    assert_eq!(names.addresses("HOST"), Some(&["10.0.2.1".parse().unwrap()][..]));
    for number in 0..100 {
        names.learn("other", IpAddr::from([0xfd31, 0, 0, 0, 0, 0, 0, number]));
    }
    assert_eq!(names.addresses("other").map(<[_]>::len), Some(8));
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (ask(&bytes, true, Over::Udp), shorten(&bytes, 20), datagram_limit(&bytes));
    }
    /// Looks like a query up to its question.
    #[test]
    fn any_question(mut bytes in proptest::collection::vec(any::<u8>(), 12..300), more in 0_u8..4) {
        bytes[2] &= 0x07;
        bytes[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, more]);
        let _ = (ask(&bytes, false, Over::Udp), ask(&bytes, false, Over::Tcp), shorten(&bytes, 20));
    }
    #[test]
    fn any_name_is_answered_with_its_case(name in "[a-zA-Z0-9-]{1,20}(\\.[a-zA-Z]{1,9}){0,2}\\.") {
        let Ok(parsed) = Name::from_ascii(&name) else { return Ok(()) };
        let mut message = Message::new(1, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(parsed, RecordType::A));
        if let Answer::Local(reply) = ask(&message.to_vec().unwrap(), false, Over::Udp) {
            let reply = Message::from_vec(&reply).unwrap();
            prop_assert_eq!(reply.queries[0].name().to_ascii(), name);
        }
    }
}
