//! Names asked for in a stream (RFC 7766, RFC 1035 §4.2.2): a connection whose other end is not the host's, but the network.
//!
//! Each message is answered by the network itself or, if the name is not its own, by the host's resolver over a connection
//! that is opened for it. Answers come in the order in which they are there, as RFC 7766 §6.2.1.1 has it.
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use super::socket::TcpSocket;
use super::tcp::HostStream;
use crate::services::dns::Answer;

/// Bytes in front of each message.
const PREFIX: usize = 2;
/// Bytes of questions, of answers, and of what goes to the resolver or comes from it, each at most but for one message.
const WAITING_MAX: usize = PREFIX + u16::MAX as usize;

/// The far end of such a connection.
#[derive(Debug, Default)]
pub struct NameStream {
    /// From the guest; what is at the front is not whole, or waits for room.
    questions: Vec<u8>,
    /// For the guest, whole.
    answers: VecDeque<u8>,
    resolver: Option<TcpSocket>,
    /// For the resolver.
    outgoing: VecDeque<u8>,
    /// From the resolver, not whole.
    incoming: Vec<u8>,
    /// Questions that the resolver has not answered.
    asked: usize,
    /// The guest has no more questions.
    finished: bool,
    /// There are no more answers but those that are there.
    ended: bool,
    /// Its reader has come to the end.
    told: bool,
}

/// What is needed to answer questions.
pub struct Names<'a> {
    /// Answers a message, or says that others do.
    pub answer: &'a dyn Fn(&[u8]) -> Answer,
    /// Who answers the others.
    pub resolver: Option<SocketAddr>,
}

impl NameStream {
    /// Whether a question waits for [`NameStream::serve`].
    pub fn has_question(&self) -> bool {
        !self.ended
            && self.answers.len() < WAITING_MAX
            && self.outgoing.len() < WAITING_MAX
            && whole(&self.questions).is_some()
    }
    /// Answers questions, as many as there is room for. True if a resolver's socket is there from now on, which has to be
    /// waited for.
    pub fn serve(&mut self, names: &Names<'_>) -> bool {
        let had = self.resolver.is_some();
        while self.has_question() {
            let Some(length) = whole(&self.questions) else { break };
            let message = &self.questions[PREFIX..length];
            match (names.answer)(message) {
                Answer::Local(answer) => {
                    let prefix = u16::try_from(answer.len()).unwrap_or(u16::MAX);
                    self.answers.extend(prefix.to_be_bytes());
                    self.answers.extend(&answer[..usize::from(prefix)]);
                }
                Answer::Forward if self.reach(names.resolver) => {
                    self.outgoing.extend(&self.questions[..length]);
                    self.asked += 1;
                }
                Answer::Forward | Answer::Drop => self.ended = true,
            }
            self.questions.drain(..length);
        }
        self.flush();
        !had && self.resolver.is_some()
    }
    /// Whether its reader has still to come to the end, which is there.
    pub fn has_end(&self) -> bool {
        !self.told && self.answers.is_empty() && self.is_over()
    }
    fn is_over(&self) -> bool {
        self.ended || (self.finished && self.asked == 0 && whole(&self.questions).is_none())
    }
    /// The resolver's socket.
    pub fn socket(&self) -> Option<&TcpSocket> {
        self.resolver.as_ref()
    }

    fn reach(&mut self, resolver: Option<SocketAddr>) -> bool {
        if self.resolver.is_none() {
            self.resolver =
                resolver.and_then(|resolver| TcpSocket::connect(resolver).ok()).map(|(socket, _)| socket);
        }
        self.resolver.is_some()
    }
    /// Gives the resolver what it takes. It is not connected at first; whether it ever is, reading tells.
    fn flush(&mut self) {
        let Some(resolver) = &mut self.resolver else { return };
        while !self.outgoing.is_empty() {
            let (front, _) = self.outgoing.as_slices();
            match resolver.write(&[IoSlice::new(front)]) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
    /// Takes what the resolver has said, message by message.
    fn pull(&mut self) {
        self.flush();
        let Some(resolver) = &mut self.resolver else { return };
        let mut buffer = [0; 4096];
        while self.answers.len() < WAITING_MAX {
            match resolver.read(&mut buffer) {
                Ok(count @ 1..) => self.incoming.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    return;
                }
                // Questions that it has not answered are not answered.
                Ok(_) | Err(_) => {
                    (self.ended, self.resolver) = (true, None);
                    return;
                }
            }
            while let Some(length) = whole(&self.incoming) {
                self.answers.extend(self.incoming.drain(..length));
                self.asked = self.asked.saturating_sub(1);
            }
        }
    }
}

/// Bytes of the first message with its length in front, once they are all there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = PREFIX + usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    (bytes.len() >= length).then_some(length)
}

