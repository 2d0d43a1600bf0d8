//! What proves that a server works and is the user's: an answer to a request, and whose the process is that gives it.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use nix::unistd::Pid;

use crate::net::{holders, http_get_over};
use crate::process::{Finished, wait_until};

/// Sees that this process is alice's from end to end: all ids, and no capability.
///
/// # Panics
/// It is not, or it has ended.
#[track_caller]
pub fn is_alices(pid: Pid) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    for line in [
        "Uid:\t4001\t4001\t4001\t4001",
        "Gid:\t4001\t4001\t4001\t4001",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(status.contains(&format!("\n{line}\n")), "not {line}:\n{status}");
    }
}

/// Waits for someone to hold this port, "tcp" or "udp", and sees that all who do are alice's.
///
/// # Panics
/// Nobody comes, or another does.
#[track_caller]
pub fn alices_holders(protocol: &str, port: u16) -> Vec<Pid> {
    let mut found = Vec::new();
    wait_until(&format!("a holder of port {port}"), || {
        found = holders(protocol, port);
        !found.is_empty()
    });
    found.iter().for_each(|pid| is_alices(*pid));
    found
}

/// What is answered to `GET /` there, as soon as someone listens: a server may listen to one address after the other.
///
/// # Panics
/// Nobody comes to listen, or the answer cannot be read.
#[track_caller]
#[must_use]
pub fn get(address: &str, port: u16) -> String {
    let to = SocketAddr::new(address.parse().expect("an address"), port);
    let mut connection = None;
    wait_until(&format!("a listener at {to}"), || {
        connection = TcpStream::connect(to).ok();
        connection.is_some()
    });
    http_get_over(connection.expect("just made"), "/")
}

/// The process id in an answer that gives process id and user id, which are those of a server of alice's.
///
/// # Panics
/// They are another's, or not there.
#[track_caller]
#[must_use]
pub fn answering_process(answer: &str) -> Pid {
    let line = answer.lines().find(|line| line.starts_with("pid ")).unwrap_or_else(|| panic!("no answer: {answer}"));
    let pid = line.strip_suffix(" uid 4001").and_then(|line| line["pid ".len()..].parse().ok());
    Pid::from_raw(pid.unwrap_or_else(|| panic!("not alice's: {line}")))
}

/// Sees that a program has told of EACCES, in whichever words it has for that.
///
/// # Panics
/// It has not.
#[track_caller]
pub fn says_denied(done: &Finished) {
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(
        ["ermission denied", "EACCES"].iter().any(|words| said.contains(words)),
        "{}, having said {said}",
        done.status
    );
}
