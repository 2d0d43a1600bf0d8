//! A server that binds its own privileged port again and again, as QUIC servers do for their peers: it costs neither the
//! server nor the helper anything that stays.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use rauthbind_tests::helper::Helper;
use rauthbind_tests::log::app;
use rauthbind_tests::proof::{alices_holders, says_denied};
use rauthbind_tests::{Running, Stranger, World, processes_named, wait_until, world_test};

/// A port that nobody is granted.
const REFUSED: &str = "99";

/// The program of both tests, serving with eight threads.
struct Server<'w> {
    world: &'w World,
    program: String,
    running: Running,
    process: Stranger,
}

impl<'w> Server<'w> {
    /// Starts it on port 443, with these words before it.
    #[track_caller]
    fn start(world: &'w World, before: &[&str]) -> Self {
        world.grant("byport/443,udp", "alice");
        let program = world.compile_c("peers", include_str!("quic/peers.c")).into_os_string().into_string().unwrap();
        let words = before.iter().copied().chain([&*program, "serve", "443", "8"]);
        let running = world.command("alice", words).start();
        running.stdout_line("ready");
        assert_eq!(alices_holders("udp", 443), [running.pid]);
        let process = Stranger::of(running.pid);
        Self { world, program, running, process }
    }

    /// Serves so many times eight peers at once, after which the server holds what it has held before.
    #[track_caller]
    fn serve(&self, rounds: &str) {
        let descriptors = self.process.descriptors();
        let _ = self.world.command("alice", [&*self.program, "ask", "443", "8", rounds]).run().successful();
        // The last sockets are closed after their peers have gone.
        wait_until("the server to hold what it held", || self.process.descriptors() == descriptors);
    }

    /// Sees that it would be refused on another port, and on this one without rauthbind.
    #[track_caller]
    fn needs_the_grant(&self, before: &[&str]) {
        let words = before.iter().copied().chain([&*self.program, "serve", REFUSED, "8"]);
        says_denied(&self.world.command("alice", words).run());
        says_denied(&self.world.command("alice", [&*self.program, "serve", "443", "8"]).run());
    }
}

world_test! {
    /// Eight threads of a server bind a new socket to port 443 for each of 1,000 peers, eight of them at once; each peer
    /// is answered from there. Then the server holds what it held before, and so does the helper, which has told of it
    /// once.
    fn a_socket_for_each_peer_shares_the_port(world) {
        let log = world.log();
        let server = Server::start(world, &["rauthbind"]);
        server.serve("10");
        let helper = Helper::find();
        let holdings = helper.holdings();
        server.serve("125");
        helper.assert_still_holds(&holdings);
        server.needs_the_grant(&["rauthbind"]);
        let _ = log.line(&format!("127.0.0.1:{REFUSED}/udp: there is no rule for it"));
        let granted = format!("granted 127.0.0.1:443/udp to uid 4001, {}, by byport/443,udp", app(server.running.pid));
        assert_eq!(log.lines().iter().filter(|line| line.contains(&granted)).count(), 1);
    }
}

world_test! {
    /// The same for a server that has closed the channel at its start, so that each bind needs a helper of its own, none
    /// of which stays.
    fn so_it_does_without_the_channel(world) {
        let close = "import os, sys; os.closerange(3, 4096); os.execv(sys.argv[1], sys.argv[1:])";
        let before = ["rauthbind", "python3", "-c", close];
        let server = Server::start(world, &before);
        server.serve("125");
        wait_until("the helpers to end", || processes_named("rauthbind-helper").is_empty());
        server.needs_the_grant(&before);
    }
}
