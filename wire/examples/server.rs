//! A web server of one page that gets its privileged port from rauthbind by itself: `server 0.0.0.0:80`, as the user whom
//! a rule grants the port. Nothing is preloaded, and nothing stands in front of the command.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, listen, setsockopt, socket};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("usage: server ADDRESS:PORT")?.parse()?;
    for client in listener(address)?.incoming() {
        // A client that goes away is no reason to end.
        let _ = answer(&client?);
    }
    Ok(())
}

/// As [`TcpListener::bind`], but for whom it asks.
fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    rauthbind_wire::bind(&socket, address)?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(TcpListener::from(socket))
}

/// Reads a request to its end, and sends the page.
fn answer(mut client: &TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    client.write_all(b"HTTP/1.0 200 OK\r\n\r\nA port of my own.\n")
}
