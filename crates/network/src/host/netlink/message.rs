//! Messages of rtnetlink(7): made of a header, a fixed structure and attributes, each padded to four bytes.

/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `struct rtattr`.
const ATTRIBUTE_BYTES: usize = 4;

/// A request under construction.
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Of a type `RTM_…`, with `NLM_F_…` flags and the structure that the type wants.
    pub fn new(kind: u16, flags: u16, structure: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(structure);
        let mut request = Self { bytes };
        request.pad();
        request
    }
    /// Adds an attribute. Values are short: names, addresses and numbers.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let begin = self.begin(kind);
        self.bytes.extend_from_slice(value);
        self.end(begin);
        self
    }
    /// Adds an attribute made of attributes.
    pub fn nested(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let begin = self.begin(kind);
        let mut outer = inner(self);
        outer.end(begin);
        outer
    }
    /// Adds a structure without a header, as `VETH_INFO_PEER` has one in front of its attributes.
    pub fn structure(mut self, structure: &[u8]) -> Self {
        self.bytes.extend_from_slice(structure);
        self.pad();
        self
    }
    /// The whole message.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn begin(&mut self, kind: u16) -> usize {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        begin
    }
    fn end(&mut self, begin: usize) {
        let length = u16::try_from(self.bytes.len() - begin).unwrap_or(u16::MAX);
        self.bytes[begin..begin + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `RTM_…`, `NLMSG_ERROR` or `NLMSG_DONE`.
    pub kind: u16,
    /// Whose answer it is.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of a datagram, up to the first that is malformed.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let body = bytes.get(HEADER_BYTES..length)?;
        let message = Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            body,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// The attributes after a structure: kind and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.first_chunk::<ATTRIBUTE_BYTES>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = bytes.get(ATTRIBUTE_BYTES..length)?;
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back() {
        let bytes = Request::new(16, 1, &[1, 2, 3, 4])
            .attribute(3, b"eth0\0")
            .nested(18, |request| request.attribute(1, b"veth"))
            .finish(7);
        let message = messages(&bytes).next().unwrap();
        assert_eq!((message.kind, message.sequence, bytes.len() % 4), (16, 7, 0));
        let found: Vec<_> = attributes(&message.body[4..]).collect();
        assert_eq!(found[0], (3, &b"eth0\0"[..]));
        assert_eq!(attributes(found[1].1).next(), Some((1, &b"veth"[..])));
    }

    #[test]
    fn malformed_messages_end_the_walk() {
        assert_eq!(messages(&[0; 16]).count(), 0);
        assert_eq!(messages(&[0xff; 40]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[0xff; 9]).count(), 0);
    }
}
