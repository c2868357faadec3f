//! What the host was told of datagrams that went nowhere: a socket's queue of errors (ip(7) and ipv6(7), `IP_RECVERR`).
#![expect(unsafe_code, reason = "reads ancillary data that the safe interfaces do not know")]
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// An ICMP error about something that a socket has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// It is ICMPv6's.
    pub is_ipv6: bool,
    /// ICMP's type.
    pub kind: u8,
    /// ICMP's code.
    pub code: u8,
    /// The MTU, in bytes, where something was larger.
    pub info: u32,
    /// Where it was sent to; of a ping, without a port.
    pub to: SocketAddr,
    /// Who says so.
    pub offender: Option<IpAddr>,
    /// Bytes of what was sent, behind UDP's header or from ICMP's on, that are in the buffer.
    pub length: usize,
}

/// Bytes of ancillary data, in units of eight: one error with an address.
const CONTROL: usize = 16;
/// Bytes of `struct cmsghdr`, and of `struct sock_extended_err`, behind which the offender is.
const HEADER: usize = 16;
const ERROR: usize = 16;
/// Where an error is from: `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
/// Errors of other origins that are passed over in a row.
const OTHERS_MAX: usize = 64;

/// Has a socket keep errors from now on.
pub fn enable(socket: impl AsFd, is_ipv6: bool) -> Result<(), Errno> {
    let (level, option) = match is_ipv6 {
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    let on: libc::c_int = 1;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel reads four bytes of a number that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            descriptor,
            level,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// The next error that a router or another host has sent; `None` if there is none.
pub fn next(socket: impl AsFd, buffer: &mut [u8]) -> Option<Report> {
    for _ in 0..OTHERS_MAX {
        let (name, control, length) = receive(&socket, buffer)?;
        if let Some(report) = report(&name, &control, length) {
            return Some(report);
        }
    }
    None
}

type Name = [u8; 28];

fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> Option<(Name, Vec<u8>, usize)> {
    let (mut name, mut control): (Name, [u64; CONTROL]) = ([0; 28], [0; CONTROL]);
    let mut pieces = [IoSliceMut::new(buffer)];
    // SAFETY: all of it is numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = name.len() as libc::socklen_t;
    // An IoSliceMut is laid out as a `struct iovec`.
    message.msg_iov = pieces.as_mut_ptr().cast();
    message.msg_iovlen = pieces.len();
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes no more into each of the three buffers than their lengths say, and all outlive the call.
    let count = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) };
    let count = usize::try_from(count).ok()?;
    let mut bytes: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.truncate(message.msg_controllen);
    Some((name, bytes, count))
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Takes apart what came with an error: one or more of a `struct cmsghdr` with its data, each at a multiple of eight.
fn report(name: &Name, mut control: &[u8], length: usize) -> Option<Report> {
    loop {
        let header = control.first_chunk::<HEADER>()?;
        let size = usize::try_from(u64::from_ne_bytes(*header.first_chunk()?)).ok()?;
        let number = |at: usize| Some(i32::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        let data = control.get(HEADER..size)?;
        let is_error = matches!(
            (number(8)?, number(12)?),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        );
        if is_error {
            let error = data.first_chunk::<ERROR>()?;
            let (origin, kind, code) = (error[4], error[5], error[6]);
            let is_ipv6 = match origin {
                ORIGIN_ICMP => false,
                ORIGIN_ICMP6 => true,
                _ => return None,
            };
            let info = u32::from_ne_bytes(*error[8..].first_chunk()?);
            let offender = data.get(ERROR..).and_then(socket_address).map(|offender| offender.ip());
            return Some(Report { is_ipv6, kind, code, info, to: socket_address(name)?, offender, length });
        }
        control = control.get(size.next_multiple_of(8)..)?;
    }
}

/// A `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let address: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn refused(from: &str, to: &str) {
        let Ok(socket) = UdpSocket::bind((from, 0)) else { return eprintln!("skipped: no {from}") };
        enable(&socket, to.contains(':')).unwrap();
        let closed = UdpSocket::bind((to, 0)).unwrap().local_addr().unwrap();
        assert_eq!(next(&socket, &mut [0; 8]), None);
        socket.send_to(b"hello", closed).unwrap();
        // On the loopback, the answer is there once it was sent.
        let mut buffer = [0; 64];
        let report = next(&socket, &mut buffer).unwrap();
        let is_ipv6 = closed.is_ipv6();
        let (kind, code) = if is_ipv6 { (1, 4) } else { (3, 3) };
        assert_eq!((report.is_ipv6, report.kind, report.code, report.to), (is_ipv6, kind, code, closed));
        assert_eq!((report.offender, &buffer[..report.length]), (Some(closed.ip()), &b"hello"[..]));
        assert_eq!(next(&socket, &mut buffer), None);
    }

    #[test]
    fn closed_ports_are_reported() {
        refused("127.0.0.1", "127.0.0.1");
        refused("::1", "::1");
    }

    #[test]
    fn what_is_cut_short_is_no_report() {
        let mut control = (32 + HEADER as u64).to_ne_bytes().to_vec();
        control.extend([libc::IPPROTO_IP, libc::IP_RECVERR].iter().flat_map(|number| number.to_ne_bytes()));
        control.extend([111, 0, 0, 0, ORIGIN_ICMP, 3, 3, 0]);
        control.resize(HEADER + 32, 0);
        let mut name = [0; 28];
        name[..8].copy_from_slice(&[2, 0, 0, 9, 192, 0, 2, 1]);
        let whole = report(&name, &control, 5).unwrap();
        assert_eq!((whole.to, whole.offender), ("192.0.2.1:9".parse().unwrap(), None));
        for length in 0..control.len() {
            assert_eq!(report(&name, &control[..length], 5), None, "{length}");
        }
        assert_eq!(report(&[0; 28], &control, 5), None);
    }
}
