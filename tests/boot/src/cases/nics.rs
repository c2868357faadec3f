//! Network cards: a guest whose cable's other end is held by the test, which answers ARP and ping itself.
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use anyhow::{Context, ensure};
use manager::images::Kernel;
use rustix::fd::AsFd;
use rustix::io::{FdFlags, fcntl_setfd, read, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::Case;
use crate::lab::{Lab, Setup};
use boot_tests::console::Guest;

/// Bytes in front of each frame.
const HEADER: usize = 12;
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// One test for each model.
pub fn cases() -> Vec<Case> {
    let case = |name: &'static str, model: &'static str, kernel: Kernel, options: &'static str| {
        Case::new(format!("nics/{name}"), move |lab| ping(lab, model, kernel, options))
    };
    vec![
        case("virtio-pings", "virtio", Kernel::Cloud61, ""),
        case("virtio-pings-with-jumbo-packets", "virtio", Kernel::Cloud61, ",mtu=9000"),
        case("e1000-pings", "e1000", Kernel::Generic61, ""),
    ]
}

fn ping(lab: &Lab, model: &str, kernel: Kernel, options: &str) -> anyhow::Result<()> {
    let (ours, guests) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let script = "ip link set eth0 up; ip address add 10.9.0.2/24 dev eth0; cat /sys/class/net/eth0/mtu
        ping -c 3 -W 5 10.9.0.1 && ping -c 2 -W 5 -s 1400 10.9.0.1; echo ping ended with $?
        ping -c 2 -W 5 -s 30000 10.9.0.1; echo large ping ended with $?
        cat /sys/class/net/eth0/address /sys/class/net/eth0/carrier
        echo waiting; sleep 2; while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 1; done; echo link is down";
    let mut setup = Setup::script(&format!("nic-{model}"), script);
    setup.kernel = kernel;
    let mut command = lab.command(&setup)?;
    command.arg("--initrd").arg(lab.images().modules(kernel)?);
    let card = format!("{},model={model},mac=52:54:00:01:02:03{options}", guests.as_raw_fd());
    command.args(["--nic-fd", &card]);
    // The guest's process gets it, and nobody else.
    fcntl_setfd(&guests, FdFlags::empty())?;
    let guest = Guest::start(&mut command);
    drop(guests);
    let mut guest = guest?;
    let stop = ours.try_clone()?;
    let peer = thread::spawn(move || answer_all(&ours));
    let said = guest.expect("waiting")?;
    // The other end goes: the guest sees its link go down, and runs on.
    stop_answering(&stop)?;
    drop(stop);
    let answered = peer.join().map_err(|_| anyhow::anyhow!("the other end failed"))?;
    guest.expect("link is down").context("the guest does not see that its cable is pulled out")?;
    guest.finish()?;
    ensure!(said.contains("ping ended with 0") && said.contains("large ping ended with 0"), "{said}");
    ensure!(said.contains("52:54:00:01:02:03"), "another address: {said}");
    ensure!(options.is_empty() || said.contains("9000"), "another mtu: {said}");
    ensure!(answered >= 7, "only {answered} pings came");
    Ok(())
}

/// Ends [`answer_all`] by an end of messages.
fn stop_answering(socket: &OwnedFd) -> anyhow::Result<()> {
    Ok(rustix::net::shutdown(socket, rustix::net::Shutdown::Both)?)
}

/// Answers requests for our address and echo requests until there are no more messages; returns how many messages of ICMP
/// there were.
fn answer_all(socket: impl AsFd) -> usize {
    let mut message = vec![0; 70_000];
    let mut pings = 0;
    loop {
        let Ok(length @ 1..) = read(&socket, &mut message) else { return pings };
        let Some((header, frame)) = message[..length].split_at_mut_checked(HEADER) else { continue };
        if header[0] & 0x80 != 0 || frame.len() < 42 {
            continue;
        }
        let is_ping = frame[12..14] == [8, 0] && frame[23] == 1;
        if !is_ping && !is_question(frame) {
            continue;
        }
        pings += usize::from(is_ping);
        if is_ping {
            echo(frame)
        } else {
            tell_address(frame)
        }
        frame.copy_within(6..12, 0);
        frame[6..12].copy_from_slice(&OURS);
        header.fill(0);
        if write(&socket, &message[..length]).is_err() {
            return pings;
        }
    }
}

/// Whether it asks for 10.9.0.1 by ARP.
fn is_question(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == [10, 9, 0, 1]
}

/// Sender and target change places.
fn tell_address(frame: &mut [u8]) {
    let asker: [u8; 10] = std::array::from_fn(|at| frame[22 + at]);
    frame[21] = 2;
    frame[22..28].copy_from_slice(&OURS);
    frame[28..32].copy_from_slice(&[10, 9, 0, 1]);
    frame[32..42].copy_from_slice(&asker);
}

/// Source and destination change places, and a request becomes an answer. A fragment that is not the first has no header
/// of ICMP: it stays as it is.
fn echo(frame: &mut [u8]) {
    let source: [u8; 4] = std::array::from_fn(|at| frame[26 + at]);
    frame.copy_within(30..34, 26);
    frame[30..34].copy_from_slice(&source);
    let is_first = u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff == 0;
    if is_first && frame[34] == 8 {
        frame[34] = 0;
        // The checksum's word with the type is 0x0800 less now.
        let sum = u32::from(u16::from_be_bytes([frame[36], frame[37]])) + 0x0800;
        let sum = (sum & 0xffff) + (sum >> 16);
        frame[36..38].copy_from_slice(&(sum as u16).to_be_bytes());
    }
}
