//! The lines of a `byuid` file, as authbind(1) describes them; `#` begins a comment.
//!
//! ```text
//! addrmin[-addrmax],portmin[-portmax]
//! addr[/length],portmin[-portmax]
//! addr4/length:portmin,portmax
//! ```
//!
//! A line that is none of these grants nothing, and so does one with bits behind its prefix or a minimum above its
//! maximum. Blanks may stand before a number and behind the last, as authbind has it.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::keys;

/// The number of the first line, counted from 1, that grants this address and port.
pub fn granting_line(text: &[u8], address: SocketAddr) -> Option<usize> {
    let views = keys::views(address);
    let grants = |line| grant(line).is_some_and(|grant| views.iter().any(|ip| grant.covers(*ip, address.port())));
    text.split(|byte| *byte == b'\n').position(grants).map(|index| index + 1)
}

/// What a line grants; nothing where a range is empty or bits are set behind the prefix.
pub struct Grant {
    /// The first part.
    pub addresses: Addresses,
    /// The second part.
    pub ports: RangeInclusive<u16>,
}

/// The addresses of a line.
pub enum Addresses {
    /// From here to there, of one family.
    Range(RangeInclusive<IpAddr>),
    /// With so many bits in common.
    Prefix(IpAddr, u32),
}

impl Grant {
    /// Whether it grants this address and port.
    pub fn covers(&self, ip: IpAddr, port: u16) -> bool {
        let covered = match &self.addresses {
            // IpAddr orders all of IPv4 before all of IPv6, so both ends must be of the address's own family.
            Addresses::Range(range) => range.start().is_ipv4() == ip.is_ipv4() && range.contains(&ip),
            Addresses::Prefix(start, length) => prefix(ip, *length) == Some(*start),
        };
        covered && self.ports.contains(&port)
    }
}

/// What is on a line; `None` where it has none of the forms.
pub fn grant(line: &[u8]) -> Option<Grant> {
    let line = std::str::from_utf8(line.split(|byte| *byte == b'#').next()?).ok()?.trim_ascii_end();
    let (addresses, ports) = line.split_once(',')?;
    old_form(addresses, ports).or_else(|| Some(Grant { addresses: self::addresses(addresses)?, ports: range(ports)? }))
}

/// `addr4/length:portmin,portmax`
fn old_form(addresses: &str, port_max: &str) -> Option<Grant> {
    let (start, rest) = addresses.split_once('/')?;
    let (length, port_min) = rest.split_once(':')?;
    let start = start.trim_ascii_start().parse().ok().filter(IpAddr::is_ipv4)?;
    Some(Grant { addresses: Addresses::Prefix(start, number(length)?), ports: number(port_min)?..=number(port_max)? })
}

fn addresses(text: &str) -> Option<Addresses> {
    if let Some((start, length)) = text.split_once('/') {
        return Some(Addresses::Prefix(start.parse().ok()?, number(length.trim_ascii_end())?));
    }
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end): (IpAddr, IpAddr) = (start.parse().ok()?, end.parse().ok()?);
    (start.is_ipv4() == end.is_ipv4()).then_some(Addresses::Range(start..=end))
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    Some(number(min)?..=number(max)?)
}

