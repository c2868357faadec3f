//! TAP devices, opened with privileges.
use gasang_network::host::helper::{self, HelperError};
use gasang_network::host::interface_name::InterfaceName;
use gasang_network::host::tap::{DEVICE, TapConfig};
use gasang_network::host::{addresses::HostAddresses, capability};
use platform::net::Mac;

use crate::stage;
use crate::station::Station;

fn config(name: &str, address: &str) -> TapConfig {
    TapConfig {
        name: InterfaceName::of_network(name),
        addresses: vec![address.parse().unwrap()],
        mtu: Some(9000),
        mac: None,
    }
}

#[test]
fn a_guest_meets_the_host() {
    if !stage::in_namespace("tap::a_guest_meets_the_host") {
        return;
    }
    assert!(capability::may_administer());
    let trunk = match helper::open_tap(&config("lab", "192.168.56.1/24")) {
        Err(error) if std::fs::File::open(DEVICE).is_err() => return eprintln!("skipped: {error}"),
        trunk => trunk.unwrap(),
    };
    let mac = Mac([0x52, 0x54, 0, 0, 0, 9]);
    let station = Station { trunk: &trunk, mac, address: "192.168.56.101".parse().unwrap() };
    let host = "192.168.56.1".parse().unwrap();
    station.ping(host, station.resolve(host));
    // The host's side sends a datagram; its checksum may be left to the guest.
    let socket = std::net::UdpSocket::bind("192.168.56.1:0").unwrap();
    socket.send_to(&[7; 4000], "192.168.56.101:999").unwrap();
    let (header, payload) = station.datagram(999);
    assert_eq!(payload, [7; 4000]);
    eprintln!("{header:?}");
    // The address is the host's own, as long as the interface is there.
    assert!(HostAddresses::new().unwrap().is_own(host.into()));
    assert!(HostAddresses::new().unwrap().is_own("192.168.56.255".parse().unwrap()));
    // Neither the same name nor the same network can be had twice.
    for twice in [config("lab", "192.168.57.1/24"), config("other", "192.168.56.129/25")] {
        let error = helper::open_tap(&twice).unwrap_err();
        assert!(matches!(error, HelperError::Open(_)), "{error}");
        eprintln!("{error}");
    }
    drop(trunk);
    assert!(!HostAddresses::new().unwrap().is_own(host.into()));
    helper::open_tap(&config("lab", "192.168.56.1/24")).unwrap();
}

#[test]
fn networks_of_others_are_refused_to_root_too() {
    if stage::in_namespace("tap::networks_of_others_are_refused_to_root_too") {
        let error = helper::open_tap(&config("lab", "8.8.8.1/24")).unwrap_err();
        assert!(error.to_string().contains("not a private network"), "{error}");
    }
}

#[test]
fn an_ordinary_user_is_told_what_to_do() {
    if !stage::as_ordinary_user("tap::an_ordinary_user_is_told_what_to_do") {
        return;
    }
    if helper::installed().is_some() || capability::may_administer() {
        return eprintln!("skipped: there is a net helper here");
    }
    let error = helper::open_tap(&config("lab", "192.168.56.1/24")).unwrap_err();
    assert!(error.advice().unwrap().contains("net exec"), "{error}");
}
