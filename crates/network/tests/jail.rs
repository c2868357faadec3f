//! A process in the jail of networks: what it can still do, and what it cannot. Without the test harness, whose threads
//! would be outside.
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use gasang_network::host::addresses::HostAddresses;
use gasang_network::host::jail::{self, FileJail, JailPaths};
use gasang_network::host::resolver_file::ResolverFile;
use rustix::io::Errno;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("machine") => machine(Path::new(&std::env::args().nth(2).unwrap())),
        Some("inside") => inside(Path::new(&std::env::args().nth(2).unwrap())),
        // What test runners ask for before they run anything; nothing here is ignored.
        Some("--list") if std::env::args().any(|argument| argument == "--ignored") => {}
        Some("--list") => println!("a_process_in_the_jail: test"),
        _ => {
            let directory = tempfile::tempdir().unwrap();
            for who in ["inside", "machine"] {
                let mut child = Command::new(std::env::current_exe().unwrap());
                let status = child.arg(who).arg(directory.path()).status().unwrap();
                assert!(status.success(), "{who}: {status}");
            }
        }
    }
}

fn inside(directory: &Path) {
    let (state, elsewhere) = (directory.join("state"), directory.join("elsewhere"));
    std::fs::create_dir(&state).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("secret"), "secret").unwrap();
    let report = jail::enter(&JailPaths::with_state(&state)).unwrap();
    println!("{report:?}");
    state_is_kept(&state);
    if report.files == FileJail::Open {
        println!("skipped: this kernel has no Landlock");
    } else {
        files_are_closed(&elsewhere);
    }
    sockets_work();
    privileges_are_gone();
}

/// A machine's process without networks: threads of before and of after make local sockets, and no others.
fn machine(directory: &Path) {
    let local = directory.join("local");
    let tries = move || {
        let denied = |result: std::io::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        };
        denied(TcpListener::bind("127.0.0.1:0").map(drop));
        denied(UdpSocket::bind("[::1]:0").map(drop));
        // What was left by the other thread is not in the way.
        let _ = std::fs::remove_file(&local);
        std::os::unix::net::UnixListener::bind(&local).unwrap();
    };
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let early = {
        let tries = tries.clone();
        std::thread::spawn(move || wait.recv().map(|()| tries()))
    };
    assert!(TcpListener::bind("127.0.0.1:0").is_ok());
    jail::give_up_networks().unwrap();
    go.send(()).unwrap();
    early.join().unwrap().unwrap();
    std::thread::spawn(tries).join().unwrap();
}

fn state_is_kept(state: &Path) {
    let (new, leases) = (state.join("leases.new"), state.join("leases"));
    let mut file = std::fs::File::create(&new).unwrap();
    file.write_all(b"leases").unwrap();
    file.sync_all().unwrap();
    std::fs::rename(&new, &leases).unwrap();
    assert_eq!(std::fs::read(&leases).unwrap(), b"leases");
    std::fs::remove_file(&leases).unwrap();
}

fn files_are_closed(elsewhere: &Path) {
    let denied = |result: std::io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
    };
    denied(std::fs::write(elsewhere.join("file"), "x"));
    denied(std::fs::read(elsewhere.join("secret")).map(drop));
    denied(std::fs::read_dir(elsewhere).map(drop));
    denied(std::fs::read("/etc/shadow").map(drop));
    if Path::new(ResolverFile::RESOLVERS).exists() {
        std::fs::read(ResolverFile::RESOLVERS).unwrap();
    }
}

fn sockets_work() {
    // Threads, TCP and UDP over the loopback, and the host's addresses.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::Builder::new().name("client".to_owned()).spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
    });
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    client.unwrap().join().unwrap();
    assert_eq!(text, "hello");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 8]).unwrap().0, 1);
    assert!(HostAddresses::new().unwrap().is_own("127.0.0.1".parse().unwrap()));
    std::os::unix::net::UnixStream::pair().unwrap();
}

fn privileges_are_gone() {
    assert_eq!(Command::new("/bin/true").status().unwrap_err().kind(), ErrorKind::PermissionDenied);
    let refused = Err(ErrorKind::PermissionDenied);
    assert_eq!(
        std::os::unix::net::UnixStream::connect("/run/nowhere").map(drop).map_err(|error| error.kind()),
        refused
    );
    assert_eq!(rustix::fs::memfd_create(c"x", rustix::fs::MemfdFlags::CLOEXEC).map(drop), Err(Errno::PERM));
    assert!(jail::enter(&JailPaths::default()).is_err(), "the way in is closed as well");
}
