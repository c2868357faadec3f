//! A network with guests, turned by hand.
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gasang_network::engine::{Attachment, Member, MemberKind, Network, Setup};
use gasang_network::nat::outside::Outside;
use gasang_network::policy::Filter;
use gasang_network::policy::groups::Groups;
use gasang_network::policy::zones::Firewall;
use gasang_network::port::Cable;
use gasang_network::services::{Gateway, Leases, Now, Plan};
use gasang_network::switch::PortId;
use platform::net::Mac;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::guest::Guest;

pub const GATEWAY: Mac = Mac([0x52, 0x54, 0, 0, 0, 0xff]);
/// The gateway's address. Its ports are those of the host's loopback.
pub const GATEWAY4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 2, 1));

/// How long something may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A network, with guests at 10.0.2.11 and so on.
pub struct World {
    pub network: Network,
    pub guests: Vec<Guest>,
    pub ports: Vec<PortId>,
    news: Vec<gasang_network::Ready>,
}

impl World {
    pub fn with(guests: u8, firewall: Firewall) -> Self {
        let now = Now::read();
        let gateway = Gateway::new(Plan::natnet("lab"), GATEWAY, Leases::default(), &[], now).unwrap();
        let setup = Setup {
            gateway,
            filter: Filter::new(Groups::default(), firewall, now.instant),
            outside: Some(Outside::new(true).unwrap()),
            strict: true,
            save: Box::new(|_| {}),
        };
        let (network, _) = Network::new(setup).unwrap();
        let mut world = Self { network, guests: Vec::new(), ports: Vec::new(), news: Vec::new() };
        (1..=guests).for_each(|number| world.add_guest(number));
        world
    }
    fn add_guest(&mut self, number: u8) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let mac = Mac([0x52, 0x54, 0, 0, 0, number]);
        let prefix = u128::from(self.network.gateway().plan().v6.as_ref().unwrap().prefix.network());
        let addresses = vec![
            IpAddr::from([10, 0, 2, 10 + number]),
            IpAddr::from((prefix | u128::from(number) << 8).to_be_bytes()),
        ];
        let member = Member {
            vm: format!("vm{number}"),
            nic: "eth0".to_owned(),
            mac,
            kind: MemberKind::Guest,
            addresses: addresses.clone(),
        };
        self.ports.push(self.network.attach(Attachment { link: Box::new(Cable(ours)), member }).unwrap());
        let mut guest = Guest::new(theirs, mac, GATEWAY, &addresses);
        for other in &mut self.guests {
            other.neighbours.insert(guest.address, mac);
            guest.neighbours.insert(other.address, other.mac);
        }
        self.guests.push(guest);
    }
    /// A turn of everything.
    pub fn step(&mut self) {
        self.network.turn(Some(Duration::from_millis(1)), &mut self.news).unwrap();
        self.guests.iter_mut().for_each(Guest::turn);
    }
    /// Turns until something has come true.
    pub fn until(&mut self, what: &str, mut is_true: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !is_true(self) {
            assert!(start.elapsed() < PATIENCE, "it took too long: {what}");
            self.step();
        }
    }
    /// Turns so often that whatever is under way has come.
    pub fn settle(&mut self) {
        (0..20).for_each(|_| self.step());
    }
    /// Changes the firewall.
    pub fn change_firewall(&mut self, change: impl FnOnce(&mut Firewall)) {
        let mut firewall = self.network.filter().firewall().clone();
        change(&mut firewall);
        self.network.filter().set_firewall(firewall);
    }
}

/// A port of the host's loopback that nobody listens at.
pub fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
