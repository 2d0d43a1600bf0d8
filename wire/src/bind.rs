//! bind(2) for programs that ask a helper by themselves: what the shim does, without a preload.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use crate::address::RawAddress;
use crate::ask::{Refusal, ask};
use crate::channel::Channel;
use crate::message::Request;
use crate::{names, sys};

/// Binds a socket to an address, and asks a helper of rauthbind where the kernel refuses because the port is privileged.
///
/// The kernel is asked first; a port that is not privileged costs nothing more. On `EACCES` a helper looks for a rule of
/// the calling user's, see rauthbind-rules(5), and binds this very socket: its options stay as they are. It is asked over
/// the channel, if the program was started under `rauthbind`; else it is run for this one bind, as no child that the
/// program could see; else the system's broker is asked. Nothing but a rule is needed for that: no `rauthbind` in front of
/// the command, no variable, no thread, no signal. It may take ten seconds where the helper was stopped.
///
/// The helper is that of the prefix for which this crate is built: the variable `RAUTHBIND_PREFIX` at build time, or
/// `/usr/local`.
///
/// # Errors
/// As of bind(2), from the kernel or from the helper. [`PermissionDenied`](io::ErrorKind::PermissionDenied) (`EACCES`) where
/// no rule grants the port, and where no helper could be asked; the system's log tells which.
///
/// # Examples
/// ```no_run
/// use std::net::{SocketAddr, TcpListener};
///
/// use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, listen, socket};
///
/// # fn main() -> std::io::Result<()> {
/// let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
/// rauthbind_wire::bind(&socket, SocketAddr::from(([0, 0, 0, 0], 80)))?;
/// listen(&socket, Backlog::MAXCONN)?;
/// let listener = TcpListener::from(socket);
/// # Ok(())
/// # }
/// ```
pub fn bind(socket: impl AsFd, address: SocketAddr) -> io::Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    let address = raw(address).ok_or(io::ErrorKind::InvalidInput)?;
    let bound = match sys::bind(socket, &address) {
        Err(libc::EACCES) => ask(channel().as_ref(), socket, &Request { address }).map_err(Refusal::errno),
        kernels => kernels,
    };
    bound.map_err(io::Error::from_raw_os_error)
}

/// The channel, as the environment has it now.
fn channel() -> Option<Channel> {
    Channel::parse(env::var_os(names::CHANNEL)?.as_bytes()).ok()
}

/// The address as the kernel wants it: `sockaddr_in` of ip(7), or `sockaddr_in6` of ipv6(7).
fn raw(address: SocketAddr) -> Option<RawAddress> {
    let (family, rest) = match address {
        SocketAddr::V4(v4) => (libc::AF_INET, [&v4.ip().octets()[..], &[0; 8]].concat()),
        SocketAddr::V6(v6) => {
            let [flow, scope] = [v6.flowinfo(), v6.scope_id()].map(u32::to_ne_bytes);
            (libc::AF_INET6, [&flow[..], &v6.ip().octets(), &scope].concat())
        }
    };
    let family = libc::sa_family_t::try_from(family).ok()?;
    RawAddress::new(&[&family.to_ne_bytes()[..], &address.port().to_be_bytes(), &rest].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn an_address_is_what_it_was() {
        for (text, domain, length) in [("192.0.2.1:80", libc::AF_INET, 16), ("[2001:db8::1]:443", libc::AF_INET6, 28)] {
            let address = text.parse().unwrap();
            let raw = raw(address).unwrap();
            assert_eq!((raw.on_socket_of(domain), raw.as_bytes().len()), (Some(address), length));
        }
    }

    #[test]
    fn flow_and_scope_are_where_the_kernel_looks() {
        let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0x0102_0304, 7);
        let raw = raw(SocketAddr::V6(address)).unwrap();
        assert_eq!(raw.as_bytes()[4..8], 0x0102_0304_u32.to_ne_bytes());
        assert_eq!(raw.as_bytes()[24..], 7_u32.to_ne_bytes());
    }
}
