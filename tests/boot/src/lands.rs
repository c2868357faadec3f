//! Hosts without hosts: network namespaces that a test makes, joined by a cable, and servers in them.
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail, ensure};

/// The host's address.
pub const HOST: &str = "10.77.0.1";
/// The address of what is outside.
pub const OUTSIDE: &str = "10.77.0.2";
/// The outside's other address.
pub const OUTSIDE6: &str = "2001:db8:77::2";
/// An address between the two that nobody has.
pub const NOBODY: &str = "10.77.0.99";
/// A name that the resolver outside knows.
pub const NAME: &str = "files.test";

/// Two namespaces: the host, where gasang runs, and the outside.
pub struct Lands {
    host: String,
    outside: String,
    /// Sockets, settings and states of gasang.
    place: tempfile::TempDir,
    /// Commands have no capabilities over the namespaces.
    unprivileged: bool,
}

impl Lands {
    /// Makes them; or says why that cannot be.
    pub fn new() -> anyhow::Result<Result<Self, String>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("network namespaces of this kind are root's to make".to_owned()));
        }
        if Command::new("ip").arg("-V").output().is_err() {
            return Ok(Err("there is no 'ip' (package iproute2)".to_owned()));
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let lands = Self {
            host: format!("gs-host-{id}"),
            outside: format!("gs-outside-{id}"),
            place: tempfile::tempdir()?,
            unprivileged: false,
        };
        for name in [&lands.host, &lands.outside] {
            let added = Command::new("ip").args(["netns", "add", name]).output()?;
            if !added.status.success() {
                return Ok(Err(format!("no namespaces: {}", String::from_utf8_lossy(&added.stderr).trim())));
            }
        }
        let Self { host, outside, .. } = &lands;
        for line in [
            format!("link add h0 netns {host} type veth peer name o0 netns {outside}"),
            format!("-n {host} address add {HOST}/24 dev h0"),
            format!("-n {host} link set h0 up"),
            format!("-n {host} link set lo up"),
            format!("-n {host} route add default via {OUTSIDE}"),
            format!("-n {outside} address add {OUTSIDE}/24 dev o0"),
            format!("-n {host} address add 2001:db8:77::1/64 dev h0 nodad"),
            format!("-n {outside} address add {OUTSIDE6}/64 dev o0 nodad"),
            format!("-n {outside} link set o0 up"),
            format!("-n {outside} link set lo up"),
            format!("-n {host} route add default via {OUTSIDE6}"),
        ] {
            ip(&line)?;
        }
        let settings = PathBuf::from("/etc/netns").join(host);
        fs::create_dir_all(&settings)?;
        fs::write(settings.join("resolv.conf"), format!("nameserver {OUTSIDE}\n"))?;
        Ok(Ok(lands))
    }
    /// The same command, in the host's namespace.
    pub fn on_host(&self, command: &Command) -> Command {
        // A user namespace of its own: the files are there as before, but the host is another's.
        let unshare: &[&str] = &["unshare", "--user", "--map-user=1000", "--map-group=1000"];
        let mut inside = within(&self.host, if self.unprivileged { unshare } else { &[] }, command);
        let place = self.place.path();
        inside.env("XDG_RUNTIME_DIR", place.join("run"));
        inside.env("XDG_CONFIG_HOME", place.join("config")).env("XDG_STATE_HOME", place.join("state"));
        inside
    }
    /// The same command, outside.
    pub fn on_outside(&self, command: &Command) -> Command {
        within(&self.outside, &[], command)
    }
    /// The same, where commands on the host are an ordinary user's; or why that cannot be.
    pub fn without_privilege(mut self) -> Result<Self, String> {
        let unshare = Command::new("unshare").args(["--user", "--map-user=1000", "true"]).output();
        match unshare {
            Ok(output) if output.status.success() => {
                self.unprivileged = true;
                Ok(self)
            }
            Ok(output) => {
                Err(format!("no user namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(error) => Err(format!("there is no 'unshare' (package util-linux): {error}")),
        }
    }
    /// The name of the host's namespace, for `ip -n`.
    pub fn host(&self) -> &str {
        &self.host
    }
    /// Sets the largest packet between the host and the outside, in bytes.
    pub fn host_mtu(&self, mtu: u32) -> anyhow::Result<()> {
        ip(&format!("-n {} link set h0 mtu {mtu}", self.host))?;
        ip(&format!("-n {} link set o0 mtu {mtu}", self.outside))
    }
    /// Directories that gasang wants to be there.
    pub fn prepare(&self) -> anyhow::Result<()> {
        Ok(fs::create_dir_all(self.place.path().join("run"))?)
    }
    /// Does something on a thread that is outside, or on the host.
    fn on_thread<T: Send + 'static>(
        &self,
        name: &str,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<anyhow::Result<T>> {
        let path = format!("/run/netns/{name}");
        std::thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(LinkNameSpaceType::Network),
            )?;
            Ok(what())
        })
    }
    /// A socket that listens outside.
    pub fn listen_outside(&self, port: u16) -> anyhow::Result<TcpListener> {
        let address = SocketAddr::new(OUTSIDE.parse()?, port);
        self.joined(&self.outside, move || TcpListener::bind(address))
    }
    /// A socket that listens on an address of the host.
    pub fn listen_on_host(&self, address: SocketAddr) -> anyhow::Result<TcpListener> {
        self.joined(&self.host, move || TcpListener::bind(address))
    }
    /// A connection that the host makes.
    pub fn connect_from_host(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        self.joined(&self.host, move || {
            TcpStream::connect_timeout(&address, std::time::Duration::from_secs(5))
        })
    }
    /// A socket of the host for datagrams.
    pub fn datagrams_on_host(&self) -> anyhow::Result<UdpSocket> {
        self.joined(&self.host, || UdpSocket::bind("127.0.0.1:0"))
    }
    /// A connection from the outside.
    pub fn connect_from_outside(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        self.joined(&self.outside, move || {
            TcpStream::connect_timeout(&address, std::time::Duration::from_secs(5))
        })
    }
    fn joined<T: Send + 'static>(
        &self,
        name: &str,
        what: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.on_thread(name, what).join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        Ok(done?)
    }
    /// What a web server on the host's side of a forward or network says.
    pub fn page(&self, address: &str, path: &str) -> anyhow::Result<String> {
        fetch(self.connect_from_host(address.parse()?)?, path)
    }
    /// The same, asked from the outside.
    pub fn page_from_outside(&self, address: &str, path: &str) -> anyhow::Result<String> {
        fetch(self.connect_from_outside(address.parse()?)?, path)
    }
    /// A web server outside, with files, and a resolver that knows [`NAME`].
    pub fn serve_outside(&self, files: Vec<(&'static str, Arc<Vec<u8>>)>) -> anyhow::Result<()> {
        let files = Arc::new(files);
        for address in [OUTSIDE, OUTSIDE6] {
            let (address, files) = (SocketAddr::new(address.parse()?, 80), Arc::clone(&files));
            let listener = self.joined(&self.outside, move || TcpListener::bind(address))?;
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let files = Arc::clone(&files);
                    std::thread::spawn(move || serve(stream, &files));
                }
            });
        }
        let address = SocketAddr::new(OUTSIDE.parse()?, 53);
        let socket = self.joined(&self.outside, move || UdpSocket::bind(address))?;
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = resolve(&query[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(())
    }
}

