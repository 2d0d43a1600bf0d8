//! A user's program under rauthbind that binds what it is told to: the same one, and so the same helper, all the time.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::cell::Cell;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rauthbind_tests::{Running, World};

pub(crate) struct Subject<'w> {
    pub(crate) world: &'w World,
    pub(crate) user: &'static str,
    pub(crate) program: Running,
    orders: UnixStream,
    asked: Cell<u32>,
}

impl<'w> Subject<'w> {
    pub(crate) fn start(world: &'w World, user: &'static str) -> Self {
        Self::start_under(world, user, "rauthbind")
    }

    /// The same under another launcher.
    pub(crate) fn start_under(world: &'w World, user: &'static str, launcher: &str) -> Self {
        if !Path::new("/run/bin/try").exists() {
            let _ = world.compile_c("try", include_str!("try.c"));
        }
        let (orders, stdin) = UnixStream::pair().unwrap();
        let program = world.command(user, [launcher, "/run/bin/try"]).stdin(stdin).start();
        Self { world, user, program, orders, asked: Cell::new(0) }
    }

    /// Whether the program can bind this, written as `127.0.0.1:80/tcp`; else the error.
    #[track_caller]
    pub(crate) fn binds(&self, what: &str) -> Result<(), String> {
        self.asked.set(self.asked.get() + 1);
        let (address, protocol) = what.rsplit_once('/').expect("address and protocol");
        let address: SocketAddr = address.parse().expect("an address");
        let order = format!("{} {protocol} {} {}", self.asked.get(), address.ip(), address.port());
        writeln!(&self.orders, "{order}").unwrap();
        let answer = self.program.stdout_line(&format!("{order}: "));
        match answer.strip_prefix(&format!("{order}: ")).expect("an answer") {
            "bound" => Ok(()),
            error => Err(error.to_owned()),
        }
    }
}
