//! The address of a bind: ours is where the kernel binds a socket that is given the same bytes.

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use rauthbind_tests::sandbox;
use rauthbind_wire::address::{LONGEST, RawAddress};
use rauthbind_wire::sys;

/// The input is a byte that tells the kind of socket, and a `struct sockaddr`.
pub fn check(input: &[u8]) {
    assert!(sandbox::is_inside(), "outside of the sandbox: run `cargo xtask fuzz sockaddr`");
    let Some((kind, bytes)) = input.split_first() else { return };
    let family = if kind & 1 == 0 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let kind = if kind & 2 == 0 { SockType::Stream } else { SockType::Datagram };
    let Some(address) = RawAddress::new(bytes) else { return assert!(bytes.len() > LONGEST) };
    assert_eq!(address.as_bytes(), bytes);
    let ours = address.on_socket_of(family as i32);

    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    // Any address counts as the machine's own.
    setsockopt(&socket, sockopt::IpFreebind, &true).unwrap();
    let kernels = sys::bind(socket.as_raw_fd(), &address).map_err(Errno::from_raw);
    match (ours, kernels) {
        (Some(ours), Ok(())) => {
            let bound = UdpSocket::from(socket).local_addr().unwrap();
            assert_eq!(bound.ip(), ours.ip());
            assert!(bound.port() == ours.port() || ours.port() == 0, "{bound} for {ours}");
            assert_eq!(address.may_be_privileged(), ours.port() != 0);
        }
        (Some(ours), Err(errno)) => assert!(is_refused(ours.ip(), errno), "{ours}: {errno}"),
        (None, kernels) => assert!(matches!(kernels, Err(Errno::EINVAL | Errno::EAFNOSUPPORT)), "{kernels:?}"),
    }
}

/// Whether the kernel may refuse an address that is well-formed.
fn is_refused(ip: IpAddr, errno: Errno) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    // Of an interface that the address does not name, or of none that is there; or a group, for a socket that speaks to one.
    matches!(errno, Errno::EINVAL | Errno::ENODEV) && (ip.is_unicast_link_local() || ip.is_multicast())
}
