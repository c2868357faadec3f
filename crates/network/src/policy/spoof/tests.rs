use super::*;
use crate::policy::filter::frames::{arp, icmpv6, tcp, udp};

const MAC: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
const OTHER: Mac = Mac([0x52, 0x54, 0, 9, 9, 9]);

fn card(addresses: &[&str]) -> Card {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Card { mac: MAC, addresses, learned: Vec::new(), strict: true }
}

fn verdict(card: &Card, frame: &[u8]) -> Result<(), Reason> {
    check(card, &Packet::parse(frame).unwrap(), frame)
}

#[test]
fn addresses_are_the_cards_own() {
    let card = card(&["10.0.2.15", "fd00::15"]);
    assert_eq!(verdict(&card, &tcp(MAC, "10.0.2.15:5", "10.0.2.2:80", 2)), Ok(()));
    assert_eq!(verdict(&card, &tcp(OTHER, "10.0.2.15:5", "10.0.2.2:80", 2)), Err(Reason::SourceMac));
    assert_eq!(verdict(&card, &tcp(MAC, "10.0.2.16:5", "10.0.2.2:80", 2)), Err(Reason::SourceAddress));
    assert_eq!(verdict(&card, &tcp(MAC, "[fd00::15]:5", "[fd00::2]:80", 2)), Ok(()));
    assert_eq!(verdict(&card, &tcp(MAC, "[fd00::16]:5", "[fd00::2]:80", 2)), Err(Reason::SourceAddress));
    let lax = Card { strict: false, ..card };
    assert_eq!(verdict(&lax, &tcp(MAC, "10.0.2.16:5", "10.0.2.2:80", 2)), Ok(()));
    assert_eq!(verdict(&lax, &tcp(OTHER, "10.0.2.15:5", "10.0.2.2:80", 2)), Err(Reason::SourceMac));
}

#[test]
fn beginners_ask_for_an_address_and_nothing_else() {
    let card = card(&[]);
    assert_eq!(verdict(&card, &udp(MAC, "0.0.0.0:68", "255.255.255.255:67")), Ok(()));
    assert_eq!(verdict(&card, &udp(MAC, "0.0.0.0:68", "255.255.255.255:53")), Err(Reason::SourceAddress));
    assert_eq!(verdict(&card, &udp(MAC, "0.0.0.0:68", "10.0.2.2:67")), Err(Reason::SourceAddress));
    assert_eq!(verdict(&card, &icmpv6(MAC, "::", "ff02::1:ff00:15", 135)), Ok(()));
    assert_eq!(verdict(&card, &icmpv6(MAC, "fe80::1", "ff02::2", 133)), Ok(()));
    assert_eq!(verdict(&card, &udp(MAC, "[fe80::1]:546", "[ff02::1:2]:547")), Ok(()));
    assert_eq!(verdict(&card, &udp(MAC, "[fe80::1]:546", "[ff02::1:2]:53")), Err(Reason::SourceAddress));
    assert_eq!(verdict(&card, &udp(MAC, "[fe80::5054:ff:fe01:203]:5", "[ff02::fb]:5353")), Ok(()));
    assert_eq!(verdict(&card, &icmpv6(MAC, "::", "ff02::1", 128)), Err(Reason::SourceAddress));
}

#[test]
fn guests_do_not_play_server_or_router() {
    let card = card(&["10.0.2.15", "fd00::15"]);
    assert_eq!(verdict(&card, &udp(MAC, "10.0.2.15:67", "255.255.255.255:68")), Err(Reason::DhcpServer));
    assert_eq!(verdict(&card, &udp(MAC, "[fd00::15]:547", "[fe80::1]:546")), Err(Reason::DhcpServer));
    assert_eq!(verdict(&card, &icmpv6(MAC, "fe80::1", "ff02::1", 134)), Err(Reason::RouterAdvertisement));
    assert_eq!(verdict(&card, &icmpv6(MAC, "fe80::1", "fe80::2", 137)), Err(Reason::Redirect));
    let lax = Card { strict: false, ..card };
    assert_eq!(verdict(&lax, &icmpv6(MAC, "fe80::1", "ff02::1", 134)), Ok(()), "a router among guests");
}

#[test]
fn nothing_hides_in_fragments_or_behind_headers() {
    let card = card(&["10.0.2.15", "fd00::15"]);
    let mut offer = udp(MAC, "10.0.2.15:67", "255.255.255.255:68");
    offer[14 + 6] = 0x20;
    assert_eq!(verdict(&card, &offer), Err(Reason::DhcpServer));
    let (source, destination) = ("fd00::15".parse().unwrap(), "ff02::1".parse().unwrap());
    // Nine headers of options, one after the other.
    let mut options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
    options.extend([134, 0, 0, 0, 0, 0, 0, 0]);
    options[64] = 58;
    let hidden = crate::policy::filter::frames::ip(MAC, source, destination, Protocol(60), &options);
    assert_eq!(verdict(&card, &hidden), Err(Reason::RouterAdvertisement));
}

#[test]
fn arp_speaks_for_the_card_alone() {
    let card = card(&["10.0.2.15"]);
    assert_eq!(verdict(&card, &arp(MAC, MAC, "10.0.2.15", 2)), Ok(()));
    assert_eq!(verdict(&card, &arp(MAC, MAC, "0.0.0.0", 1)), Ok(()));
    assert_eq!(verdict(&card, &arp(MAC, MAC, "10.0.2.2", 2)), Err(Reason::ArpSender));
    assert_eq!(verdict(&card, &arp(MAC, OTHER, "10.0.2.15", 2)), Err(Reason::ArpSender));
    assert_eq!(verdict(&card, &arp(MAC, MAC, "10.0.2.15", 2)[..30]), Err(Reason::ArpSender));
}
