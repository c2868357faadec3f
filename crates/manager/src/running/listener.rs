//! The end of what runs.
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use api::Failure;
use network::host::descriptors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Place, RunningError, check_name, safe_directory};

/// Connections at once; people and scripts ask, not crowds.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// The socket of what runs. Dropping it takes the name back.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    /// Locked as long as it lives: a socket whose lock is free was left behind.
    _lock: File,
}

/// Answers a request.
pub type Handler<Q, A> = Arc<dyn Fn(Q, &Talk<'_>) -> A + Send + Sync>;

/// A connection, for requests that need more than their words.
pub struct Talk<'a> {
    stream: &'a UnixStream,
    at_end: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl Talk<'_> {
    /// Does something when the connection ends, which may be silent from now on.
    pub fn at_end(&self, what: impl FnOnce() + 'static) -> Result<(), RunningError> {
        self.stream.set_read_timeout(None).map_err(api::LineError::from)?;
        self.at_end.borrow_mut().push(Box::new(what));
        Ok(())
    }
    /// Answers for now, and waits for the descriptor that the answer asks for.
    pub fn receive<A: Serialize>(&self, ready: A) -> Result<OwnedFd, RunningError> {
        api::write_line(&mut &*self.stream, ready)?;
        let (_, mut descriptors) = descriptors::receive(self.stream, &mut [0; 1])?;
        descriptors.pop().ok_or(RunningError::Talk(api::LineError::Ended))
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        for what in self.at_end.take() {
            what();
        }
    }
}

/// A name that was taken, and nobody listens yet.
#[derive(Debug)]
pub struct Bound {
    socket: UnixListener,
    listener: Listener,
}

impl Bound {
    /// Takes a name.
    pub fn new(place: &Place, name: &str) -> Result<Self, RunningError> {
        let Place { kind, directory } = place;
        check_name(*kind, name)?;
        safe_directory(directory)?;
        let host = |path: &Path| {
            let path = path.to_owned();
            move |source| RunningError::Host { path, source }
        };
        let lock_path = directory.join(format!("{name}.lock"));
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(host(&lock_path))?;
        lock.try_lock().map_err(|_| RunningError::NameTaken(*kind, name.to_owned()))?;
        let path = place.socket(name);
        // The lock is ours, so whoever made this socket is gone.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(host(&path)(error)),
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(host(&path))?;
        Ok(Self { socket, listener: Listener { path, _lock: lock } })
    }
    /// Listens; `handler` answers on threads of its own.
    pub fn listen<Q, A>(self, handler: Handler<Q, A>) -> Result<Listener, RunningError>
    where
        Q: DeserializeOwned + 'static,
        A: Serialize + From<Failure> + 'static,
    {
        let Self { socket, listener } = self;
        let accept = move || accept_all(&socket, &handler);
        let started = Builder::new().name("control".to_owned()).spawn(accept);
        started.map_err(|source| RunningError::Host { path: listener.path.clone(), source })?;
        Ok(listener)
    }
}

impl Listener {
    /// Listens under a name; `handler` answers on threads of its own.
    pub fn start<Q, A>(place: &Place, name: &str, handler: Handler<Q, A>) -> Result<Self, RunningError>
    where
        Q: DeserializeOwned + 'static,
        A: Serialize + From<Failure> + 'static,
    {
        Bound::new(place, name)?.listen(handler)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next one of this name.
        let _ = fs::remove_file(&self.path);
    }
}

fn accept_all<Q, A>(socket: &UnixListener, handler: &Handler<Q, A>)
where
    Q: DeserializeOwned + 'static,
    A: Serialize + From<Failure> + 'static,
{
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in socket.incoming() {
        let Ok(stream) = stream else { continue };
        if connections.load(Ordering::SeqCst) >= CONNECTIONS_MAX {
            continue;
        }
        connections.fetch_add(1, Ordering::SeqCst);
        let (handler, count) = (Arc::clone(handler), Arc::clone(&connections));
        let talk = move || {
            if let Err(error) = talk(&stream, &handler) {
                tracing::debug!(%error, "a connection ended");
            }
            count.fetch_sub(1, Ordering::SeqCst);
        };
        if Builder::new().name("control".to_owned()).spawn(talk).is_err() {
            connections.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn talk<Q, A>(stream: &UnixStream, handler: &Handler<Q, A>) -> Result<(), api::LineError>
where
    Q: DeserializeOwned,
    A: Serialize + From<Failure>,
{
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut lines = BufReader::new(stream);
    let talk = Talk { stream, at_end: RefCell::default() };
    loop {
        match api::read_line::<Q>(&mut lines) {
            Ok(request) => api::write_line(&mut &*stream, handler(request, &talk))?,
            Err(api::LineError::Ended) => return Ok(()),
            Err(error) => {
                let kind = api::FailureKind::Invalid;
                let failure = Failure { kind, message: error.to_string() };
                return api::write_line(&mut &*stream, A::from(failure));
            }
        }
    }
}
