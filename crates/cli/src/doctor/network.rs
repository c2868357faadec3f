//! What this host lets networks do: interfaces of its own, rooms, pings, low ports.
use std::fs::{self, File};
use std::io::ErrorKind;

use ::network::host::ping::{self, PingError, PingKind};
use ::network::host::{capability, helper, namespace, tap};

use super::{Finding, Level};

/// Everything about networks.
pub fn probe() -> Vec<Finding> {
    let helper = helper::installed();
    let helper = helper.as_deref();
    vec![
        tap(File::options().read(true).write(true).open(tap::DEVICE).map(drop), helper),
        bridged(capability::may_have_raw_sockets(), helper),
        rooms(namespace::available()),
        ping(ping::available(), group_range()),
        low_ports(capability::may_bind_low_ports(), first_port()),
    ]
}

fn tap(opened: std::io::Result<()>, helper: Option<&std::path::Path>) -> Finding {
    let meaning = "host-only networks that every program of this host reaches";
    match (opened, capability::may_administer(), helper) {
        (Ok(()), true, _) => Finding::ok("TAP", "yes", meaning),
        (Ok(()), false, Some(helper)) => {
            Finding::ok("TAP", format!("by the net helper {}", helper.display()), meaning)
        }
        (Ok(()), false, None) => Finding::ok("TAP", "no CAP_NET_ADMIN, and no net helper", meaning)
            .lacking(Level::Note, helper::advice()),
        (Err(error), ..) => {
            let advice = match error.kind() {
                // Without CAP_NET_ADMIN, an open device file is good for nothing.
                ErrorKind::PermissionDenied => {
                    format!("sudo chmod 666 {}, which opens it as most hosts have it", tap::DEVICE)
                }
                _ => "sudo modprobe tun".to_owned(),
            };
            Finding::ok("TAP", format!("{} cannot be opened ({error})", tap::DEVICE), meaning)
                .lacking(Level::Note, advice)
        }
    }
}

fn bridged(is_capable: bool, helper: Option<&std::path::Path>) -> Finding {
    let meaning = "guests as machines of the physical network";
    match (is_capable, helper) {
        (true, _) => Finding::ok("bridged", "yes", meaning),
        (false, Some(helper)) => {
            Finding::ok("bridged", format!("by the net helper {}", helper.display()), meaning).lacking(
                Level::Note,
                format!("interfaces are opened by lines 'bridged INTERFACE' in {}", helper::PERMISSIONS_FILE),
            )
        }
        (false, None) => Finding::ok("bridged", "no CAP_NET_RAW, and no net helper", meaning)
            .lacking(Level::Note, bridging()),
    }
}

fn bridging() -> String {
    format!(
        "install a net helper as for TAP, and open an interface by a line 'bridged INTERFACE' in {}",
        helper::PERMISSIONS_FILE
    )
}

fn rooms(available: Result<(), namespace::RoomError>) -> Finding {
    let meaning = "'gasang net exec' runs commands on a network without privileges";
    match available {
        Ok(()) => Finding::ok("user namespaces", "yes", meaning),
        Err(error) => {
            let advice = "sudo sysctl user.max_user_namespaces=10000; where these exist, also \
                          kernel.unprivileged_userns_clone=1 (Debian) and \
                          kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)";
            Finding::ok("user namespaces", format!("no ({error})"), meaning).lacking(Level::Note, advice)
        }
    }
}

fn ping(available: Result<PingKind, PingError>, range: String) -> Finding {
    let meaning = "guests behind a NAT can ping";
    match available {
        Ok(PingKind::Datagram) => Finding::ok("ping", format!("yes (ping_group_range {range})"), meaning),
        Ok(PingKind::Raw) => Finding::ok("ping", "yes, as root", meaning),
        Err(error) => Finding::ok("ping", format!("no (ping_group_range {range}; {error})"), meaning)
            .lacking(Level::Note, "sudo sysctl net.ipv4.ping_group_range='0 2147483647'"),
    }
}

fn low_ports(is_capable: bool, first: Option<u16>) -> Finding {
    let meaning = "forwards from such ports of this host, for example 80";
    match (is_capable, first) {
        (true, _) => Finding::ok("low ports", "yes", meaning),
        (false, Some(0 | 1)) => Finding::ok("low ports", "yes, for everybody", meaning),
        (false, first) => Finding::ok("low ports", format!("from {} on", first.unwrap_or(1024)), meaning)
            .lacking(
                Level::Note,
                "sudo sysctl net.ipv4.ip_unprivileged_port_start=80, or forward from a higher port",
            ),
    }
}

fn group_range() -> String {
    let text = fs::read_to_string(ping::GROUP_RANGE).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_port() -> Option<u16> {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_can_be_opened() {
        let advice = |finding: Finding| finding.advice.unwrap();
        assert!(advice(ping(Err(PingError::Closed), "1 0".to_owned())).contains("ping_group_range"));
        assert!(advice(low_ports(false, Some(1024))).contains("port_start"));
        assert!(advice(bridged(false, None)).contains("networks.conf"));
        assert!(advice(tap(Err(ErrorKind::PermissionDenied.into()), None)).contains("chmod"));
        assert_eq!(low_ports(false, Some(0)).level, Level::Ok);
        assert_eq!(ping(Ok(PingKind::Raw), String::new()).level, Level::Ok);
    }
}
