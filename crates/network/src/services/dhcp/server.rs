//! Who gets which address.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use platform::net::Mac;

use super::reply::{Answer, LEASE_S, frame};
use super::request::{Kind, Request};
use super::{Lease, Leases, Reservations};
use crate::services::{Now, Plan, V4, label::label};

/// How long an offered address is kept for whom it was offered.
const OFFER: Duration = Duration::from_secs(60);
/// How long an address that a guest found in use is not offered.
const DECLINED: Duration = Duration::from_secs(600);
/// Offers, and declined addresses, that are remembered at most.
const REMEMBERED_MAX: usize = 256;
/// Addresses that one card can say are in use, so that none takes all away from others.
const DECLINED_PER_CARD: usize = 4;

/// The network that addresses are of, and who gives them away.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// Its IPv4.
    pub v4: &'a V4,
    /// The server's address.
    pub server: Ipv4Addr,
    /// The server's card.
    pub own: Mac,
}

/// What a message led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For the port that asked.
    pub reply: Option<Vec<u8>>,
    /// The guest has this address now.
    pub assigned: Option<(Mac, Ipv4Addr)>,
    /// The guest is called this.
    pub name: Option<String>,
}

/// A server's memory.
#[derive(Debug, Default)]
pub struct Server {
    /// Kept in a file.
    pub leases: Leases,
    /// Set by a user.
    pub reservations: Reservations,
    offers: BTreeMap<Mac, (Ipv4Addr, Instant)>,
    /// Who said so, and until when it is believed.
    declined: BTreeMap<Ipv4Addr, (Mac, Instant)>,
}

impl Server {
    /// With what is known of earlier.
    pub fn new(mut leases: Leases, v4: &V4) -> Self {
        leases.keep_possible(v4);
        Self { leases, ..Self::default() }
    }
    /// Answers a datagram from a card whose VM has a name, maybe. Each card speaks for itself only.
    pub fn handle(
        &mut self,
        terms: &Terms,
        datagram: &[u8],
        (source, vm): (Mac, Option<&str>),
        now: Now,
    ) -> Outcome {
        let Some(request) = Request::parse(datagram).filter(|request| request.mac == source) else {
            return Outcome::default();
        };
        self.offers.retain(|_, (_, until)| *until > now.instant);
        self.declined.retain(|_, (_, until)| *until > now.instant);
        let name = self.name(&request, vm);
        let said = |answer| Outcome { reply: frame(terms, &request, answer), ..Outcome::default() };
        match request.kind {
            Kind::Discover => match self.choose(terms, &request, now) {
                Some(address) => {
                    self.offer(request.mac, address, now);
                    said(Answer::Offer(address, name.as_deref()))
                }
                None => Outcome::default(),
            },
            // The guest chose another server, and needs nothing of this one.
            Kind::Request | Kind::Release | Kind::Decline
                if request.server.is_some_and(|server| server != terms.server) =>
            {
                self.offers.remove(&request.mac);
                Outcome::default()
            }
            Kind::Request => match self.grant(terms, &request, name.as_ref(), now) {
                Some(address) => {
                    let assigned = Some((request.mac, address));
                    Outcome { assigned, name: name.clone(), ..said(Answer::Ack(address, name.as_deref())) }
                }
                None => said(Answer::Nak),
            },
            Kind::Inform if request.current.is_some_and(|current| terms.v4.is_guest(current)) => {
                said(Answer::Told)
            }
            Kind::Inform => Outcome::default(),
            Kind::Decline => {
                self.decline(&request, now);
                Outcome::default()
            }
            Kind::Release => {
                let lease = self.leases.get(request.mac);
                if lease.is_some_and(|lease| Some(lease.address) == request.current) {
                    self.leases.release(request.mac, now.unix_s);
                }
                Outcome::default()
            }
        }
    }

    /// A user's word, then the VM's name, then what the guest says.
    fn name(&self, request: &Request, vm: Option<&str>) -> Option<String> {
        let reserved = self.reservations.get(request.mac).and_then(|reservation| reservation.name.as_deref());
        let known = reserved.or(vm).and_then(|name| label(name.as_bytes()));
        known.or_else(|| label(request.name.as_deref()?))
    }

    /// RFC 2131 §4.3.1: what the card has, had, wants; then one that nobody ever had; then the one that was unused longest.
    fn choose(&self, terms: &Terms, request: &Request, now: Now) -> Option<Ipv4Addr> {
        let mac = request.mac;
        if let Some(reservation) = self.reservations.get(mac) {
            return Some(reservation.address);
        }
        let may_have = |address: &Ipv4Addr| self.may_have(terms, mac, *address, now);
        let own = self.own(mac).filter(may_have);
        let is_new = |address: &Ipv4Addr| self.leases.holder(*address).is_none() && may_have(address);
        let expired = || {
            let is_free = |lease: &Lease| self.is_free(terms, mac, lease.address, now);
            self.leases.longest_expired(now.unix_s, is_free).map(|(_, lease)| lease.address)
        };
        own.or_else(|| request.wanted.filter(is_new))
            .or_else(|| self.unused(terms, mac, now))
            .or_else(expired)
    }