/// A decimal number, blanks before it, but no sign, which std would take.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_ascii_start();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The first `length` bits of an address, the rest zero; `None` where it does not have so many.
fn prefix(ip: IpAddr, length: u32) -> Option<IpAddr> {
    Some(match ip {
        IpAddr::V4(ip) => {
            let zeroes = u32::BITS.checked_sub(length)?;
            IpAddr::V4((ip.to_bits() & u32::MAX.checked_shl(zeroes).unwrap_or(0)).into())
        }
        IpAddr::V6(ip) => {
            let zeroes = u128::BITS.checked_sub(length)?;
            IpAddr::V6((ip.to_bits() & u128::MAX.checked_shl(zeroes).unwrap_or(0)).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line with an address that it grants and its nearest neighbours, which it does not.
    #[test]
    fn a_line_grants_what_it_says_and_not_the_neighbours() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("127.0.0.1,80", &["127.0.0.1:80"], &["127.0.0.2:80", "127.0.0.0:80", "127.0.0.1:79", "127.0.0.1:81"]),
            ("::1,80", &["[::1]:80"], &["[::2]:80", "[::]:80", "[::1]:81", "0.0.0.1:80"]),
            ("127.0.0.1,80-82", &["127.0.0.1:80", "127.0.0.1:82"], &["127.0.0.1:79", "127.0.0.1:83"]),
            ("10.0.0.5-10.0.0.9,80", &["10.0.0.5:80", "10.0.0.9:80"], &["10.0.0.4:80", "10.0.0.10:80"]),
            ("::5-::9,80-90", &["[::5]:80", "[::9]:90"], &["[::4]:80", "[::a]:80", "[::5]:91"]),
            ("10.0.0.0/8,80", &["10.0.0.0:80", "10.255.255.255:80"], &["9.255.255.255:80", "11.0.0.0:80"]),
            ("10.0.0.1/32,80", &["10.0.0.1:80"], &["10.0.0.0:80", "10.0.0.2:80"]),
            ("0.0.0.0/0,80", &["0.0.0.0:80", "255.255.255.255:80"], &["[::]:80", "0.0.0.0:81"]),
            ("128.0.0.0/1,80", &["128.0.0.0:80", "255.0.0.0:80"], &["127.255.255.255:80"]),
            ("::/0,443", &["[::]:443", "[ffff::]:443"], &["0.0.0.0:443", "[::]:444"]),
            ("2001:db8::/127,1", &["[2001:db8::]:1", "[2001:db8::1]:1"], &["[2001:db8::2]:1"]),
            ("2001:db8::1/128,1", &["[2001:db8::1]:1"], &["[2001:db8::]:1", "[2001:db8::2]:1"]),
            ("10.0.0.0/8:80,90", &["10.1.2.3:80", "10.1.2.3:90"], &["10.1.2.3:79", "10.1.2.3:91", "11.0.0.0:80"]),
            (" 10.0.0.0/8: 80,90 ", &["10.1.2.3:80"], &["10.1.2.3:91"]),
            ("10.0.0.0/8 , 80- 90 ", &["10.0.0.1:80"], &["10.0.0.1:91"]),
            ("127.0.0.1,80 # web", &["127.0.0.1:80"], &["127.0.0.1:81"]),
            ("127.0.0.1,080", &["127.0.0.1:80"], &["127.0.0.1:8"]),
            ("10.0.0.1,80", &["[::ffff:10.0.0.1]:80"], &["[::ffff:10.0.0.2]:80", "[::10.0.0.1]:80"]),
            ("::ffff:10.0.0.1,80", &["[::ffff:10.0.0.1]:80"], &["10.0.0.1:80"]),
            ("::ffff:0:0/96,80", &["[::ffff:10.0.0.1]:80"], &["10.0.0.1:80", "[::fffe:10.0.0.1]:80"]),
        ];
        for (line, granted, refused) in table {
            for address in *granted {
                assert_eq!(
                    granting_line(line.as_bytes(), address.parse().unwrap()),
                    Some(1),
                    "{line} grants {address}"
                );
            }
            for address in *refused {
                assert_eq!(granting_line(line.as_bytes(), address.parse().unwrap()), None, "{line} refuses {address}");
            }
        }
    }

    #[test]
    fn a_line_that_is_none_grants_nothing() {
        let lines = [
            "",
            "#127.0.0.1,80",
            "127.0.0.1",
            "127.0.0.1,",
            ",80",
            "127.0.0.1:80",
            "127.0.0.1,80,tcp",
            "127.0.0.1,http",
            "127.0.0.1,+80",
            "127.0.0.1,-80",
            "127.0.0.1,80-",
            "127.0.0.1,81-79",
            "127.0.0.1,65616",
            "127.0.0.1,4294967376",
            " 127.0.0.1,80",
            "127.0.0.1 ,80",
            "127.0.0.01,80",
            "127.1,80",
            "127.0.0.2-127.0.0.0,80",
            "127.0.0.0-127.0.0.2/32,80",
            "127.0.0.0-::,80",
            "127.0.0.1/8,80",
            "127.0.0.1/33,80",
            "127.0.0.1/-1,80",
            "127.0.0.1/,80",
            "127.0.0.0/8:80",
            "127.0.0.0/8:80-90",
            "127.0.0.1:80,80",
            "localhost,80",
            "*,80",
            "127.0.0.1,80\0",
            "127.0.0.1,80 x",
            "127.0.0.1,80 -90",
            "127.0.0.0/8 :80,80",
        ];
        for line in lines {
            assert_eq!(granting_line(line.as_bytes(), "127.0.0.1:80".parse().unwrap()), None, "{line:?}");
        }
        assert_eq!(granting_line(b"::1/129,80\n::1/127,80\n::/0:80,80", "[::1]:80".parse().unwrap()), None);
    }

    #[test]
    fn the_first_line_that_grants_is_named_whatever_stands_around_it() {
        let text = b"# web, by \xff\xfe\n\xff,80\n\n10.0.0.0/8,80\r\n0.0.0.0/0,80";
        assert_eq!(granting_line(text, "10.0.0.1:80".parse().unwrap()), Some(4));
        assert_eq!(granting_line(text, "11.0.0.1:80".parse().unwrap()), Some(5));
    }
}
