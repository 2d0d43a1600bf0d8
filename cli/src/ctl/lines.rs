//! Lines of `byuid` files, and the addresses in them, to reckon with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use rauthbind_policy::byuid;
use rauthbind_policy::keys::IMPERSONATING_PORTS;

use super::ports::Wrong;

/// Addresses of one family, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Not above the last.
    pub first: IpAddr,
    /// Of the same family.
    pub last: IpAddr,
}

/// Every address, in two lines.
pub const EVERYWHERE: [Span; 2] = [
    Span { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(Ipv4Addr::BROADCAST) },
    Span { first: IpAddr::V6(Ipv6Addr::UNSPECIFIED), last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)) },
];

impl Span {
    /// One address.
    pub fn one(ip: IpAddr) -> Span {
        Span { first: ip, last: ip }
    }

    /// The addresses of a line, if it grants any.
    fn of(grant: &byuid::Grant) -> Option<Span> {
        let (first, last) = match grant.addresses {
            byuid::Addresses::Range(ref range) => (*range.start(), *range.end()),
            byuid::Addresses::Prefix(first @ IpAddr::V4(ip), length) => {
                let free = u32::MAX.checked_shr(length).unwrap_or(0);
                (first, IpAddr::V4((ip.to_bits() | free).into()))
            }
            byuid::Addresses::Prefix(first @ IpAddr::V6(ip), length) => {
                let free = u128::MAX.checked_shr(length).unwrap_or(0);
                (first, IpAddr::V6((ip.to_bits() | free).into()))
            }
        };
        // The policy has the last word: bits behind a prefix are an error.
        grant.covers(first, *grant.ports.start()).then_some(Span { first, last })
    }

    /// Whether the address is one of these.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4() && (self.first..=self.last).contains(&ip)
    }

    /// What is left of these addresses without those: below and above.
    fn without(&self, other: &Span) -> Vec<Span> {
        let below = previous(other.first).filter(|last| self.has(*last));
        let above = next(other.last).filter(|first| self.has(*first));
        let below = below.map(|last| Span { first: self.first, last });
        below.into_iter().chain(above.map(|first| Span { first, last: self.last })).collect()
    }

    fn common(&self, other: &Span) -> Option<Span> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.first.is_ipv4() == other.first.is_ipv4() && first <= last).then_some(Span { first, last })
    }

    /// The IPv6 addresses by which sockets for both families are bound to these IPv4 addresses.
    pub fn mapped(&self) -> Option<Span> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Some(Span { first: first.to_ipv6_mapped().into(), last: last.to_ipv6_mapped().into() })
            }
            _ => None,
        }
    }

    /// The number of leading bits in common, where these are all addresses that have them in common.
    fn length(&self) -> Option<u32> {
        let (width, first, last) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (u32::BITS, first.to_bits().into(), last.to_bits().into()),
            (IpAddr::V6(first), IpAddr::V6(last)) => (u128::BITS, first.to_bits(), last.to_bits()),
            _ => return None,
        };
        let (differ, free): (u128, u128) = (first ^ last, first & (first ^ last));
        let size = u128::BITS - differ.leading_zeros();
        (free == 0 && differ.count_ones() == size).then(|| width - size)
    }
}

/// The address after this one.
pub fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(ip) => ip.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

fn previous(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().checked_sub(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(ip) => ip.to_bits().checked_sub(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

/// As a network where it is one, else as a range. A single address is a network too, so that it is not taken for one of
/// a `byaddr` file.
impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length() {
            Some(length) => write!(out, "{}/{length}", self.first),
            None => write!(out, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for Span {
    type Err = Wrong;

    /// `A`, `A-B` or `A/LENGTH`, as the lines have it.
    fn from_str(text: &str) -> Result<Span, Wrong> {
        let digits = |length: &str| length.bytes().all(|byte| byte.is_ascii_digit());
        let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":./-".contains(&byte))
            && text.split_once('/').is_none_or(|(_, length)| digits(length));
        let line = plain.then(|| byuid::grant(format!("{text},1").as_bytes())).flatten();
        line.as_ref().and_then(Span::of).ok_or_else(|| Wrong::Address(text.to_owned()))
    }
}

/// What a line grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub addresses: Span,
    /// Never empty.
    pub ports: RangeInclusive<u16>,
}

impl Line {
    /// What a line of this kind of file grants: one whose name begins with `!`, for ports 512 to 1023, or one for the
    /// others. Nothing, or up to two ranges of ports.
    pub fn read(line: &[u8], impersonating: bool) -> Vec<Line> {
        let Some(grant) = byuid::grant(line) else { return Vec::new() };
        let Some(addresses) = Span::of(&grant) else { return Vec::new() };
        let parts = split(&grant.ports).into_iter().filter(|part| is_impersonating(part) == impersonating);
        parts.map(|ports| Line { addresses, ports }).collect()
    }

    /// What it grants beyond these ports of these addresses.
    pub fn without(&self, addresses: &Span, ports: &RangeInclusive<u16>) -> Vec<Line> {
        let Some(taken) = self.addresses.common(addresses) else { return vec![self.clone()] };
        let elsewhere = self.addresses.without(&taken).into_iter().map(|addresses| (addresses, self.ports.clone()));
        let here = without(&self.ports, ports).into_iter().map(|ports| (taken, ports));
        if common(&self.ports, ports).is_empty() {
            return vec![self.clone()];
        }
        elsewhere.chain(here).map(|(addresses, ports)| Line { addresses, ports }).collect()
    }

    /// Whether it grants all that the other does.
    pub fn includes(&self, other: &Line) -> bool {
        other.without(&self.addresses, &self.ports).is_empty()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{},{}", self.addresses, Range(&self.ports))
    }
}

/// Ports as they are written: `80` or `80-90`.
#[derive(Debug)]
pub struct Range<'a>(pub &'a RangeInclusive<u16>);

impl fmt::Display for Range<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(out, "{first}") } else { write!(out, "{first}-{last}") }
    }
}

