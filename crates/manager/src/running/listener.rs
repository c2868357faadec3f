//! The machine's end.
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use api::{Reply, Request};

use super::{RunningError, check_name, safe_directory, socket_of};

/// Connections at once; a machine is asked by people and scripts, not by crowds.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A machine's socket. Dropping it takes the machine's name back.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    /// Locked as long as the machine lives: a socket whose lock is free was left behind.
    _lock: File,
}

/// Answers a request.
pub type Handler = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

impl Listener {
    /// Listens under a name; `handler` answers on threads of its own.
    pub fn start(name: &str, handler: Handler) -> Result<Self, RunningError> {
        Self::start_in(&super::directory(), name, handler)
    }
    pub(super) fn start_in(directory: &Path, name: &str, handler: Handler) -> Result<Self, RunningError> {
        check_name(name)?;
        safe_directory(directory)?;
        let host = |path: &Path| {
            let path = path.to_owned();
            move |source| RunningError::Host { path, source }
        };
        let lock_path = directory.join(format!("{name}.lock"));
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(host(&lock_path))?;
        lock.try_lock().map_err(|_| RunningError::NameTaken(name.to_owned()))?;
        let path = socket_of(directory, name);
        // The lock is ours, so whoever made this socket is gone.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(host(&path)(error)),
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(host(&path))?;
        let listener = Self { path, _lock: lock };
        let accept = move || accept_all(&socket, &handler);
        Builder::new().name("control".to_owned()).spawn(accept).map_err(host(&listener.path))?;
        Ok(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next machine of this name.
        let _ = fs::remove_file(&self.path);
    }
}

fn accept_all(socket: &UnixListener, handler: &Handler) {
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

fn talk(stream: &UnixStream, handler: &Handler) -> Result<(), api::LineError> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut lines = BufReader::new(stream);
    loop {
        match api::read_line::<Request>(&mut lines) {
            Ok(request) => api::write_line(&mut &*stream, handler(request))?,
            Err(api::LineError::Ended) => return Ok(()),
            Err(error) => {
                let kind = api::FailureKind::Invalid;
                let failure = api::Failure { kind, message: error.to_string() };
                return api::write_line(&mut &*stream, Reply::Failed(failure));
            }
        }
    }
}
