//! The thread between a card and its cable. Only `readv`, `writev` and `poll` are called on the cable itself.
//!
//! Whoever made the process ignores SIGPIPE, as every Rust program does: writing to a cable without another end is an
//! error, no signal.
//!
//! Lock order: a card may hold its own lock while it calls; the lock of the socket is a leaf.
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use parking_lot::{Mutex, RwLock};
use platform::Span;
use platform::net::{
    ControlMessage, FrameHeader, MESSAGE_BYTES_MAX, NetCard, NetPort, Offloads, Received, Sent,
};

use super::cable_poll::{Bell, Ready, poll, set_nonblocking};

/// Who is told that a cable has lost its other end; must not wait for the machine.
pub trait LinkWatch: Send + Sync {
    /// The network of this card is gone.
    fn lost(&self, nic: &str);
}

/// A cable with its thread, which ends when this is dropped.
pub struct Cable {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    name: String,
    /// This end; none while it is not plugged in.
    socket: RwLock<Option<Arc<OwnedFd>>>,
    /// What the network said of itself.
    network_up: AtomicBool,
    /// Whether the user wants it plugged in.
    plugged: AtomicBool,
    /// The card wants to be told of frames.
    listens: AtomicBool,
    /// The card has met a full cable.
    wants_room: AtomicBool,
    /// How many want the card to receive nothing for a while.
    pauses: AtomicUsize,
    stopped: AtomicBool,
    /// Another network may be there than before.
    anew: AtomicBool,
    /// What the network is to be told, and whether it has to be told yet.
    offloads: Mutex<(Offloads, bool)>,
    bell: Bell,
}

impl Cable {
    /// A cable for a card that users know by `name`, not running yet.
    pub fn new(name: &str, socket: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(socket) = &socket {
            set_nonblocking(socket.as_fd())?;
        }
        let shared = Shared {
            name: name.to_owned(),
            socket: RwLock::new(socket.map(Arc::new)),
            network_up: AtomicBool::new(true),
            plugged: AtomicBool::new(true),
            listens: AtomicBool::new(true),
            wants_room: AtomicBool::new(false),
            pauses: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            anew: AtomicBool::new(false),
            offloads: Mutex::default(),
            bell: Bell::new()?,
        };
        Ok(Self { shared: Arc::new(shared), thread: Mutex::default() })
    }
    /// The card's end of it.
    pub fn port(&self) -> Arc<dyn NetPort> {
        Arc::<Shared>::clone(&self.shared)
    }
    /// Starts the thread that tells the card.
    pub fn start(&self, card: Arc<dyn NetCard>, watch: Arc<dyn LinkWatch>) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let body = move || shared.run(&*card, &*watch);
        *self.thread.lock() = Some(Builder::new().name("cable".to_owned()).spawn(body)?);
        Ok(())
    }
    /// Puts a new cable in the place of the old one, whose other end is told by its end.
    pub fn connect(&self, socket: OwnedFd) -> io::Result<()> {
        set_nonblocking(socket.as_fd())?;
        let shared = &self.shared;
        let old = shared.socket.write().replace(Arc::new(socket));
        shared.network_up.store(true, Ordering::SeqCst);
        shared.anew.store(true, Ordering::SeqCst);
        shared.offloads.lock().1 = true;
        drop(old);
        shared.bell.ring();
        Ok(())
    }
    /// Plugs it in or pulls it out, as the guest sees it.
    pub fn plug(&self, plugged: bool) {
        self.shared.plugged.store(plugged, Ordering::SeqCst);
        self.shared.bell.ring();
    }
    /// Whether there is another end.
    pub fn is_connected(&self) -> bool {
        self.shared.socket.read().is_some()
    }
    /// The card receives nothing, soon, until [`Cable::resume`] was called as often.
    pub fn pause(&self) {
        self.shared.pauses.fetch_add(1, Ordering::SeqCst);
        self.shared.bell.ring();
    }
    /// Takes back one [`Cable::pause`].
    pub fn resume(&self) {
        self.shared.pauses.fetch_sub(1, Ordering::SeqCst);
        self.shared.bell.ring();
    }
    /// Ends the thread, and lets go of the cable.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!(nic = self.shared.name, "the thread of a cable panicked");
        }
        self.shared.socket.write().take();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
    fn may_receive(&self) -> bool {
        self.listens.load(Ordering::SeqCst) && self.pauses.load(Ordering::SeqCst) == 0
    }

    /// The thread's life.
    fn run(&self, card: &dyn NetCard, watch: &dyn LinkWatch) {
        let mut was_up = self.is_up();
        while !self.is_stopped() {
            let ready = self.wait();
            if self.is_stopped() {
                return;
            }
            // Whatever is still there comes before the end.
            if ready.frames && self.may_receive() {
                card.frames_wait();
            }
            if ready.room {
                self.tell_now();
                if self.wants_room.swap(false, Ordering::SeqCst) {
                    card.room();
                }
            }
            if ready.ended {
                self.hang_up(card, watch);
            }
            let (up, anew) = (self.is_up(), self.anew.swap(false, Ordering::SeqCst));
            if up != was_up || anew {
                if up && was_up {
                    // A guest asks for its addresses again only after the link was down.
                    card.link_changed(false, false);
                }
                was_up = up;
                card.link_changed(up, anew);
            }
        }
    }
    /// Waits until there is something to do.
    fn wait(&self) -> Ready {
        let socket = self.socket.read().clone();
        let wants_room = self.wants_room.load(Ordering::SeqCst) || self.offloads.lock().1;
        poll(&self.bell, socket.as_deref().map(AsFd::as_fd), self.may_receive(), wants_room)
    }
    /// The other end is gone.
    fn hang_up(&self, card: &dyn NetCard, watch: &dyn LinkWatch) {
        let mut socket = self.socket.write();
        // Another cable may have come meanwhile.
        if self.anew.load(Ordering::SeqCst) {
            return;
        }
        let was_there = socket.take().is_some();
        drop(socket);
        if was_there {
            watch.lost(&self.name);
            // What waited for room is lost.
            self.wants_room.store(false, Ordering::SeqCst);
            card.room();
        }
    }
    /// Tells the network what it has not been told.
    fn tell_now(&self) {
        let mut offloads = self.offloads.lock();
        if let ((what, true), Some(socket)) = (*offloads, &*self.socket.read()) {
            let message = ControlMessage::Offloads(what).to_bytes();
            let nothing = platform::Buffers::none();
            let told = nothing.all().send_behind([&message, &[]], socket.as_fd());
            offloads.1 = told.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
    }
    fn control(&self, body: &[u8]) {
        if let Some(ControlMessage::Link(up)) = ControlMessage::of_bytes(body) {
            self.network_up.store(up, Ordering::SeqCst);
            // Whoever receives is another thread than the one that tells the card.
            self.bell.ring();
        }
    }
}

