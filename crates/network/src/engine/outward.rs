//! From guests to what is behind the NAT.
use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use platform::net::FrameHeader;

use super::Network;
use crate::host::ping::PingError;
use crate::nat::connections::{self, Ends};
use crate::nat::echoes::Series;
use crate::nat::names::Names;
use crate::nat::outside::Outside;
use crate::nat::tcp::{Segment, Sequence};
use crate::services::dns;
use crate::services::refusal::Refusal;
use crate::services::{DnsClient, Now};
use crate::switch::PortId;
use crate::wire::tcp_flag::{ACK, SYN};
use crate::wire::{Ip, Packet, Transport, offload};

/// Where names are looked up.
const DNS: u16 = 53;
/// Types of echo requests, of ICMP and of ICMPv6.
const ECHO_REQUEST_4: u8 = 8;
const ECHO_REQUEST_6: u8 = 128;

impl Network {
    /// A packet for somebody outside, or for one of the gateway's addresses where no service wants it. The filter has let it
    /// pass.
    pub(super) fn outward(
        &mut self,
        from: PortId,
        header: &FrameHeader,
        packet: &Packet,
        frame: &[u8],
        now: Now,
    ) {
        let Some(ip) = &packet.ip else { return };
        let is_vouched = header.flags & (FrameHeader::NEEDS_CHECKSUM | FrameHeader::DATA_VALID) != 0;
        if !is_vouched && !offload::is_sound(ip, frame) {
            if let Some(port) = self.ports.get_mut(from) {
                port.counters.malformed += 1;
            }
            return;
        }
        let owned = self.gateway.owns(ip.destination);
        if !owned && ip.hop_limit <= 1 {
            return self.refuse(from, Refusal::Expired, packet, frame);
        }
        let tuple = ip.tuple();
        let ends = Ends {
            port: from,
            card: packet.source,
            gateway: self.gateway.mac(),
            guest: tuple.from(),
            remote: tuple.to(),
        };
        match &ip.transport {
            Some(Transport::Tcp { .. }) => self.outward_tcp(&ends, packet, ip, frame, now),
            Some(Transport::Udp { data, .. }) => self.outward_udp(&ends, packet, frame, data.clone(), now),
            Some(Transport::Icmp { kind: ECHO_REQUEST_4 | ECHO_REQUEST_6, .. }) => {
                self.outward_echo(&ends, packet, ip, frame, now);
            }
            // Errors of guests about what came from outside have nobody to go to.
            Some(Transport::Icmp { .. }) => {}
            None => self.refuse(from, Refusal::Protocol, packet, frame),
        }
    }

    /// Where a packet really goes.
    fn destination(&self, to: SocketAddr) -> Result<SocketAddr, Refusal> {
        let owned = self.gateway.owns(to.ip());
        let Some(outside) = &self.outside else {
            return Err(if owned { Refusal::Port } else { Refusal::Network });
        };
        if !owned {
            return outside.check(to.ip()).map(|()| to).map_err(|_| Refusal::Prohibited);
        }
        let is_gateway = self.own_address(to.ip()) == to.ip();
        let allows_host = outside.allows_host();
        if is_gateway && allows_host { Ok(Outside::loopback(to)) } else { Err(Refusal::Port) }
    }
    /// The host's first resolver.
    fn resolver(&mut self) -> Option<SocketAddr> {
        let (text, is_new) = self.resolver_file.text();
        if is_new || self.resolvers.is_empty() {
            let all = dns::resolvers(text).into_iter();
            self.resolvers =
                all.filter(|one| one.scope.is_none()).map(|one| SocketAddr::new(one.address, DNS)).collect();
        }
        self.resolvers.first().copied()
    }

