//! The lines of a `byuid` file grant what [the model](crate::byuid_model) says, and by the same line.

use std::net::{IpAddr, SocketAddr};

use rauthbind_policy::byuid::granting_line;

use crate::byuid_model;

/// The input is a byte that tells the family of an address, the address, a port, and the file.
pub fn check(input: &[u8]) {
    let Some((address, text)) = address(input) else { return };
    assert_eq!(granting_line(text, address), byuid_model::granting_line(text, address), "{address}");
}

fn address(input: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (family, rest) = input.split_first()?;
    let (ip, rest): (IpAddr, _) = if family % 2 == 0 {
        let (octets, rest) = rest.split_first_chunk::<4>()?;
        ((*octets).into(), rest)
    } else {
        let (octets, rest) = rest.split_first_chunk::<16>()?;
        ((*octets).into(), rest)
    };
    let (port, text) = rest.split_first_chunk()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), text))
}