/// Ports 512 to 1023 apart from those below and above, as each has files of its own.
pub fn split(ports: &RangeInclusive<u16>) -> Vec<RangeInclusive<u16>> {
    let below = 0..=IMPERSONATING_PORTS.start().saturating_sub(1);
    let above = IMPERSONATING_PORTS.end().saturating_add(1)..=u16::MAX;
    let parts = [below, IMPERSONATING_PORTS, above].map(|part| common(ports, &part));
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Whether this part of a [`split`] is the one whose files have a mark.
pub fn is_impersonating(part: &RangeInclusive<u16>) -> bool {
    IMPERSONATING_PORTS.contains(part.start())
}

/// The ports that are in both.
pub fn common(one: &RangeInclusive<u16>, other: &RangeInclusive<u16>) -> RangeInclusive<u16> {
    *one.start().max(other.start())..=*one.end().min(other.end())
}

fn without(ports: &RangeInclusive<u16>, taken: &RangeInclusive<u16>) -> Vec<RangeInclusive<u16>> {
    let below = taken.start().checked_sub(1).map(|end| *ports.start()..=end.min(*ports.end()));
    let above = taken.end().checked_add(1).map(|start| start.max(*ports.start())..=*ports.end());
    [below, above].into_iter().flatten().filter(|rest| !rest.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::read(text.as_bytes(), false).remove(0)
    }

    #[test]
    fn a_line_without_some_of_it_is_the_rest() {
        for (whole, addresses, ports, rest) in [
            ("0.0.0.0/0,400-500", "0.0.0.0/0", 443..=443, &["0.0.0.0/0,400-442", "0.0.0.0/0,444-500"][..]),
            ("0.0.0.0/0,80", "0.0.0.0/0", 80..=80, &[]),
            ("0.0.0.0/0,80", "0.0.0.0/0", 81..=90, &["0.0.0.0/0,80"]),
            ("0.0.0.0/0,80", "::/0", 80..=80, &["0.0.0.0/0,80"]),
            ("10.0.0.0/8,80-81", "10.0.0.0/9", 80..=80, &["10.128.0.0/9,80-81", "10.0.0.0/9,81"]),
            ("10.0.0.1-10.0.0.9,80", "10.0.0.5/32", 80..=80, &["10.0.0.1-10.0.0.4,80", "10.0.0.6-10.0.0.9,80"]),
            ("::/0,80", "ffff::/16", 80..=80, &["::-fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff,80"]),
            ("1.2.3.4,1024-65535", "1.2.3.4", 1025..=65535, &["1.2.3.4/32,1024"]),
        ] {
            let left = line(whole).without(&addresses.parse().unwrap(), &ports);
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            assert_eq!(left, rest, "{whole} without {addresses},{ports:?}");
        }
    }

    #[test]
    fn a_line_grants_what_its_file_can() {
        let read = |impersonating| Line::read(b"::1,1-65535 # all", impersonating);
        assert_eq!(read(false), [line("::1,1-511"), line("::1,1024-65535")]);
        assert_eq!(read(true), [Line { addresses: "::1".parse().unwrap(), ports: 512..=1023 }]);
        for wrong in ["10.0.0.1/8,80", "10.0.0.2-10.0.0.1,80", "::1,81-80", "::1,80,tcp", "# ::1,80"] {
            assert_eq!(Line::read(wrong.as_bytes(), false), [], "{wrong}");
        }
    }

    #[test]
    fn addresses_are_written_as_networks_where_they_are_some() {
        for (text, written) in [
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("10.0.0.0-10.0.0.1", "10.0.0.0/31"),
            ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), written);
        }
        for wrong in
            ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.2-10.0.0.1", "::1-10.0.0.1", "::1,2", "a", "10.0.0.0/8:1"]
        {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
