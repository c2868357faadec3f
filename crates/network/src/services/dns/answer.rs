//! Who answers a query, and with what.
use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use ipnet::IpNet;

use super::names::Names;
use super::shorten::{HEADER, additional, datagram_limit};
use crate::services::Plan;

/// What becomes of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is answered, with these bytes.
    Local(Vec<u8>),
    /// It is a resolver's to answer, as it is.
    Forward,
    /// It is no query.
    Drop,
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// In a datagram, whose answer must not be long.
    Udp,
    /// In a stream.
    Tcp,
}

/// What is answered here.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'a> {
    /// The network: its domain, its addresses, and whether others' names are looked up.
    pub plan: &'a Plan,
    /// Its names.
    pub names: &'a Names,
}

/// How long guests may remember an answer, in seconds: VMs come and go.
const TTL_S: u32 = 30;
/// How long they may remember that there is none, in seconds.
const NEGATIVE_TTL_S: u32 = 5;
/// Bytes of a message in a stream at most.
const STREAM_LIMIT: u16 = u16::MAX;

/// What a question asks for, if it is answered here.
enum Question {
    /// A name's addresses; `None` if there is no such name.
    Addresses(Option<Vec<IpAddr>>),
    /// The name of one of the network's addresses.
    Pointer(IpAddr),
    /// The domain itself.
    Apex,
}

/// Decides on a query, a whole DNS message without the length that is in front of it in a stream.
pub fn answer(query: &[u8], zone: &Zone, over: Over) -> Answer {
    let Some(header) = query.first_chunk::<HEADER>() else { return Answer::Drop };
    // A response is answered by nobody.
    if header[2] & 0x80 != 0 {
        return Answer::Drop;
    }
    if header[2] >> 3 & 0xf != 0 {
        return Answer::Local(error(header, ResponseCode::NotImp));
    }
    let Some(message) = additional(query) else {
        return Answer::Local(error(header, ResponseCode::FormErr));
    };
    let [question] = &message.queries[..] else {
        return Answer::Local(error(header, ResponseCode::FormErr));
    };
    let limit = match over {
        Over::Udp => u16::try_from(datagram_limit(query)).unwrap_or(STREAM_LIMIT),
        Over::Tcp => STREAM_LIMIT,
    };
    let reply = match find(question, zone) {
        _ if message.edns.as_ref().is_some_and(|edns| edns.version() != 0) => {
            let mut reply = response(&message, zone);
            reply.metadata.response_code = ResponseCode::BADVERS;
            reply
        }
        Some(found) => local(&message, question, found, zone),
        None if zone.plan.forwards_names => return Answer::Forward,
        None => {
            let mut reply = response(&message, zone);
            reply.metadata.response_code = ResponseCode::Refused;
            reply
        }
    };
    emit(&reply, limit).map_or_else(|| Answer::Local(error(header, ResponseCode::ServFail)), Answer::Local)
}

/// Whose name it is. A name without a domain is answered if a guest has it.
fn find(question: &Query, zone: &Zone) -> Option<Question> {
    let name = question.name();
    if question.query_class() != DNSClass::IN {
        return None;
    }
    if let Ok(address) = name.parse_arpa_name() {
        return pointer(address, zone.plan);
    }
    let of_label = |label: &[u8]| Some(zone.names.addresses(std::str::from_utf8(label).ok()?)?.to_vec());
    let domain = domain(zone.plan)?;
    if domain.zone_of(name) {
        return Some(match name.num_labels() - domain.num_labels() {
            0 => Question::Apex,
            1 => Question::Addresses(name.iter().next().and_then(of_label)),
            _ => Question::Addresses(None),
        });
    }
    let bare = (name.num_labels() == 1).then(|| name.iter().next()).flatten();
    bare.and_then(of_label).map(|list| Question::Addresses(Some(list)))
}

