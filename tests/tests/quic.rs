//! A server that binds its own privileged port again and again, as QUIC servers do for their peers: it costs neither the
//! server nor the helper anything that stays.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use rauthbind_tests::helper::Helper;
use rauthbind_tests::proof::{alices_holders, says_denied};
use rauthbind_tests::{Stranger, wait_until, world_test};

/// A port that nobody is granted.
const REFUSED: &str = "99";

world_test! {
    /// Eight threads of a server bind a new socket to port 443 for each of 1,000 peers, eight of them at once; each peer
    /// is answered from there. Then the server holds what it held before, and so does the helper.
    fn a_socket_for_each_peer_shares_the_port(world) {
        let log = world.log();
        world.grant("byport/443,udp", "alice");
        let program = world.compile_c("peers", include_str!("quic/peers.c"));
        let program = program.to_str().unwrap();
        let server = world.command("alice", ["rauthbind", program, "serve", "443", "8"]).start();
        server.stdout_line("ready");
        assert_eq!(alices_holders("udp", 443), [server.pid]);
        let peers = |rounds| world.command("alice", [program, "ask", "443", "8", rounds]).run().successful();
        let (helper, process) = (Helper::find(), Stranger::of(server.pid));
        let descriptors = process.descriptors();
        // The last of the sockets is closed after its peer has gone.
        let let_go = || wait_until("the server to hold what it held", || process.descriptors() == descriptors);
        peers("10");
        let_go();
        let holdings = helper.holdings();
        peers("125");
        let_go();
        helper.assert_still_holds(&holdings);
        let granted = format!("granted 127.0.0.1:443/udp to uid 4001, pid {}, by byport/443,udp", server.pid);
        let refused = world.command("alice", ["rauthbind", program, "serve", REFUSED, "8"]).run();
        says_denied(&refused);
        let _ = log.line(&format!("127.0.0.1:{REFUSED}/udp: there is no rule for it"));
        assert_eq!(log.lines().iter().filter(|line| line.contains(&granted)).count(), 1);
        says_denied(&world.command("alice", [program, "serve", "443", "8"]).run());
    }
}
