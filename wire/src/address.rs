//! A socket address as an app passed it to bind(2), and what the kernel makes of it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest address that bind(2) takes: `sizeof(struct sockaddr_storage)`, in bytes.
pub const LONGEST: usize = 128;

/// The shortest that an AF_INET socket takes: `sizeof(struct sockaddr_in)`, in bytes (inet_bind in net/ipv4/af_inet.c).
const SHORTEST_V4: usize = 16;

/// The shortest that an AF_INET6 socket takes: `SIN6_LEN_RFC2133`, without the scope id, in bytes (net/ipv6/af_inet6.c).
const SHORTEST_V6: usize = 24;

/// The kernel's `AF_*` number of an address or a socket.
pub type Family = i32;

/// A private copy of a `struct sockaddr`: what is checked and what is bound are these same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAddress {
    bytes: [u8; LONGEST],
    length: usize,
}

impl RawAddress {
    /// Copies the address; `None` where it is longer than the kernel takes.
    pub fn new(address: &[u8]) -> Option<RawAddress> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..address.len())?.copy_from_slice(address);
        Some(RawAddress { bytes, length: address.len() })
    }

    /// The bytes in the kernel's layout, as long as the app said.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The bytes with the zeroes behind them.
    pub(crate) fn padded(&self) -> &[u8; LONGEST] {
        &self.bytes
    }

    /// `sa_family`; `None` where the address is too short to have one.
    pub fn family(&self) -> Option<Family> {
        self.field(0).map(|bytes| Family::from(u16::from_ne_bytes(bytes)))
    }

    /// Whether a refusal of this address can be about a privileged port: an IP address (or AF_UNSPEC, which the
    /// kernel takes for 0.0.0.0 on an AF_INET socket) with a port that is not 0.
    pub fn may_be_privileged(&self) -> bool {
        let ip = matches!(self.family(), Some(libc::AF_INET | libc::AF_INET6 | libc::AF_UNSPEC));
        ip && self.port().is_some_and(|port| port != 0)
    }

    /// The address and port that bind(2) would give to a socket of family `domain`; `None` where the kernel would
    /// refuse the address for its form.
    ///
    /// The scope id and flow information are not part of the answer: no rule looks at them.
    pub fn on_socket_of(&self, domain: Family) -> Option<SocketAddr> {
        let family = self.family()?;
        let ip = match domain {
            libc::AF_INET if self.length >= SHORTEST_V4 => {
                let ip = Ipv4Addr::from(self.field::<4>(4)?);
                (family == libc::AF_INET || (family == libc::AF_UNSPEC && ip.is_unspecified()))
                    .then_some(IpAddr::V4(ip))
            }
            libc::AF_INET6 if self.length >= SHORTEST_V6 => {
                (family == libc::AF_INET6).then_some(IpAddr::V6(Ipv6Addr::from(self.field::<16>(8)?)))
            }
            _ => None,
        }?;
        Some(SocketAddr::new(ip, self.port()?))
    }

    /// The port, in host order: it stands at the same place in `sockaddr_in` and `sockaddr_in6`.
    pub fn port(&self) -> Option<u16> {
        self.field(2).map(u16::from_be_bytes)
    }

    fn field<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.as_bytes().get(at..)?.first_chunk().copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn v4(family: Family, ip: [u8; 4], port: u16, length: usize) -> RawAddress {
        let mut bytes = [0; LONGEST];
        bytes[..2].copy_from_slice(&u16::try_from(family).unwrap().to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[4..8].copy_from_slice(&ip);
        RawAddress::new(&bytes[..length]).unwrap()
    }

    fn v6(family: Family, ip: &str, port: u16, length: usize) -> RawAddress {
        let mut bytes = [0; LONGEST];
        bytes[..2].copy_from_slice(&u16::try_from(family).unwrap().to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[8..24].copy_from_slice(&ip.parse::<Ipv6Addr>().unwrap().octets());
        RawAddress::new(&bytes[..length]).unwrap()
    }

    #[test]
    fn every_length_that_the_kernel_takes_is_taken_and_no_other() {
        for length in 0..=LONGEST {
            let taken = v4(libc::AF_INET, [127, 0, 0, 1], 80, length).on_socket_of(libc::AF_INET);
            assert_eq!(taken, (length >= 16).then(|| "127.0.0.1:80".parse().unwrap()), "AF_INET, {length} bytes");
            let taken = v6(libc::AF_INET6, "::1", 80, length).on_socket_of(libc::AF_INET6);
            assert_eq!(taken, (length >= 24).then(|| "[::1]:80".parse().unwrap()), "AF_INET6, {length} bytes");
        }
        assert_eq!(RawAddress::new(&[0; LONGEST + 1]), None);
    }

    #[test]
    fn the_families_must_match_but_for_unspec_with_any() {
        let any = [0; 4];
        let on_v4 = |address: RawAddress| address.on_socket_of(libc::AF_INET).is_some();
        assert!(on_v4(v4(libc::AF_UNSPEC, any, 80, 16)));
        assert!(!on_v4(v4(libc::AF_UNSPEC, [127, 0, 0, 1], 80, 16)));
        assert!(!on_v4(v4(libc::AF_UNIX, any, 80, 16)));
        assert!(!on_v4(v6(libc::AF_INET6, "::1", 80, 28)));
        let on_v6 = |address: RawAddress| address.on_socket_of(libc::AF_INET6).is_some();
        assert!(!on_v6(v6(libc::AF_UNSPEC, "::", 80, 28)));
        assert!(!on_v6(v6(libc::AF_INET, "::", 80, 28)));
        assert!(v4(libc::AF_INET, any, 80, 16).on_socket_of(libc::AF_UNIX).is_none());
    }

    #[test]
    fn only_an_ip_address_with_a_port_may_be_privileged() {
        assert!(v4(libc::AF_INET, [127, 0, 0, 1], 80, 16).may_be_privileged());
        assert!(v4(libc::AF_UNSPEC, [0; 4], 80, 16).may_be_privileged());
        assert!(v6(libc::AF_INET6, "::", 80, 28).may_be_privileged());
        assert!(!v4(libc::AF_INET, [127, 0, 0, 1], 0, 16).may_be_privileged());
        assert!(!v4(libc::AF_UNIX, [127, 0, 0, 1], 80, 16).may_be_privileged());
        assert!(!v4(libc::AF_INET, [127, 0, 0, 1], 80, 3).may_be_privileged());
        assert!(!v4(libc::AF_INET, [127, 0, 0, 1], 80, 0).may_be_privileged());
    }
}