    /// What a card was offered, or else has or had.
    fn own(&self, mac: Mac) -> Option<Ipv4Addr> {
        let offered = self.offers.get(&mac).map(|(address, _)| *address);
        offered.or_else(|| self.leases.get(mac).map(|lease| lease.address))
    }

    /// The first address that nobody ever had. It takes as many steps as there are addresses in use.
    fn unused(&self, terms: &Terms, mac: Mac, now: Now) -> Option<Ipv4Addr> {
        let used: BTreeSet<u32> = if is_single(terms.v4) {
            BTreeSet::new()
        } else {
            self.leases.iter().map(|(_, lease)| lease.address.into()).collect()
        };
        let mut free = terms.v4.pool().filter(|number| !used.contains(number)).map(Ipv4Addr::from);
        free.find(|&address| self.is_free(terms, mac, address, now))
    }

    /// Whether a card may have an address: it is for guests, and nobody else's.
    fn may_have(&self, terms: &Terms, mac: Mac, address: Ipv4Addr, now: Now) -> bool {
        if let Some(reservation) = self.reservations.get(mac) {
            return reservation.address == address;
        }
        let is_taken = self
            .leases
            .holder(address)
            .is_some_and(|(holder, lease)| holder != mac && !lease.is_expired(now.unix_s));
        // Where there is one VM, whoever asks is that one, whatever its card is now.
        let is_taken = is_taken && !is_single(terms.v4);
        !is_taken && self.is_free(terms, mac, address, now)
    }

    /// The same, whatever the leases say.
    fn is_free(&self, terms: &Terms, mac: Mac, address: Ipv4Addr, now: Now) -> bool {
        let is_offered = self
            .offers
            .iter()
            .any(|(&other, &(offered, until))| other != mac && offered == address && until > now.instant);
        terms.v4.pool().contains(&address.into())
            && terms.v4.is_guest(address)
            && !self.declined.contains_key(&address)
            && self.reservations.holder(address).is_none_or(|holder| holder == mac)
            && (!is_offered || is_single(terms.v4))
    }

    fn offer(&mut self, mac: Mac, address: Ipv4Addr, now: Now) {
        if self.offers.len() >= REMEMBERED_MAX
            && let Some((&oldest, _)) = self.offers.iter().min_by_key(|(_, (_, until))| *until)
        {
            self.offers.remove(&oldest);
        }
        self.offers.insert(mac, (address, now.instant + OFFER));
    }

    /// RFC 2131 §4.3.2. This is the network's only server, so that a guest that nothing is known of gets the address it
    /// had, if nobody else has it, rather than silence.
    fn grant(
        &mut self,
        terms: &Terms,
        request: &Request,
        name: Option<&String>,
        now: Now,
    ) -> Option<Ipv4Addr> {
        let mac = request.mac;
        let address = request.wanted.or(request.current)?;
        let may_have = |address: Ipv4Addr| self.may_have(terms, mac, address, now);
        let is_other = self.own(mac).is_some_and(|own| own != address && may_have(own));
        if is_other || !may_have(address) {
            return None;
        }
        self.offers.remove(&mac);
        let lease = Lease { address, expires_s: now.unix_s + u64::from(LEASE_S), name: name.cloned() };
        self.leases.bind(mac, lease, now.unix_s).then_some(address)
    }

    /// Only what a card was given can it find in use.
    fn decline(&mut self, request: &Request, now: Now) {
        let Some(address) = request.wanted.filter(|&address| self.own(request.mac) == Some(address)) else {
            return;
        };
        self.offers.remove(&request.mac);
        self.leases.remove(request.mac);
        let of_card = self.declined.iter().filter(|(_, (mac, _))| *mac == request.mac);
        let oldest = of_card.clone().min_by_key(|(_, (_, until))| *until).map(|(address, _)| *address);
        if of_card.count() >= DECLINED_PER_CARD
            && let Some(oldest) = oldest
        {
            self.declined.remove(&oldest);
        }
        if self.declined.len() < REMEMBERED_MAX {
            self.declined.insert(address, (request.mac, now.instant + DECLINED));
        }
    }
}

/// Whether the network has one VM.
fn is_single(v4: &V4) -> bool {
    v4.pool.0 == v4.pool.1
}
