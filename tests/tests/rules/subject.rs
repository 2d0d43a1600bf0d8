//! A user's program that binds what it is told to, under rauthbind or another launcher: the same one, and so the same
//! helper, all the time.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rauthbind_tests::{Running, World};

pub(crate) struct Subject<'w> {
    pub(crate) world: &'w World,
    pub(crate) user: &'static str,
    pub(crate) program: Running,
    orders: UnixStream,
}

impl<'w> Subject<'w> {
    pub(crate) fn start(world: &'w World, user: &'static str) -> Self {
        Self::start_under(world, user, &["rauthbind"])
    }

    pub(crate) fn start_under(world: &'w World, user: &'static str, launcher: &[&str]) -> Self {
        let program = Path::new("/run/bin/try");
        if !program.exists() {
            let _ = world.compile_c("try", include_str!("try.c"));
        }
        let (orders, stdin) = UnixStream::pair().unwrap();
        orders.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let argv = launcher.iter().map(Path::new).chain([program]);
        Self { world, user, program: world.command(user, argv).stdin(stdin).start(), orders }
    }

    /// Whether the program can bind this, written as `127.0.0.1:80/tcp`; else the error.
    #[track_caller]
    pub(crate) fn binds(&self, what: &str) -> Result<(), String> {
        let (address, protocol) = what.rsplit_once('/').expect("address and protocol");
        let address: SocketAddr = address.parse().expect("an address");
        writeln!(&self.orders, "{protocol} {} {}", address.ip(), address.port()).unwrap();
        let mut answer = String::new();
        BufReader::new(&self.orders).read_line(&mut answer).unwrap();
        match answer.trim_end() {
            "bound" => Ok(()),
            "" => panic!("{what}: no answer"),
            error => Err(error.to_owned()),
        }
    }
}
