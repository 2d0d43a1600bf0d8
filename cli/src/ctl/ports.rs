//! Ports, protocols and addresses, as they are typed.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rauthbind_policy::Protocol;

use super::lines::Span;
use crate::accounts;

/// Why a text names no ports or addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Neither a number from 1 to 65535 nor a service.
    Port(String),
    /// The services cannot be asked.
    Getent(String),
    /// A range from high to low.
    Range(String),
    /// No protocol that has ports.
    Protocol(String),
    /// No address, range or network.
    Address(String),
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Port(text) => write!(out, "{text:?} is neither a port from 1 to 65535 nor a name in services(5)"),
            Wrong::Getent(error) => write!(out, "{}: {error}; give the port as a number", accounts::GETENT),
            Wrong::Range(text) => write!(out, "{text:?} ends before it begins"),
            Wrong::Protocol(text) => {
                let known = Protocol::ALL.map(Protocol::name).join(", ");
                write!(out, "{text:?} is not a protocol; these are: {known}")
            }
            Wrong::Address(text) => write!(
                out,
                "{text:?} is neither an address, nor a range A-B of one family, nor a network A/LENGTH with no bits set \
                 beyond LENGTH"
            ),
        }
    }
}

/// `PORTS[/PROTO]`: ranges, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Never empty; a single port is a range of one.
    pub ranges: Vec<RangeInclusive<u16>>,
    /// `None`: all.
    pub protocol: Option<Protocol>,
}

/// `PORT[/PROTO]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// 0 where the kernel is to choose.
    pub port: u16,
    /// `None`: none was given.
    pub protocol: Option<Protocol>,
}

impl FromStr for Ports {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Ports, Wrong> {
        let (ports, protocol) = with_protocol(text)?;
        Ok(Ports { ranges: ports.split(',').map(range).collect::<Result<_, _>>()?, protocol })
    }
}

impl FromStr for Port {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Port, Wrong> {
        let (text, protocol) = with_protocol(text)?;
        Ok(Port { port: if text == "0" { 0 } else { port(text)? }, protocol })
    }
}

fn with_protocol(text: &str) -> Result<(&str, Option<Protocol>), Wrong> {
    let Some((ports, name)) = text.split_once('/') else { return Ok((text, None)) };
    let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == name);
    protocol.map(|protocol| (ports, Some(protocol))).ok_or_else(|| Wrong::Protocol(name.to_owned()))
}

fn range(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    // A service may have a hyphen in its name, as whois++ and ms-sql-s do.
    let ends = text.split_once('-').filter(|(start, end)| number(start).is_some() && number(end).is_some());
    match ends {
        None => port(text).map(|port| port..=port),
        Some((start, end)) => {
            let range = port(start)?..=port(end)?;
            if range.is_empty() { Err(Wrong::Range(text.to_owned())) } else { Ok(range) }
        }
    }
}

fn port(text: &str) -> Result<u16, Wrong> {
    let found = match number(text) {
        Some(number) => u16::try_from(number).ok(),
        None => accounts::service_port(text).map_err(|error| Wrong::Getent(error.to_string()))?,
    };
    found.filter(|port| *port != 0).ok_or_else(|| Wrong::Port(text.to_owned()))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `A`, `A-B` or `A/LENGTH`, as in the lines of a `byuid` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// One, which can have a file below `byaddr`.
    One(IpAddr),
    /// A range or a network.
    Many(Span),
}

impl Addresses {
    /// All of them.
    pub fn span(&self) -> Span {
        match self {
            Addresses::One(ip) => Span::one(*ip),
            Addresses::Many(span) => *span,
        }
    }
}

impl FromStr for Addresses {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Addresses, Wrong> {
        text.parse().map(Addresses::One).or_else(|_| text.parse().map(Addresses::Many))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addresses::One(ip) => ip.fmt(out),
            Addresses::Many(span) => span.fmt(out),
        }
    }
}
