//! Who listens, and what a web server answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;

use nix::unistd::Pid;

use crate::process::PATIENCE;

/// Whether any socket of this network namespace listens on this TCP port.
pub(crate) fn is_listening(port: u16) -> bool {
    !open_to_all("tcp", port).is_empty()
}

/// The inodes of the sockets of this port that are open to every peer: those of `tcp` that listen, those of `udp` that
/// are not connected.
fn open_to_all(protocol: &str, port: u16) -> Vec<String> {
    // LISTEN and CLOSE, as proc_pid_net(5) has them.
    let state = if protocol == "tcp" { "0A" } else { "07" };
    let local_end = format!(":{port:04X}");
    let tables =
        ["", "6"].map(|suffix| fs::read_to_string(format!("/proc/net/{protocol}{suffix}")).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines()).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = rows.filter_map(|row| match row[..] {
        [_, local, _, its_state, _, _, _, _, _, inode, ..] if local.ends_with(&local_end) && its_state == state => {
            Some(inode.to_owned())
        }
        _ => None,
    });
    found.collect()
}

/// The processes that hold sockets of this port that are open to every peer: those of `tcp` that listen, those of `udp`
/// that are not connected.
#[must_use]
pub fn holders(protocol: &str, port: u16) -> Vec<Pid> {
    let sockets: Vec<_> =
        open_to_all(protocol, port).iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holds_one = |process: &fs::DirEntry| {
        let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| sockets.contains(&target))
    };
    let numbered = processes.filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process)));
    numbered.filter(|(_, process)| holds_one(process)).map(|(pid, _)| Pid::from_raw(pid)).collect()
}

/// One HTTP/1.0 GET: the whole answer, head and body.
///
/// # Panics
/// Nobody listens there, or the answer does not come to an end.
#[track_caller]
#[must_use]
pub fn http_get(address: &str, port: u16, path: &str) -> String {
    let address: IpAddr = address.parse().expect("an IP address");
    http_get_over(TcpStream::connect((address, port)).expect("someone listens"), path)
}

/// The same over a connection that was made.
///
/// # Panics
/// The answer does not come to an end.
#[track_caller]
#[must_use]
pub fn http_get_over(mut server: TcpStream, path: &str) -> String {
    server.set_read_timeout(Some(PATIENCE)).expect("a deadline can be set");
    // In one piece: a simple server may take the first that comes for all.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    server.write_all(request.as_bytes()).expect("the request can be sent");
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// What is answered to a datagram.
///
/// # Panics
/// Nothing is, or by another address or port than was asked.
#[track_caller]
#[must_use]
pub fn ask_by_datagram(address: &str, port: u16, question: &str) -> String {
    let to = SocketAddr::new(address.parse().expect("an IP address"), port);
    let client = UdpSocket::bind(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).expect("any port");
    // Connected, so that an answer from elsewhere is none.
    client.connect(to).expect("a peer");
    client.set_read_timeout(Some(PATIENCE)).expect("a deadline can be set");
    client.send(question.as_bytes()).expect("the question can be sent");
    let mut answer = [0; 4096];
    let length = client.recv(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
