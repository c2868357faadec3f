use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use api::{Reply, Request};

use super::*;

fn handler() -> listener::Handler<Request, Reply> {
    Arc::new(|request, _| match request {
        Request::Disks => Reply::Disks(Vec::new()),
        _ => Reply::Done,
    })
}

fn place() -> (tempfile::TempDir, Place) {
    let directory = tempfile::tempdir().unwrap();
    let place = Place { kind: Kind::Machine, directory: directory.path().join("gasang") };
    (directory, place)
}

#[test]
fn a_machine_answers_under_its_name() {
    let (_place, path) = place();
    let listener = Listener::start(&path, "web-1", handler()).unwrap();
    let mut client = Client::connect(&path, "web-1").unwrap();
    assert_eq!(client.ask::<_, Reply>(Request::Disks).unwrap(), Reply::Disks(Vec::new()));
    assert_eq!(client.ask::<_, Reply>(Request::Info).unwrap(), Reply::Done);
    assert!(matches!(Client::connect(&path, "web-2"), Err(RunningError::NotRunning(..))));
    drop(listener);
    assert!(matches!(Client::connect(&path, "web-1"), Err(RunningError::NotRunning(..))));
}

#[test]
fn a_name_is_taken_as_long_as_its_machine_lives() {
    let (_place, path) = place();
    let listener = Listener::start(&path, "web", handler()).unwrap();
    assert!(matches!(Listener::start(&path, "web", handler()), Err(RunningError::NameTaken(..))));
    drop(listener);
    // Left behind by one that was killed.
    fs::write(path.directory.join("web.sock"), b"").unwrap();
    Listener::start(&path, "web", handler()).unwrap();
}

#[test]
fn nonsense_is_answered_and_ends_the_connection() {
    use std::io::{Read, Write};
    let (_place, path) = place();
    let _listener = Listener::start(&path, "web", handler()).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(path.directory.join("web.sock")).unwrap();
    stream.write_all(b"odd\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("invalid"), "{answer}");
}

#[test]
fn names_are_file_names() {
    for good in ["a", "web-1", "a.b_c", "7"] {
        check_name(Kind::Machine, good).unwrap();
    }
    for bad in ["", ".", "..", "a/b", "-x", "a b", "é", &"x".repeat(65)] {
        assert!(check_name(Kind::Machine, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_directory_that_others_can_change_is_refused() {
    let (_place, path) = place();
    fs::create_dir(&path.directory).unwrap();
    fs::set_permissions(&path.directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Listener::start(&path, "web", handler()), Err(RunningError::Foreign(_))));
}
