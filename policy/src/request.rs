//! The question: may this protocol's port of this address be bound?

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

/// The whole question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the socket speaks.
    pub protocol: Protocol,
    /// Where it is to be bound. An IPv4-mapped address stays an IPv6 address.
    pub address: SocketAddr,
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.protocol)
    }
}

/// The protocols that have ports, under the names that rule files carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, and MPTCP, whose ports are TCP's.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite, RFC 3828: has ports of its own.
    UdpLite,
    /// SCTP, one-to-one or one-to-many.
    Sctp,
    /// DCCP.
    Dccp,
}

impl Protocol {
    /// Every protocol, in the order of the documentation.
    pub const ALL: [Protocol; 5] = [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Sctp, Protocol::Dccp];

    /// The protocol of a socket by its SO_TYPE and SO_PROTOCOL (socket(7)); `None` where it is none with ports, so that
    /// raw sockets and ping sockets are nobody's to bind.
    pub fn of_socket(socket_type: i32, protocol: i32) -> Option<Protocol> {
        match (socket_type, protocol) {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP | libc::IPPROTO_MPTCP) => Some(Protocol::Tcp),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP) => Some(Protocol::Udp),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE) => Some(Protocol::UdpLite),
            (libc::SOCK_STREAM | libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP) => Some(Protocol::Sctp),
            (libc::SOCK_DCCP, libc::IPPROTO_DCCP) => Some(Protocol::Dccp),
            _ => None,
        }
    }

    /// The name in rule files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::UdpLite => "udplite",
            Protocol::Sctp => "sctp",
            Protocol::Dccp => "dccp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Reads the first port that is not privileged from `ip_unprivileged_port_start` (ip(7)): that of the network namespace in
/// which the file was opened. To be read for each request, as it may change. `None` where it cannot be read.
pub fn first_unprivileged_port(file: &File) -> Option<u32> {
    let mut text = [0; 16];
    let length = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_known_by_type_and_protocol_together() {
        let kinds = [
            (libc::SOCK_STREAM, libc::IPPROTO_TCP, Protocol::Tcp),
            (libc::SOCK_STREAM, libc::IPPROTO_MPTCP, Protocol::Tcp),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP, Protocol::Udp),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE, Protocol::UdpLite),
            (libc::SOCK_STREAM, libc::IPPROTO_SCTP, Protocol::Sctp),
            (libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP, Protocol::Sctp),
            (libc::SOCK_DCCP, libc::IPPROTO_DCCP, Protocol::Dccp),
        ];
        for socket_type in 0..=10 {
            for protocol in 0..=300 {
                let known = kinds.iter().find(|kind| (kind.0, kind.1) == (socket_type, protocol)).map(|kind| kind.2);
                assert_eq!(
                    Protocol::of_socket(socket_type, protocol),
                    known,
                    "type {socket_type}, protocol {protocol}"
                );
            }
        }
    }
}
