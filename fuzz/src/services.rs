//! Messages for a network's services, without the headers in front of them.
use network::services::dhcp::{Leases, Server, Terms};
use network::services::{Now, Plan, dns};
use platform::net::Mac;

/// What the first byte says that the others are.
pub fn ask_services(bytes: &[u8]) {
    let Some((&kind, message)) = bytes.split_first() else { return };
    let plan = Plan::natnet("fuzz");
    match kind % 4 {
        0 | 1 => {
            let mut names = dns::Names::default();
            names.learn("web", [10, 0, 2, 4].into());
            let over = if kind & 4 == 0 { dns::Over::Udp } else { dns::Over::Tcp };
            let zone = dns::Zone { plan: &plan, names: &names };
            if let dns::Answer::Local(answer) = dns::answer(message, &zone, over) {
                assert!(answer.len() >= 12, "an answer without a header");
                assert!(over == dns::Over::Tcp || answer.len() <= dns::datagram_limit(message));
            }
        }
        2 => {
            for limit in [512, 1232] {
                assert!(dns::shorten(message, limit).len() <= limit);
            }
        }
        _ => {
            let Some(v4) = &plan.v4 else { return };
            let Some(address) = v4.dhcp else { return };
            let mut server = Server::new(Leases::default(), v4);
            let terms = Terms { plan: &plan, v4, server: address, own: Mac([2, 0, 0, 0, 0, 0xff]) };
            let card = message.get(28..).and_then(|rest| rest.first_chunk());
            let source = Mac(card.copied().unwrap_or_default());
            for _ in 0..2 {
                let _ = server.handle(&terms, message, (source, None), Now::read());
            }
            assert!(server.leases.iter().count() <= 1);
        }
    }
}
