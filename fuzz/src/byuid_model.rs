//! A `byuid` file as rauthbind-rules(5) describes it, read from left to right, and compared bit by bit.

use std::net::{IpAddr, SocketAddr};

/// The number of the first line, counted from 1, that grants this address and port.
pub fn granting_line(text: &[u8], address: SocketAddr) -> Option<usize> {
    let mut asked = Vec::new();
    match address.ip() {
        IpAddr::V4(ip) => asked.push(bits(&ip.octets())),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            asked.push(bits(&octets));
            if octets.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
                asked.push(bits(&octets[12..]));
            }
        }
    }
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b'#').next().unwrap());
    for (index, line) in lines.enumerate() {
        let forms = [Reader(line).range(), Reader(line).prefix(), Reader(line).old_form()];
        for (from, to, min, max) in forms.into_iter().flatten() {
            let covers = |ip: &Vec<bool>| from.len() == ip.len() && to.len() == ip.len() && from <= *ip && *ip <= to;
            if asked.iter().any(covers) && min <= address.port() && address.port() <= max {
                return Some(index + 1);
            }
        }
    }
    None
}

/// First and last address, first and last port.
type Line = (Vec<bool>, Vec<bool>, u16, u16);

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// `addrmin[-addrmax],portmin[-portmax]`
    fn range(mut self) -> Option<Line> {
        let from = self.address()?;
        let to = if self.byte(b'-').is_some() { self.address()? } else { from.clone() };
        self.byte(b',')?;
        let (min, max) = self.ports()?;
        (from.len() == to.len()).then_some((from, to, min, max))
    }

    /// `addr/length,portmin[-portmax]`
    fn prefix(mut self) -> Option<Line> {
        let from = self.address()?;
        self.byte(b'/')?;
        let length = self.number()?;
        self.blanks();
        self.byte(b',')?;
        let (min, max) = self.ports()?;
        Some((from.clone(), last(from, length)?, min, max))
    }

    /// `addr4/length:portmin,portmax`
    fn old_form(mut self) -> Option<Line> {
        self.blanks();
        let from = self.address().filter(|address| address.len() == 32)?;
        self.byte(b'/')?;
        let length = self.number()?;
        self.byte(b':')?;
        let min = self.number()?;
        self.byte(b',')?;
        let max = self.number()?;
        self.end()?;
        Some((from.clone(), last(from, length)?, min, max))
    }

    fn ports(&mut self) -> Option<(u16, u16)> {
        let min = self.number()?;
        let max = if self.byte(b'-').is_some() { self.number()? } else { min };
        self.end()?;
        Some((min, max))
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\x0c', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn end(&mut self) -> Option<()> {
        self.blanks();
        self.0.is_empty().then_some(())
    }

    /// No length and no port is above 65535.
    fn number(&mut self) -> Option<u16> {
        self.blanks();
        let digits = self.all_of(u8::is_ascii_digit);
        let zeroes = digits.iter().take_while(|digit| **digit == b'0').count();
        let significant = &digits[zeroes..];
        if digits.is_empty() || significant.len() > 5 {
            return None;
        }
        let value = significant.iter().fold(0, |value: u32, digit| value * 10 + u32::from(digit - b'0'));
        u16::try_from(value).ok()
    }

    fn address(&mut self) -> Option<Vec<bool>> {
        let text = self.all_of(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
        let text = std::str::from_utf8(text).unwrap();
        if text.contains(':') { ipv6(text) } else { ipv4(text) }.map(|octets| bits(&octets))
    }

    fn all_of(&mut self, is_one: impl Fn(&u8) -> bool) -> &[u8] {
        let (taken, rest) = self.0.split_at(self.0.iter().take_while(|byte| is_one(byte)).count());
        self.0 = rest;
        taken
    }
}

/// The last address with the first `length` bits of this one, which must be the first.
fn last(from: Vec<bool>, length: u16) -> Option<Vec<bool>> {
    let (network, host) = from.split_at_checked(length.into())?;
    (!host.contains(&true)).then(|| [network, &vec![true; host.len()]].concat())
}

fn bits(octets: &[u8]) -> Vec<bool> {
    octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
}

fn ipv4(text: &str) -> Option<Vec<u8>> {
    let octet = |part: &str| {
        let is_one = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_octal = part.len() > 1 && part.starts_with('0');
        if is_one && !is_octal { part.parse().ok() } else { None }
    };
    let octets: Vec<u8> = text.split('.').map(octet).collect::<Option<_>>()?;
    (octets.len() == 4).then_some(octets)
}

fn ipv6(text: &str) -> Option<Vec<u8>> {
    let Some((before, after)) = text.split_once("::") else {
        return groups(text).filter(|octets| octets.len() == 16);
    };
    // An IPv4 address may stand at the very end only.
    let before = if before.contains('.') { None } else { some_groups(before) }?;
    let after = some_groups(after)?;
    let zeroes = 16_usize.checked_sub(before.len() + after.len()).filter(|zeroes| *zeroes > 0)?;
    Some([before, vec![0; zeroes], after].concat())
}

fn some_groups(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() { Some(Vec::new()) } else { groups(text) }
}

fn groups(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut parts = text.split(':').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && part.contains('.') {
            octets.extend(ipv4(part)?);
        } else {
            let is_group = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let group = if is_group { u16::from_str_radix(part, 16).ok() } else { None }?;
            octets.extend(group.to_be_bytes());
        }
    }
    Some(octets)
}