impl NetPort for Shared {
    fn is_up(&self) -> bool {
        self.plugged.load(Ordering::SeqCst)
            && self.network_up.load(Ordering::SeqCst)
            && self.socket.read().is_some()
    }
    fn send(&self, header: &FrameHeader, head: &[u8], rest: Span<'_>) -> Sent {
        let socket = self.socket.read();
        let Some(socket) = socket.as_ref().filter(|_| self.plugged.load(Ordering::SeqCst)) else {
            return Sent::Done;
        };
        match rest.send_behind([&header.to_bytes(), head], socket.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wants_room.store(true, Ordering::SeqCst);
                self.bell.ring();
                Sent::Busy
            }
            // Whoever polls sees that the other end is gone; anything else is a frame lost.
            _ => Sent::Done,
        }
    }
    fn receive(&self, into: Span<'_>, spare: &mut [u8]) -> Received {
        if self.pauses.load(Ordering::SeqCst) > 0 || self.is_stopped() {
            return Received::Nothing;
        }
        let socket = self.socket.read();
        let Some(socket) = &*socket else { return Received::Nothing };
        let mut head = [0; FrameHeader::BYTES];
        let Ok((count, inside)) = into.receive_behind(&mut head, spare, socket.as_fd()) else {
            return Received::Nothing;
        };
        let header = FrameHeader::of_bytes(&head);
        match count.checked_sub(FrameHeader::BYTES) {
            // The end, or a message of nothing, after which nothing is to be expected either.
            None if count == 0 => Received::Nothing,
            Some(length) if header.flags & FrameHeader::CONTROL != 0 => {
                // A guest that changes what has just come deceives itself about its link.
                let mut body = into.part(0..inside.min(8)).to_vec();
                body.extend(&spare[..(length - inside).min(8)]);
                self.control(&body);
                Received::Other
            }
            Some(length) if count <= MESSAGE_BYTES_MAX && self.plugged.load(Ordering::SeqCst) => {
                Received::Frame { header, length, inside }
            }
            _ => Received::Other,
        }
    }
    fn listen(&self, wanted: bool) {
        if self.listens.swap(wanted, Ordering::SeqCst) != wanted && wanted {
            self.bell.ring();
        }
    }
    fn tell(&self, offloads: Offloads) {
        let is_news = std::mem::replace(&mut *self.offloads.lock(), (offloads, true)) != (offloads, true);
        if is_news {
            self.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests;
