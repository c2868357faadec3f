//! A room of one's own on a network.
use std::io::ErrorKind;
use std::process::Command;

use gasang_network::host::interface_name::InterfaceName;
use gasang_network::host::namespace::{Room, RoomError};
use gasang_network::host::tap::TapConfig;
use gasang_network::host::trunk::Trunk;
use platform::net::Mac;

use crate::stage;
use crate::station::Station;

fn room() -> Option<(Room, Trunk)> {
    let config = TapConfig {
        name: InterfaceName::of_network("lab"),
        addresses: vec!["192.168.56.1/24".parse().unwrap(), "fd00:56::1/64".parse().unwrap()],
        mtu: None,
        mac: Some("52:54:00:00:00:01".parse().unwrap()),
    };
    match Room::new(&config) {
        Ok((room, trunk)) => {
            eprintln!("user {}: {:?}", rustix::process::geteuid().as_raw(), trunk.kind());
            Some((room, trunk))
        }
        Err(error @ RoomError::Forbidden(_)) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn commands_and_guests_meet() {
    let Some((room, trunk)) = room() else { return };
    let mac = Mac([0x52, 0x54, 0, 0, 0, 9]);
    let station = Station { trunk: &trunk, mac, address: "192.168.56.101".parse().unwrap() };
    let host = "192.168.56.1".parse().unwrap();
    let found = station.resolve(host);
    assert_eq!(found.to_string(), "52:54:00:00:00:01");
    station.ping(host, found);
    // A command in the room finds the guest by ARP and sends it a datagram.
    let mut child =
        match room.spawn(Command::new("bash").args(["-c", "echo hello > /dev/udp/192.168.56.101/999"])) {
            Err(error) if error.kind() == ErrorKind::NotFound => return eprintln!("skipped: no bash"),
            child => child.unwrap(),
        };
    assert_eq!(station.datagram(999).1, b"hello\n");
    assert!(child.wait().unwrap().success());
    // And it is the user's own, its code comes back, and it sees nothing of the host's interfaces.
    let user = rustix::process::geteuid().as_raw();
    let script = format!("test $(id -u) = {user} && exit 7");
    assert_eq!(room.run(Command::new("sh").args(["-c", &script])).unwrap().code(), Some(7));
    let names =
        room.spawn(Command::new("cat").arg("/proc/net/dev").stdout(std::process::Stdio::piped())).unwrap();
    let names = String::from_utf8(names.wait_with_output().unwrap().stdout).unwrap();
    let names: Vec<_> = names.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert!(names.contains(&"lo") && names.contains(&"gasang-lab") && !names.contains(&"eth0"), "{names:?}");
    assert_eq!(room.run(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap().code(), None);
}

#[test]
fn a_command_meets_a_guest() {
    commands_and_guests_meet();
}

#[test]
fn a_command_of_an_ordinary_user_meets_a_guest() {
    if stage::as_ordinary_user("room::a_command_of_an_ordinary_user_meets_a_guest") {
        commands_and_guests_meet();
    }
}