    fn outward_tcp(&mut self, ends: &Ends, packet: &Packet, ip: &Ip, frame: &[u8], now: Now) {
        let Some(Transport::Tcp { sequence, acknowledgment, flags, window, options, data, .. }) =
            &ip.transport
        else {
            return;
        };
        let segment = Segment {
            sequence: Sequence(*sequence),
            acknowledgment: Sequence(*acknowledgment),
            flags: *flags,
            window: *window,
            options: &frame[options.clone()],
            data: &frame[data.clone()],
        };
        if self.connections.take(ends, &segment, now.instant) {
            return;
        }
        if flags & (SYN | ACK) != SYN {
            return self.refuse_tcp(ends, &segment);
        }
        if ends.remote.port() == DNS && self.gateway.is_dns(ends.remote.ip()) {
            let opened = self.connections.open_names(ends, &segment, now.instant, &self.poller);
            return opened.unwrap_or_else(|error| tracing::warn!(%error, "names cannot be asked for"));
        }
        let to = match self.destination(ends.remote) {
            Ok(to) => to,
            Err(Refusal::Port) => return self.refuse_tcp(ends, &segment),
            Err(refusal) => return self.refuse(ends.port, refusal, packet, frame),
        };
        let opened = self.connections.open(ends, &segment, to, frame, now.instant, &self.poller);
        match opened.map_err(|error| error.kind()) {
            Ok(()) => {}
            Err(io::ErrorKind::ConnectionRefused) => self.refuse_tcp(ends, &segment),
            Err(kind) => {
                if let Some(refusal) = refusal_of(kind) {
                    self.refuse(ends.port, refusal, packet, frame);
                }
            }
        }
    }
    /// Answers questions that came by TCP, as those by UDP are answered.
    pub(super) fn serve_names(&mut self) {
        if !self.connections.has_questions() {
            return;
        }
        let resolver = if self.outside.is_some() { self.resolver() } else { None };
        let answer = |query: &[u8]| self.gateway.answer_dns(query, dns::Over::Tcp);
        self.connections.serve_names(&Names { answer: &answer, resolver }, &self.poller);
    }
    fn refuse_tcp(&mut self, ends: &Ends, segment: &Segment<'_>) {
        if let Some(port) = self.ports.get_mut(ends.port) {
            connections::refuse(ends, segment, port);
        }
    }

    fn outward_udp(&mut self, ends: &Ends, packet: &Packet, frame: &[u8], data: Range<usize>, now: Now) {
        let data = &frame[data];
        if self.forwards.answer((ends.port, ends.guest, ends.remote), data, now.instant) {
            return;
        }
        let to = match self.destination(ends.remote) {
            Ok(to) => to,
            Err(refusal) => return self.refuse(ends.port, refusal, packet, frame),
        };
        if let Err(error) = self.datagrams.send(ends, to, data, now.instant, &self.poller)
            && let Some(refusal) = refusal_of(error.kind())
        {
            self.refuse(ends.port, refusal, packet, frame);
        }
    }

    fn outward_echo(&mut self, ends: &Ends, packet: &Packet, ip: &Ip, frame: &[u8], now: Now) {
        let Some(Transport::Icmp { identifier, sequence, data, .. }) = &ip.transport else { return };
        let to = match self.destination(ends.remote) {
            Ok(to) => to.ip(),
            Err(refusal) => return self.refuse(ends.port, refusal, packet, frame),
        };
        let series =
            Series { port: ends.port, guest: ip.source, remote: ip.destination, identifier: *identifier };
        let cards = (ends.card, ends.gateway);
        let ping = (*sequence, &frame[data.clone()]);
        match self.echoes.send(series, cards, to, ping, now.instant, &self.poller) {
            Ok(()) => {}
            // The host lets nobody ping: that is said rather than left to a timeout.
            Err(PingError::Closed) => self.refuse(ends.port, Refusal::Prohibited, packet, frame),
            Err(PingError::Unreachable(_, errno)) => {
                if let Some(refusal) = refusal_of(io::Error::from(errno).kind()) {
                    self.refuse(ends.port, refusal, packet, frame);
                }
            }
            Err(error) => tracing::debug!(%error, "a ping was not sent"),
        }
    }

    /// A query for the host's resolvers.
    pub(super) fn lookup(
        &mut self,
        from: PortId,
        client: DnsClient,
        packet: &Packet,
        frame: &[u8],
        query: Range<usize>,
        now: Now,
    ) {
        let asked = match (self.outside.is_some(), self.resolver()) {
            (true, Some(resolver)) => {
                self.lookups.ask(client, &frame[query], resolver, now.instant, &self.poller)
            }
            _ => Err(io::ErrorKind::NetworkUnreachable.into()),
        };
        if let Err(error) = asked {
            tracing::debug!(%error, "a name is not looked up");
            self.refuse(from, Refusal::Port, packet, frame);
        }
    }
}

/// What a guest is told of the host's error; nothing of those that it cannot do anything about.
pub(super) fn refusal_of(kind: io::ErrorKind) -> Option<Refusal> {
    match kind {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Some(Refusal::Network),
        io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Some(Refusal::Host),
        io::ErrorKind::PermissionDenied => Some(Refusal::Prohibited),
        io::ErrorKind::ConnectionRefused => Some(Refusal::Port),
        _ => None,
    }
}
