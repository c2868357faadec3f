use std::net::Ipv4Addr;
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use ipnet::Ipv4Net;
use platform::net::Mac;
use proptest::prelude::*;

use super::*;
use crate::services::{Now, Plan};
use crate::wire::{Packet, Transport};

const OWN: Mac = Mac([2, 0, 0, 0, 0, 0xff]);

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, 0, high, low])
}

/// A network's server, and its clock.
struct Network {
    plan: Plan,
    server: Server,
    now: Now,
}

/// An answer, and where it was sent to.
#[derive(Debug)]
struct Reply {
    message: Message,
    mac: Mac,
    address: Ipv4Addr,
}

impl Network {
    fn new(plan: Plan) -> Self {
        let server = Server::new(Leases::default(), plan.v4.as_ref().unwrap());
        Self { plan, server, now: Now::read() }
    }
    fn restarted(self) -> Self {
        let text = serde_json::to_string(&self.server.leases).unwrap();
        let leases = serde_json::from_str(&text).unwrap();
        Self { server: Server::new(leases, self.plan.v4.as_ref().unwrap()), ..self }
    }
    fn reserve(&mut self, list: &[Reservation]) -> Result<(), ReservationError> {
        self.server.reservations = Reservations::new(list, self.plan.v4.as_ref().unwrap())?;
        Ok(())
    }
    fn wait(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }
    fn send(&mut self, datagram: &[u8], source: Mac, vm: Option<&str>) -> Outcome {
        let v4 = self.plan.v4.as_ref().unwrap();
        let terms = Terms { plan: &self.plan, v4, server: v4.dhcp.unwrap(), own: OWN };
        self.server.handle(&terms, datagram, (source, vm), self.now)
    }
    fn ask(&mut self, message: &Message) -> Option<Reply> {
        let source = Mac(*message.chaddr().first_chunk().unwrap());
        let frame = self.send(&message.to_vec().unwrap(), source, None).reply?;
        let packet = Packet::parse(&frame).unwrap();
        let ip = packet.ip.unwrap();
        let (tuple, Some(Transport::Udp { data, .. })) = (ip.tuple(), ip.transport) else { panic!("no UDP") };
        assert_eq!((tuple.source_port, tuple.destination_port), (67, 68));
        assert!(data.len() >= 300);
        let std::net::IpAddr::V4(address) = tuple.destination else { panic!("no IPv4") };
        let message = Message::decode(&mut Decoder::new(&frame[data])).unwrap();
        Some(Reply { message, mac: packet.destination, address })
    }
    fn offered(&mut self, number: u16) -> Option<Ipv4Addr> {
        let reply = self.ask(&discover(number))?;
        assert_eq!(reply.kind(), MessageType::Offer);
        Some(reply.message.yiaddr())
    }
    /// The whole conversation of a guest without an address.
    fn join(&mut self, number: u16) -> Option<Ipv4Addr> {
        let address = self.offered(number)?;
        let server = self.plan.v4.as_ref().unwrap().dhcp.unwrap();
        let reply = self.ask(&selecting(number, address, server))?;
        assert_eq!((reply.kind(), reply.message.yiaddr()), (MessageType::Ack, address));
        Some(address)
    }
}

impl Reply {
    fn kind(&self) -> MessageType {
        self.message.opts().msg_type().unwrap()
    }
    fn has(&self, code: OptionCode) -> bool {
        self.message.opts().contains(code)
    }
}

fn message(number: u16, kind: MessageType, options: &[DhcpOption]) -> Message {
    let none = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new(none, none, none, none, &mac(number).0);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    for option in options {
        message.opts_mut().insert(option.clone());
    }
    message
}

fn asking_for(codes: &[u8]) -> DhcpOption {
    DhcpOption::ParameterRequestList(codes.iter().map(|&code| OptionCode::from(code)).collect())
}

fn discover(number: u16) -> Message {
    message(number, MessageType::Discover, &[])
}

fn selecting(number: u16, address: Ipv4Addr, server: Ipv4Addr) -> Message {
    let options = [DhcpOption::RequestedIpAddress(address), DhcpOption::ServerIdentifier(server)];
    message(number, MessageType::Request, &options)
}

fn rebooting(number: u16, address: Ipv4Addr) -> Message {
    message(number, MessageType::Request, &[DhcpOption::RequestedIpAddress(address)])
}