impl Drop for Lands {
    fn drop(&mut self) {
        for name in [&self.host, &self.outside] {
            // What is left is in the way of nobody.
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
        let _ = fs::remove_dir_all(PathBuf::from("/etc/netns").join(&self.host));
    }
}

/// A command in a namespace, by way of another one.
fn within(namespace: &str, by: &[&str], command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).args(by).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
}

fn ip(line: &str) -> anyhow::Result<()> {
    let output = Command::new("ip").args(line.split(' ')).output()?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// What a web server says.
fn fetch(mut stream: TcpStream, path: &str) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    ensure!(page.starts_with("HTTP/1"), "the server said: {page:?}");
    Ok(page)
}

fn serve(mut stream: TcpStream, files: &[(&'static str, Arc<Vec<u8>>)]) -> std::io::Result<()> {
    let mut line = String::new();
    let mut lines = BufReader::new(stream.try_clone()?);
    lines.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    while lines.read_line(&mut line)? > 2 {}
    match files.iter().find(|(name, _)| *name == path) {
        Some((_, bytes)) => {
            write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
            stream.write_all(bytes)
        }
        None => write!(stream, "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    }
}

/// The answer to a query for the one name that there is; others do not exist.
fn resolve(query: &[u8]) -> Option<Vec<u8>> {
    let question_end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
    let question = query.get(12..question_end)?;
    let mut name = Vec::new();
    NAME.split('.').for_each(|label| {
        name.push(label.len() as u8);
        name.extend(label.bytes());
    });
    let known = question.to_ascii_lowercase().starts_with(&name);
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(known && is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if known && is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 0, 2]);
    }
    Some(answer)
}
