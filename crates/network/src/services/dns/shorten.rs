//! Answers that are too long for a datagram.
use hickory_proto::op::{Message, Query};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// Bytes of a header.
pub const HEADER: usize = 12;
/// Bytes of a datagram that everybody takes (RFC 1035 §4.2.1).
const LIMIT_MIN: u16 = 512;
/// Bytes of a datagram that passes everywhere without being cut (DNS flag day 2020).
const LIMIT_MAX: u16 = 1232;
/// Records that a query has beside its question, at most.
const ADDITIONAL_MAX: usize = 4;

/// Bytes that the answer to a query may have in a datagram, by what the query says (RFC 6891 §6.2.5).
pub fn datagram_limit(query: &[u8]) -> usize {
    additional(query)
        .and_then(|message| message.edns.map(|edns| edns.max_payload()))
        .map_or(usize::from(LIMIT_MIN), |limit| usize::from(limit.clamp(LIMIT_MIN, LIMIT_MAX)))
}

/// An answer as it fits in a datagram: if it is too long, its header and its question, with TC set, so that it is asked for
/// again by TCP (RFC 2181 §9).
pub fn shorten(reply: &[u8], limit: usize) -> Vec<u8> {
    if reply.len() <= limit {
        return reply.to_vec();
    }
    let Some(end) = end_of_question(reply) else { return Vec::new() };
    let mut short = reply[..end].to_vec();
    short[2] |= 2;
    short[6..HEADER].fill(0);
    short
}

/// A query's question and what is beside it; other sections are empty. `None` if it is malformed.
pub fn additional(query: &[u8]) -> Option<Message> {
    let header = query.first_chunk::<HEADER>()?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    if count(4) != 1 || count(6) != 0 || count(8) != 0 || count(10) > ADDITIONAL_MAX {
        return None;
    }
    Message::from_vec(query).ok()
}

fn end_of_question(reply: &[u8]) -> Option<usize> {
    let header = reply.first_chunk::<HEADER>()?;
    if header[4..6] != [0, 1] {
        return None;
    }
    let mut decoder = BinDecoder::new(reply);
    decoder.read_slice(HEADER).ok()?;
    Query::read(&mut decoder).ok()?;
    Some(decoder.index())
}
