//! Who listens, and what a web server answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};

use crate::process::PATIENCE;

/// Whether any socket of this network namespace listens on this TCP port.
pub(crate) fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let local_end = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|path| fs::read_to_string(path).ok()).any(|table| {
        table.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next().is_some_and(|address| address.ends_with(&local_end));
            local && fields.nth(1) == Some(LISTEN)
        })
    })
}

/// One HTTP/1.0 GET: the whole answer, head and body.
///
/// # Panics
/// Nobody listens there, or the answer does not come to an end.
#[track_caller]
#[must_use]
pub fn http_get(address: &str, port: u16, path: &str) -> String {
    let address: IpAddr = address.parse().expect("an IP address");
    let mut server = TcpStream::connect((address, port)).expect("someone listens");
    server.set_read_timeout(Some(PATIENCE)).expect("a deadline can be set");
    write!(server, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the request can be sent");
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}
