//! Descriptors passed to another process: a short message over a Unix socket, with a few of them.
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors in a message at most.
pub const DESCRIPTORS_MAX: usize = 8;
/// Bytes in a message at most.
pub const BYTES_MAX: usize = 4096;

/// Why descriptors could not be passed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Nothing, or more than [`DESCRIPTORS_MAX`] or [`BYTES_MAX`].
    #[error("a message has 1 to {BYTES_MAX} bytes and at most {DESCRIPTORS_MAX} descriptors")]
    Size,
    /// The other side sent more than it may.
    #[error("the other side sent a message that is too long")]
    Truncated,
    /// The other side has closed its end.
    #[error("the other side is gone")]
    Closed,
    /// The kernel refused.
    #[error("descriptors cannot be passed")]
    System(#[from] Errno),
}

/// Sends `bytes` and `descriptors` as one message. The other process gets descriptors of its own.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), PassError> {
    if bytes.is_empty() || bytes.len() > BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(PassError::Size);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(PassError::Size);
    }
    let sent = retry_on_intr(|| {
        sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    // The descriptors went with the first byte; the rest of a stream's message may follow alone.
    let mut rest = &bytes[sent.min(bytes.len())..];
    while !rest.is_empty() {
        let sent = retry_on_intr(|| rustix::net::send(socket.as_fd(), rest, SendFlags::NOSIGNAL))?;
        rest = &rest[sent.min(rest.len())..];
    }
    Ok(())
}

/// Receives what one [`send`] sent: how many bytes of `bytes` are filled, and the descriptors, which a program that this
/// process executes does not inherit.
///
/// On a stream, a message that is not read at one go comes in pieces; messages that are answered before the next is sent
/// do not run into one another.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), PassError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| {
        let mut slices = [IoSliceMut::new(bytes)];
        recvmsg(socket.as_fd(), &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    // Taken out in any case, so that what is not wanted is closed.
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    if message.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        return Err(PassError::Truncated);
    }
    if message.bytes == 0 {
        return Err(PassError::Closed);
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::io::{FdFlags, fcntl_getfd, read, write};

    use super::*;

    #[test]
    fn a_pipe_works_after_it_was_passed() {
        let (here, there) = UnixStream::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        send(&here, b"a pipe", &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut bytes = [0; 64];
        let (count, descriptors) = receive(&there, &mut bytes).unwrap();
        assert_eq!((&bytes[..count], descriptors.len()), (&b"a pipe"[..], 1));
        assert!(fcntl_getfd(&descriptors[0]).unwrap().contains(FdFlags::CLOEXEC));
        write(&descriptors[0], b"through").unwrap();
        let count = read(&reader, &mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"through");
    }

    #[test]
    fn messages_are_bounded_and_ends_are_seen() {
        let (here, there) = UnixStream::pair().unwrap();
        let many = vec![here.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(matches!(send(&here, b"x", &many), Err(PassError::Size)));
        assert!(matches!(send(&here, b"", &[]), Err(PassError::Size)));
        send(&here, b"x", &many[1..]).unwrap();
        assert_eq!(receive(&there, &mut [0; 1]).unwrap().1.len(), DESCRIPTORS_MAX);
        drop(here);
        assert!(matches!(receive(&there, &mut [0; 1]), Err(PassError::Closed)));
        assert!(matches!(send(&there, b"x", &[]), Err(PassError::System(Errno::PIPE))));
    }
}
