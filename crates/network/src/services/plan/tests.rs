use super::*;

fn v4(plan: &Plan) -> &V4 {
    plan.v4.as_ref().unwrap()
}

fn row(plan: &Plan) -> String {
    let show = |address: Option<Ipv4Addr>| address.map_or("-".to_owned(), |address| address.to_string());
    let V4 { prefix, gateway, host, dhcp, dns, pool, .. } = v4(plan);
    let [gateway, host, dhcp, dns] = [*gateway, *host, *dhcp, *dns].map(show);
    format!("{prefix} gateway {gateway} host {host} dhcp {dhcp} dns {dns} pool {}-{}", pool.0, pool.1)
}

#[test]
fn defaults() {
    let rows = [
        (
            Plan::nat("vm", 0),
            "10.0.2.0/24 gateway 10.0.2.2 host - dhcp 10.0.2.2 dns 10.0.2.3 pool 10.0.2.15-10.0.2.15",
        ),
        (
            Plan::nat("vm", 1),
            "10.0.3.0/24 gateway 10.0.3.2 host - dhcp 10.0.3.2 dns 10.0.3.3 pool 10.0.3.15-10.0.3.15",
        ),
        (
            Plan::natnet("lab"),
            "10.0.2.0/24 gateway 10.0.2.1 host - dhcp 10.0.2.3 dns 10.0.2.1 pool 10.0.2.4-10.0.2.254",
        ),
        (
            Plan::hostonly("lab"),
            "192.168.56.0/24 gateway - host 192.168.56.1 dhcp 192.168.56.100 dns - \
             pool 192.168.56.101-192.168.56.254",
        ),
    ];
    for (plan, expected) in rows {
        assert_eq!(row(&plan), expected);
    }
    assert_eq!((Plan::internal().v4, Plan::internal().v6), (None, None));
    assert!(v4(&Plan::natnet("lab")).default_route && !v4(&Plan::hostonly("lab")).default_route);
}

#[test]
fn other_prefixes() {
    let rows = [
        (
            Plan::nat("vm", 0),
            "172.16.9.8/29",
            "172.16.9.8/29 gateway 172.16.9.10 host - dhcp 172.16.9.10 dns 172.16.9.11 pool 172.16.9.14-172.16.9.14",
        ),
        (
            Plan::natnet("lab"),
            "10.7.0.1/16",
            "10.7.0.0/16 gateway 10.7.0.1 host - dhcp 10.7.0.3 dns 10.7.0.1 pool 10.7.0.4-10.7.255.254",
        ),
        (
            Plan::hostonly("lab"),
            "192.168.1.64/26",
            "192.168.1.64/26 gateway - host 192.168.1.65 dhcp 192.168.1.66 dns - pool 192.168.1.67-192.168.1.126",
        ),
        (
            Plan::hostonly("lab"),
            "192.168.1.0/25",
            "192.168.1.0/25 gateway - host 192.168.1.1 dhcp 192.168.1.100 dns - pool 192.168.1.101-192.168.1.126",
        ),
        (
            Plan::internal(),
            "10.9.0.0/24",
            "10.9.0.0/24 gateway - host - dhcp 10.9.0.100 dns - pool 10.9.0.101-10.9.0.254",
        ),
    ];
    for (plan, prefix, expected) in rows {
        assert_eq!(row(&plan.with_prefix(prefix.parse().unwrap()).unwrap()), expected);
    }
}

#[test]
fn prefixes_that_no_network_can_have() {
    let of = |prefix: &str| Plan::natnet("lab").with_prefix(prefix.parse().unwrap()).unwrap_err().to_string();
    assert_eq!(of("10.0.0.0/30"), "10.0.0.0/30 has too few addresses for a network; /29 is the smallest");
    assert_eq!(of("10.0.0.0/7"), "10.0.0.0/7 is too large for a network; /8 is the largest");
    for special in ["127.0.0.0/8", "169.254.1.0/24", "224.0.0.0/24", "255.255.255.0/24", "0.0.0.0/8"] {
        assert!(of(special).contains("is not for networks"), "{special}");
    }
}

#[test]
fn no_address_has_two_meanings() {
    let plans = [Plan::nat("vm", 3), Plan::natnet("a"), Plan::hostonly("b"), Plan::internal()];
    for plan in plans {
        for length in 8..=29 {
            let prefix = Ipv4Net::new("10.0.0.0".parse().unwrap(), length).unwrap();
            let plan = plan.clone().with_prefix(prefix).unwrap();
            let v4 = v4(&plan);
            assert!(v4.is_guest(v4.pool.0) && v4.is_guest(v4.pool.1), "{v4:?}");
            assert!(v4.pool.0 <= v4.pool.1, "{v4:?}");
            for own in [v4.gateway, v4.host, v4.dhcp, v4.dns].into_iter().flatten() {
                assert!(prefix.contains(&own) && !v4.pool().contains(&own.into()), "{v4:?}");
            }
        }
    }
}

#[test]
fn names_have_ipv6_networks_of_their_own() {
    let of = |name: &str| Plan::natnet(name).v6.unwrap();
    assert_eq!(of("lab"), of("lab"));
    assert_ne!(of("lab1").prefix, of("lab2").prefix);
    let lab = of("lab");
    assert_eq!((lab.prefix.prefix_len(), lab.prefix.network().octets()[0]), (64, 0xfd));
    // Stays what it is: guests' addresses come of it.
    assert_eq!(lab.gateway.to_string(), "fddb:1cd0:8464::1");
}

#[test]
fn a_plan_is_written_and_read() {
    let plan = Plan::hostonly("lab");
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
