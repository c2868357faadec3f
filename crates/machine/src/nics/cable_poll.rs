//! Waiting for a cable and for a bell.
#![expect(unsafe_code, reason = "poll and eventfd")]
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a cable is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Messages wait.
    pub frames: bool,
    /// There is room for one.
    pub room: bool,
    /// The other end is gone.
    pub ended: bool,
}

/// Wakes whoever polls.
pub struct Bell(OwnedFd);

impl Bell {
    /// A bell that was not rung.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain system call.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
    /// Rings; it is heard also by whoever polls next.
    pub fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the bytes are there. The counter cannot be full before it was rung 2^64 times.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
    /// It was heard.
    fn silence(&self) {
        let mut count = [0; 8];
        // SAFETY: there is room for the bytes; a bell that was not rung gives none.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// Waits for the bell or the cable. A bell that was heard is silent afterwards.
pub fn poll(bell: &Bell, cable: Option<BorrowedFd<'_>>, frames: bool, room: bool) -> Ready {
    let events = if frames { libc::POLLIN } else { 0 } | if room { libc::POLLOUT } else { 0 };
    let mut wanted = [
        libc::pollfd { fd: bell.0.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: cable.map_or(-1, |cable| cable.as_raw_fd()), events, revents: 0 },
    ];
    // SAFETY: the list is that long. A negative descriptor is left out; after a signal nothing is ready.
    if unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, -1) } < 0 {
        return Ready::default();
    }
    if wanted[0].revents != 0 {
        bell.silence();
    }
    let has = |bits: libc::c_short| wanted[1].revents & bits != 0;
    let ended = has(libc::POLLHUP | libc::POLLERR | libc::POLLNVAL);
    Ready { frames: has(libc::POLLIN), room: has(libc::POLLOUT), ended }
}

/// Calls on the descriptor do not wait.
pub fn set_nonblocking(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain system calls on a descriptor that is open.
    let done = unsafe {
        let flags = libc::fcntl(socket.as_raw_fd(), libc::F_GETFL);
        flags >= 0 && libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