/// Of an address of the network.
fn pointer(asked: IpNet, plan: &Plan) -> Option<Question> {
    let is_ours = match asked.addr() {
        IpAddr::V4(address) => plan.v4.as_ref().is_some_and(|v4| v4.prefix.contains(&address)),
        IpAddr::V6(address) => plan.v6.as_ref().is_some_and(|v6| v6.prefix.contains(&address)),
    };
    let is_whole = asked.prefix_len() == asked.max_prefix_len();
    (is_ours && is_whole).then(|| Question::Pointer(asked.addr()))
}

fn domain(plan: &Plan) -> Option<Name> {
    let mut name = Name::from_ascii(&plan.domain).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// The records, under the name as it was asked for: who asks may have hidden something in its case. A name that has no such
/// records is no error (RFC 2308 §2.2).
fn local(message: &Message, question: &Query, found: Question, zone: &Zone) -> Message {
    let mut reply = response(message, zone);
    reply.metadata.authoritative = true;
    let record = |data| Record::from_rdata(question.name().clone(), TTL_S, data);
    let asked = question.query_type();
    let is_asked = |kind: RecordType| asked == kind || asked == RecordType::ANY;
    let records: Option<Vec<Record>> = match found {
        Question::Addresses(list) => list.map(|list| {
            let data = list.into_iter().map(|address| match address {
                IpAddr::V4(address) => RData::A(A(address)),
                IpAddr::V6(address) => RData::AAAA(AAAA(address)),
            });
            data.filter(|data| is_asked(data.record_type())).map(record).collect()
        }),
        Question::Pointer(address) => zone.names.name(address).map(|label| {
            let name = Name::from_ascii(format!("{label}.{}.", zone.plan.domain)).ok();
            let data = name.filter(|_| is_asked(RecordType::PTR)).map(|name| RData::PTR(PTR(name)));
            data.map(record).into_iter().collect()
        }),
        Question::Apex => Some(authority(zone).filter(|_| is_asked(RecordType::SOA)).into_iter().collect()),
    };
    let is_known = records.is_some();
    reply.add_answers(records.unwrap_or_default());
    if reply.answers.is_empty() {
        reply.add_authorities(authority(zone));
    }
    if !is_known {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply
}

/// What tells how long an absence may be remembered (RFC 2308 §3).
fn authority(zone: &Zone) -> Option<Record> {
    let domain = domain(zone.plan)?;
    let server = domain.prepend_label("gateway").ok()?;
    let person = domain.prepend_label("hostmaster").ok()?;
    let data = SOA::new(server, person, 1, 3600, 600, 86_400, NEGATIVE_TTL_S);
    Some(Record::from_rdata(domain, NEGATIVE_TTL_S, RData::SOA(data)))
}

fn response(message: &Message, zone: &Zone) -> Message {
    let mut reply = Message::response(message.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.checking_disabled = message.metadata.checking_disabled;
    reply.metadata.recursion_available = zone.plan.forwards_names;
    reply.add_queries(message.queries.iter().cloned());
    if let Some(asked) = &message.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232).set_dnssec_ok(asked.flags().dnssec_ok);
        reply.set_edns(edns);
    }
    reply
}

/// In at most `limit` bytes, without records if they do not fit.
fn emit(reply: &Message, limit: u16) -> Option<Vec<u8>> {
    let bytes = encode(reply, STREAM_LIMIT)?;
    if bytes.len() <= usize::from(limit) { Some(bytes) } else { encode(&reply.truncate(), limit) }
}

fn encode(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(limit);
    message.emit(&mut encoder).ok()?;
    Some(bytes)
}

/// A header alone; what the query's question is is not known.
fn error(query: &[u8; HEADER], code: ResponseCode) -> Vec<u8> {
    let id = u16::from_be_bytes([query[0], query[1]]);
    let mut reply = Message::new(id, MessageType::Response, OpCode::from_u8(query[2] >> 3 & 0xf));
    reply.metadata.recursion_desired = query[2] & 1 != 0;
    reply.metadata.response_code = code;
    reply.to_vec().unwrap_or_default()
}