impl HostStream for NameStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.answers.is_empty() {
            self.pull();
        }
        if !self.answers.is_empty() {
            return io::Read::read(&mut self.answers, into);
        }
        if !self.is_over() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.told = true;
        Ok(0)
    }
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.ended {
            // Nobody reads it.
            return Ok(from.iter().map(|piece| piece.len()).sum());
        }
        let mut count = 0;
        for piece in from {
            let room = WAITING_MAX - self.questions.len();
            let part = &piece[..piece.len().min(room)];
            self.questions.extend_from_slice(part);
            count += part.len();
        }
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
    fn finish(&mut self) {
        self.finished = true;
    }
    fn reset(&mut self) {
        self.ended = true;
        if let Some(resolver) = &mut self.resolver {
            resolver.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), message].concat()
    }
    /// Messages that begin with an "l" are local, and none begins with a "d".
    fn answer(message: &[u8]) -> Answer {
        match message.first() {
            Some(b'l') => Answer::Local(message.to_ascii_uppercase()),
            Some(b'd') | None => Answer::Drop,
            _ => Answer::Forward,
        }
    }
    fn give(stream: &mut NameStream, bytes: &[u8]) -> usize {
        stream.write(&[IoSlice::new(bytes)]).unwrap_or(0)
    }
    fn got(stream: &mut NameStream) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), [0; 100]);
        while let Ok(count @ 1..) = HostStream::read(stream, &mut buffer) {
            all.extend(&buffer[..count]);
        }
        all
    }

    #[test]
    fn messages_in_any_pieces() {
        let (mut stream, names) = (NameStream::default(), Names { answer: &answer, resolver: None });
        for byte in [framed(b"local"), framed(b"lab")].concat() {
            assert_eq!(give(&mut stream, &[byte]), 1);
            stream.serve(&names);
        }
        assert_eq!(got(&mut stream), [framed(b"LOCAL"), framed(b"LAB")].concat());
        assert!(HostStream::read(&mut stream, &mut [0]).is_err());
        stream.finish();
        assert_eq!(HostStream::read(&mut stream, &mut [0]).unwrap(), 0);
    }

    #[test]
    fn who_does_not_read_is_not_answered_for_ever() {
        let (mut stream, names) = (NameStream::default(), Names { answer: &answer, resolver: None });
        let questions = framed(&[b'l'; 1000]).repeat(100);
        let mut taken = 0;
        for _ in 0..10 {
            taken += give(&mut stream, &questions);
            stream.serve(&names);
            assert!(stream.questions.len() <= WAITING_MAX && stream.answers.len() <= 2 * WAITING_MAX);
        }
        assert!(taken < 3 * WAITING_MAX);
        stream.answers.clear();
        assert!(stream.has_question());
    }

    #[test]
    fn what_is_no_question_ends_it() {
        for wrong in [&b"\0\0"[..], b"\0\x01d", b"\0\x01x"] {
            let (mut stream, names) = (NameStream::default(), Names { answer: &answer, resolver: None });
            give(&mut stream, &[&framed(b"l"), wrong].concat());
            stream.serve(&names);
            assert_eq!(got(&mut stream), framed(b"L"));
            assert_eq!(HostStream::read(&mut stream, &mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn others_names_are_the_resolvers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let resolver = listener.local_addr().ok();
        let (mut stream, names) = (NameStream::default(), Names { answer: &answer, resolver });
        give(&mut stream, &[framed(b"other"), framed(b"local")].concat());
        assert!(stream.serve(&names) && stream.socket().is_some());
        assert_eq!(got(&mut stream), framed(b"LOCAL"));
        let (mut server, _) = listener.accept().unwrap();
        got(&mut stream);
        let mut question = [0; 7];
        server.read_exact(&mut question).unwrap();
        assert_eq!(question[..], framed(b"other"));
        server.write_all(&framed(b"answer")).unwrap();
        stream.finish();
        let start = std::time::Instant::now();
        let mut all = Vec::new();
        while all.is_empty() && start.elapsed().as_secs() < 20 {
            all = got(&mut stream);
        }
        assert_eq!(all, framed(b"answer"));
        assert_eq!(HostStream::read(&mut stream, &mut [0]).unwrap(), 0);
        // One that goes without an answer leaves none.
        let (mut stream, names) = (NameStream::default(), Names { answer: &answer, resolver });
        give(&mut stream, &framed(b"other"));
        stream.serve(&names);
        drop(listener.accept().unwrap());
        let start = std::time::Instant::now();
        while HostStream::read(&mut stream, &mut [0]).is_err() {
            assert!(start.elapsed().as_secs() < 20);
        }
    }
}
