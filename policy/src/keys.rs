//! The names of the rule files that may answer a request, in the order in which they are looked up.
//!
//! The names are authbind's, so that its directories can be taken over, with two additions: a protocol at the end
//! (`443,udp`), looked up before the name without; and for ports 512 to 1023 authbind's leading `!` may be left out,
//! but not in `byuid`, where one line can cover many ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::request::{Protocol, Request};

/// Below this directory: one file for each port, of any address.
pub const BYPORT: &str = "byport";

/// Below this directory: one file for each port of an address.
pub const BYADDR: &str = "byaddr";

/// Below this directory: one file of lines for each user id.
pub const BYUID: &str = "byuid";

/// The ports that some protocols (NFS, rsh) take for a proof that root is speaking, so that granting one may grant far
/// more than a port.
pub const IMPERSONATING_PORTS: std::ops::RangeInclusive<u16> = 512..=1023;

/// The names below [`BYPORT`] for this request.
pub fn byport(request: &Request) -> Vec<String> {
    let port = request.address.port();
    let names = [format!("{port},{}", request.protocol), port.to_string()];
    names.into_iter().flat_map(|name| spelled(port, name)).collect()
}

/// The names below [`BYADDR`] for this request.
pub fn byaddr(request: &Request) -> Vec<String> {
    let port = request.address.port();
    let names = views(request.address).into_iter().flat_map(|ip| match ip {
        IpAddr::V4(ip) => v4(ip, port, request.protocol),
        IpAddr::V6(ip) => v6(ip, port, request.protocol),
    });
    names.flat_map(|name| spelled(port, name)).collect()
}

/// The name below [`BYUID`] for this request and subject.
pub fn byuid(request: &Request, uid: u32) -> String {
    let bang = if IMPERSONATING_PORTS.contains(&request.address.port()) { "!" } else { "" };
    format!("{bang}{uid}")
}

/// The addresses under which a request is looked up: its own, and for an IPv4-mapped one the IPv4 address after it.
pub fn views(address: SocketAddr) -> Vec<IpAddr> {
    let ip = address.ip();
    let mapped = match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map(IpAddr::V4),
    };
    [Some(ip), mapped].into_iter().flatten().collect()
}

/// authbind's name with the `!` first: where both exist, it is the one that decided before rauthbind came.
fn spelled(port: u16, name: String) -> Vec<String> {
    if IMPERSONATING_PORTS.contains(&port) { vec![format!("!{name}"), name] } else { vec![name] }
}

fn v4(ip: Ipv4Addr, port: u16, protocol: Protocol) -> Vec<String> {
    vec![format!("{ip},{port},{protocol}"), format!("{ip},{port}"), format!("{ip}:{port}")]
}

fn v6(ip: Ipv6Addr, port: u16, protocol: Protocol) -> Vec<String> {
    let mut spellings = vec![inet_ntop(ip), in_full(ip)];
    spellings.dedup();
    let with_protocol = spellings.iter().map(|ip| format!("{ip},{port},{protocol}"));
    let without = spellings.iter().map(|ip| format!("{ip},{port}"));
    with_protocol.chain(without).collect()
}

/// The spelling of glibc's inet_ntop(3). std's differs for the IPv4-compatible addresses alone (`::1.2.3.4`).
fn inet_ntop(ip: Ipv6Addr) -> String {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = ip.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => ip.to_string(),
    }
}

/// The spelling without `::`, easy to predict: each group in hexadecimal without leading zeroes.
fn in_full(ip: Ipv6Addr) -> String {
    ip.segments().map(|group| format!("{group:x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocol: Protocol, address: &str) -> Request {
        Request { protocol, address: address.parse().unwrap() }
    }

    #[test]
    fn byport_names_the_protocol_first() {
        assert_eq!(byport(&request(Protocol::Udp, "127.0.0.1:443")), ["443,udp", "443"]);
        assert_eq!(byport(&request(Protocol::Tcp, "[::1]:1")), ["1,tcp", "1"]);
    }

    #[test]
    fn the_bang_is_for_512_to_1023_alone() {
        for (port, bang) in [(511, false), (512, true), (1023, true), (1024, false)] {
            let request = request(Protocol::Tcp, &format!("10.0.0.1:{port}"));
            let (byport, byaddr, byuid) = (byport(&request), byaddr(&request), byuid(&request, 7));
            if bang {
                let (tcp, plain) = (format!("{port},tcp"), format!("{port}"));
                assert_eq!(byport, [format!("!{tcp}"), tcp, format!("!{plain}"), plain]);
                assert_eq!(byaddr.len(), 6);
                assert_eq!(byaddr[..2], [format!("!10.0.0.1,{port},tcp"), format!("10.0.0.1,{port},tcp")]);
                assert_eq!(byuid, "!7");
            } else {
                assert_eq!(byport, [format!("{port},tcp"), format!("{port}")]);
                assert_eq!(byaddr.len(), 3);
                assert_eq!(byuid, "7");
            }
        }
    }

    #[test]
    fn byaddr_knows_every_spelling() {
        let names = |address| byaddr(&request(Protocol::Tcp, address));
        assert_eq!(names("127.0.0.1:80"), ["127.0.0.1,80,tcp", "127.0.0.1,80", "127.0.0.1:80"]);
        assert_eq!(names("[::1]:80"), ["::1,80,tcp", "0:0:0:0:0:0:0:1,80,tcp", "::1,80", "0:0:0:0:0:0:0:1,80"]);
        assert_eq!(names("[1:2:3:4:5:6:7:8]:80"), ["1:2:3:4:5:6:7:8,80,tcp", "1:2:3:4:5:6:7:8,80"]);
        assert_eq!(
            names("[2620:106:e002:f00f::21]:80")[2..],
            ["2620:106:e002:f00f::21,80", "2620:106:e002:f00f:0:0:0:21,80"]
        );
    }

    #[test]
    fn a_mapped_address_is_looked_up_as_ipv6_and_then_as_ipv4() {
        assert_eq!(
            byaddr(&request(Protocol::Udp, "[::ffff:10.0.0.1]:53")),
            [
                "::ffff:10.0.0.1,53,udp",
                "0:0:0:0:0:ffff:a00:1,53,udp",
                "::ffff:10.0.0.1,53",
                "0:0:0:0:0:ffff:a00:1,53",
                "10.0.0.1,53,udp",
                "10.0.0.1,53",
                "10.0.0.1:53",
            ]
        );
    }

    #[test]
    fn addresses_are_spelled_as_glibc_spells_them() {
        // Each read off inet_ntop(3) of glibc 2.36.
        let spellings = [
            "::",
            "::1",
            "::ffff",
            "::0.1.0.2",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "::ffff:0:102:304",
            "64:ff9b::102:304",
            "1:0:2::",
            "1::2:0:0:3",
            "1:0:0:2::3",
            "0:1:2:3:4:5:6:7",
            "fe80::1",
        ];
        for spelling in spellings {
            assert_eq!(inet_ntop(spelling.parse().unwrap()), spelling);
        }
    }
}