fn renewing(number: u16, address: Ipv4Addr) -> Message {
    let mut message = message(number, MessageType::Request, &[]);
    message.set_ciaddr(address);
    message
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn small() -> Plan {
    // The pool is .4, .5 and .6.
    Plan::natnet("lab").with_prefix("10.0.0.0/29".parse().unwrap()).unwrap()
}

#[test]
fn nobody_declines_all_addresses_away() {
    let mut network = Network::new(Plan::natnet("lab"));
    for _ in 0..300 {
        let Some(address) = network.join(1) else { continue };
        let decline = message(1, MessageType::Decline, &[DhcpOption::RequestedIpAddress(address)]);
        assert!(network.ask(&decline).is_none());
    }
    assert!(network.join(2).is_some());
}

#[test]
fn an_address_with_all_that_belongs_to_it() {
    let mut network = Network::new(Plan::natnet("lab"));
    let mut message = discover(1);
    let all = asking_for(&[1, 3, 6, 12, 15, 26, 28, 51, 54, 119, 121]);
    message.opts_mut().insert(all.clone());
    message.opts_mut().insert(DhcpOption::ClientIdentifier(vec![0xff, 1, 2, 3]));
    message.opts_mut().insert(DhcpOption::Hostname("My Web".into()));
    let reply = network.ask(&message).unwrap();
    assert_eq!((reply.mac, reply.address), (mac(1), ip("10.0.2.4")));
    assert_eq!((reply.message.xid(), reply.message.chaddr()), (message.xid(), &mac(1).0[..]));
    let name = hickory_proto::rr::Name::from_ascii("internal.").unwrap();
    for option in [
        DhcpOption::MessageType(MessageType::Offer),
        DhcpOption::SubnetMask(ip("255.255.255.0")),
        DhcpOption::Router(vec![ip("10.0.2.1")]),
        DhcpOption::DomainNameServer(vec![ip("10.0.2.1")]),
        DhcpOption::Hostname("my-web".into()),
        DhcpOption::DomainName("internal".into()),
        DhcpOption::InterfaceMtu(1500),
        DhcpOption::BroadcastAddr(ip("10.0.2.255")),
        DhcpOption::AddressLeaseTime(86_400),
        DhcpOption::ServerIdentifier(ip("10.0.2.3")),
        DhcpOption::ClientIdentifier(vec![0xff, 1, 2, 3]),
        DhcpOption::DomainSearch(vec![name]),
        DhcpOption::ClasslessStaticRoute(vec![(Ipv4Net::default(), ip("10.0.2.1"))]),
    ] {
        let code = OptionCode::from(&option);
        assert_eq!(reply.message.opts().get(code), Some(&option), "{code:?}");
    }
    // RFC 3442: no bytes of the destination, and the router. RFC 3397: as in DNS.
    let bytes = reply.message.to_vec().unwrap();
    for option in [&[121, 5, 0, 10, 0, 2, 1][..], b"\x77\x0a\x08internal\0", &[26, 2, 5, 0xdc]] {
        assert!(bytes.windows(option.len()).any(|window| window == option), "{option:?}");
    }
    assert_eq!(network.server.leases.get(mac(1)), None);
    let mut message = selecting(1, ip("10.0.2.4"), ip("10.0.2.3"));
    message.opts_mut().insert(asking_for(&[3]));
    let reply = network.ask(&message).unwrap();
    assert_eq!((reply.kind(), reply.message.yiaddr()), (MessageType::Ack, ip("10.0.2.4")));
    assert!(reply.has(OptionCode::Router) && !reply.has(OptionCode::DomainNameServer));
    assert!(network.server.leases.changed() && !network.server.leases.changed());
}

#[test]
fn the_one_address_behind_a_nat_of_ones_own() {
    let mut network = Network::new(Plan::nat("vm", 0));
    assert_eq!(network.join(1), Some(ip("10.0.2.15")));
    // The same VM with another card.
    assert_eq!(network.join(2), Some(ip("10.0.2.15")));
}

#[test]
fn hostonly_guests_get_no_way_out() {
    let mut network = Network::new(Plan::hostonly("lab"));
    let mut message = discover(1);
    message.opts_mut().insert(asking_for(&[1, 3, 6, 15, 119, 121]));
    let reply = network.ask(&message).unwrap();
    assert_eq!(reply.message.yiaddr(), ip("192.168.56.101"));
    assert!(reply.has(OptionCode::SubnetMask));
    for code in [3, 6, 15, 119, 121] {
        assert!(!reply.has(OptionCode::from(code)), "{code}");
    }
}

#[test]
fn answers_go_where_they_are_heard() {
    let mut network = Network::new(small());
    let mut message = discover(1);
    message.set_flags(dhcproto::v4::Flags::default().set_broadcast());
    let reply = network.ask(&message).unwrap();
    assert_eq!((reply.mac, reply.address), (Mac::BROADCAST, Ipv4Addr::BROADCAST));
    let address = network.join(1).unwrap();
    let reply = network.ask(&renewing(1, address)).unwrap();
    assert_eq!((reply.kind(), reply.mac, reply.address), (MessageType::Ack, mac(1), address));
    let reply = network.ask(&renewing(1, ip("10.9.9.9"))).unwrap();
    assert_eq!(
        (reply.kind(), reply.mac, reply.address),
        (MessageType::Nak, Mac::BROADCAST, Ipv4Addr::BROADCAST)
    );
    assert_eq!(
        (reply.message.yiaddr(), reply.message.ciaddr()),
        (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
    );
    assert!(!reply.has(OptionCode::AddressLeaseTime) && reply.has(OptionCode::ServerIdentifier));
}

#[test]
fn the_same_card_gets_the_same_address() {
    let mut network = Network::new(small());
    let (first, second) = (network.join(1).unwrap(), network.join(2).unwrap());
    assert_eq!((first, second), (ip("10.0.0.4"), ip("10.0.0.5")));
    assert_eq!(network.join(1), Some(first));
    let mut release = message(1, MessageType::Release, &[]);
    release.set_ciaddr(first);
    assert!(network.ask(&release).is_none());
    // Others get another one, as long as there is one.
    assert_eq!(network.join(3), Some(ip("10.0.0.6")));
    network.wait(2 * 86_400);
    let mut network = network.restarted();
    assert_eq!(network.join(2), Some(second));
    assert_eq!(network.ask(&rebooting(1, first)).unwrap().kind(), MessageType::Ack);
}

#[test]
fn a_lease_is_prolonged() {
    let mut network = Network::new(small());
    let address = network.join(1).unwrap();
    let before = network.server.leases.get(mac(1)).unwrap().expires_s;
    network.wait(43_200);
    assert_eq!(network.ask(&renewing(1, address)).unwrap().kind(), MessageType::Ack);
    assert_eq!(network.server.leases.get(mac(1)).unwrap().expires_s, before + 43_200);
}

#[test]
fn what_is_refused() {
    let mut network = Network::new(small());
    let address = network.join(1).unwrap();
    let kind = |reply: Option<Reply>| reply.map(|reply| reply.kind());
    let nak = Some(MessageType::Nak);
    // Another network; the address of somebody else; of the network itself; not of the pool; not the own.
    for message in [
        rebooting(2, ip("192.168.1.5")),
        rebooting(2, address),
        renewing(2, address),
        rebooting(2, ip("10.0.0.1")),
        rebooting(2, ip("10.0.0.7")),
        selecting(2, address, ip("10.0.0.3")),
        rebooting(1, ip("10.0.0.6")),
        message(2, MessageType::Request, &[]),
    ] {
        assert_eq!(kind(network.ask(&message)), nak, "{message}");
    }
    // Nothing is known of it, but nobody else has it.
    assert_eq!(kind(network.ask(&rebooting(2, ip("10.0.0.6")))), Some(MessageType::Ack));
    // It chose another server.
    assert_eq!(kind(network.ask(&selecting(3, ip("10.0.0.5"), ip("10.0.0.99")))), None);
    assert_eq!(network.server.leases.iter().count(), 2);
}

#[test]
fn an_offer_is_kept_for_a_while() {
    let mut network = Network::new(small());
    assert_eq!(network.offered(1), Some(ip("10.0.0.4")));
    assert_eq!(network.offered(2), Some(ip("10.0.0.5")));
    assert_eq!(network.offered(1), Some(ip("10.0.0.4")));
    network.wait(61);
    assert_eq!(network.offered(3), Some(ip("10.0.0.4")));
}

#[test]
fn when_there_are_no_more_the_longest_unused_is_given_away() {
    let mut network = Network::new(small());
    for number in 1..=3 {
        assert!(network.join(number).is_some());
        network.wait(10);
    }
    assert_eq!(network.join(4), None);
    network.wait(86_400 - 25);
    let first = network.server.leases.get(mac(1)).unwrap().address;
    assert_eq!(network.join(4), Some(first));
    assert_eq!(network.server.leases.get(mac(1)), None);
    assert_eq!(network.server.leases.iter().count(), 3);
}

#[test]
fn an_address_in_use_is_not_offered_for_a_while() {
    let mut network = Network::new(small());
    let address = network.join(1).unwrap();
    let decline = |number| message(number, MessageType::Decline, &[DhcpOption::RequestedIpAddress(address)]);
    // Others cannot decline it.
    assert!(network.ask(&decline(2)).is_none());
    assert_eq!(network.join(1), Some(address));
    assert!(network.ask(&decline(1)).is_none());
    assert_eq!(network.join(1), Some(ip("10.0.0.5")));
    assert_eq!(network.join(2), Some(ip("10.0.0.6")));
    assert_eq!(network.join(3), None);
    network.wait(601);
    assert_eq!(network.join(3), Some(address));
}

#[test]
fn addresses_that_are_set_aside() {
    let mut network = Network::new(small());
    let first = network.join(1).unwrap();
    let reservation = |number, address, name: Option<&str>| Reservation {
        mac: mac(number),
        address: ip(address),
        name: name.map(str::to_owned),
    };
    network.reserve(&[reservation(7, "10.0.0.4", Some("db")), reservation(8, "10.0.0.2", None)]).unwrap();
    assert_eq!((first, network.join(7)), (ip("10.0.0.4"), Some(ip("10.0.0.4"))));
    assert_eq!(network.ask(&renewing(1, first)).unwrap().kind(), MessageType::Nak);
    assert_eq!((network.join(8), network.join(1)), (Some(ip("10.0.0.2")), Some(ip("10.0.0.5"))));
    let outcome = network.send(&rebooting(7, ip("10.0.0.4")).to_vec().unwrap(), mac(7), Some("vm"));
    assert_eq!((outcome.name.as_deref(), outcome.assigned), (Some("db"), Some((mac(7), ip("10.0.0.4")))));
    let error =
        |list: &[Reservation]| Reservations::new(list, network.plan.v4.as_ref().unwrap()).unwrap_err();
    assert_eq!(
        error(&[reservation(1, "10.0.0.1", None)]).to_string(),
        "10.0.0.1 is no address for a guest of 10.0.0.0/29"
    );
    assert!(
        error(&[reservation(1, "10.0.0.5", None), reservation(2, "10.0.0.5", None)])
            .to_string()
            .contains("two")
    );
}

#[test]
fn names_of_guests() {
    let mut network = Network::new(Plan::natnet("lab"));
    let mut ask = |vm: Option<&str>, said: &[u8]| {
        let mut bytes = rebooting(1, ip("10.0.2.9")).to_vec().unwrap();
        bytes.truncate(bytes.len() - 1);
        bytes.extend([12, said.len() as u8]);
        bytes.extend_from_slice(said);
        bytes.push(255);
        network.send(&bytes, mac(1), vm).name
    };
    assert_eq!(ask(Some("web"), b"gateway").as_deref(), Some("web"));
    assert_eq!(ask(None, b"Some.Host").as_deref(), Some("some"));
    // What is no text is no name, and no reason to go without an address.
    assert_eq!(ask(None, &[0xff, 0xfe, 0]), None);
    assert!(network.server.leases.get(mac(1)).is_some());
}

#[test]
fn who_knows_already_is_told_the_rest() {
    let mut network = Network::new(small());
    let mut inform = message(1, MessageType::Inform, &[asking_for(&[6])]);
    inform.set_ciaddr(ip("10.0.0.5"));
    let reply = network.ask(&inform).unwrap();
    assert_eq!((reply.kind(), reply.message.yiaddr()), (MessageType::Ack, Ipv4Addr::UNSPECIFIED));
    assert!(reply.has(OptionCode::DomainNameServer) && !reply.has(OptionCode::AddressLeaseTime));
    inform.set_ciaddr(ip("10.9.9.9"));
    assert!(network.ask(&inform).is_none());
    assert_eq!(network.server.leases.iter().count(), 0);
}

#[test]
fn each_card_speaks_for_itself() {
    let mut network = Network::new(small());
    let outcome = network.send(&discover(1).to_vec().unwrap(), mac(2), None);
    assert_eq!(outcome, Outcome::default());
    let mut relayed = discover(1);
    relayed.set_giaddr(ip("10.0.0.9"));
    assert!(network.ask(&relayed).is_none());
}

#[test]
fn a_file_of_leases_may_say_anything() {
    let text = r#"{"52:54:00:00:00:01": {"address": "10.0.0.5", "expires_s": 1},
        "52:54:00:00:00:02": {"address": "10.0.0.5", "expires_s": 18446744073709551615},
        "52:54:00:00:00:03": {"address": "10.0.0.1", "expires_s": 1},
        "ff:ff:ff:ff:ff:ff": {"address": "10.0.0.6", "expires_s": 1},
        "52:54:00:00:00:04": {"address": "192.168.1.1", "expires_s": 1, "name": "x"}}"#;
    let leases = serde_json::from_str(text).unwrap();
    let mut network = Network::new(small());
    network.server = Server::new(leases, network.plan.v4.as_ref().unwrap());
    assert_eq!(network.server.leases.iter().map(|(mac, _)| mac).collect::<Vec<_>>(), [mac(1)]);
    assert_eq!(network.join(1), Some(ip("10.0.0.5")));
}

#[test]
fn a_flood_of_cards_is_bounded() {
    let mut network = Network::new(Plan::natnet("lab").with_prefix("10.0.0.0/16".parse().unwrap()).unwrap());
    for number in 0..6_000 {
        let address = Ipv4Addr::from(0x0a00_0100 + u32::from(number));
        network.ask(&rebooting(number, address));
        if number % 20 == 0 {
            network.ask(&discover(number + 10_000));
        }
    }
    assert_eq!(network.server.leases.iter().count(), 4096);
}

proptest! {
    #[test]
    fn any_datagram(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = request::Request::parse(&bytes);
    }
    /// Looks like a message up to its options.
    #[test]
    fn any_options(
        kind in 0_u8..10, options in proptest::collection::vec(any::<u8>(), 0..400), hlen in 0_u8..20,
    ) {
        let mut network = Network::new(small());
        let mut bytes = discover(1).to_vec().unwrap();
        bytes.truncate(240);
        bytes[2] = if hlen < 15 { 6 } else { hlen * 13 };
        bytes.extend([53, 1, kind]);
        bytes.extend(options);
        network.send(&bytes, mac(1), None);
    }
    /// No two guests ever have the same address at once.
    #[test]
    fn any_conversation(steps in proptest::collection::vec((0_u16..6, 0_u8..7, 0_u32..9, 0_u64..50_000), 1..80)) {
        let mut network = Network::new(small());
        for (number, step, place, seconds) in steps {
            let address = Ipv4Addr::from(0x0a00_0000 + place);
            let mut release = message(number, MessageType::Release, &[]);
            release.set_ciaddr(address);
            let decline = message(number, MessageType::Decline, &[DhcpOption::RequestedIpAddress(address)]);
            let asked = match step {
                0 => discover(number),
                1 => selecting(number, address, ip("10.0.0.3")),
                2 => rebooting(number, address),
                3 => renewing(number, address),
                4 => release,
                5 => decline,
                _ => { network.wait(seconds); discover(number) }
            };
            let reply = network.ask(&asked);
            let kind = reply.map(|reply| (reply.kind(), reply.message.yiaddr()));
            if let Some((MessageType::Ack | MessageType::Offer, address)) = kind {
                prop_assert!((4..=6).contains(&address.octets()[3]));
            }
            let now_s = network.now.unix_s;
            let mut held: Vec<_> = network.server.leases.iter().filter(|(_, lease)| !lease.is_expired(now_s))
                .map(|(_, lease)| lease.address).collect();
            let count = held.len();
            held.sort_unstable();
            held.dedup();
            prop_assert_eq!(held.len(), count);
        }
    }
}
