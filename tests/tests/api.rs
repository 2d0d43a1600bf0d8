//! Programs that ask a helper by themselves: the example of the wire's documentation, by `rauthbind_wire::bind`, and that
//! of docs/protocol.md. Nothing is preloaded into them.

#![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::net::UnixStream;

use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::{Finished, Signal, World, holders, processes_named, wait_until, world_test};
use rauthbind_wire::names::{BROKER, CHANNEL, HELPER};

/// Where everyone can run the example.
const SERVER: &str = "/run/bin/server";

/// What comes before it so that no helper can have its capability by its file.
const NO_NEW_PRIVILEGES: [&str; 2] = ["setpriv", "--no-new-privs"];

/// Grants alice port 80, and nobody port 81.
fn furnish(world: &World) {
    fs::copy(env!("CARGO_BIN_EXE_server"), SERVER).expect("the sandbox's own directory");
    world.grant("byport/80", "alice");
}

/// Sees that the example serves port 80 of all addresses as alice, with these words before it, and ends it.
#[track_caller]
fn serves(world: &World, before: &[&str]) {
    let server = world.command("alice", [before, &[SERVER, "[::]:80"]].concat()).start();
    for address in ["127.0.0.1", "::1"] {
        assert!(get(address, 80).ends_with("\r\n\r\nA port of my own.\n"));
    }
    assert_eq!(alices_holders("tcp", 80), [server.pid]);
    server.kill(Signal::SIGTERM);
    let _ = server.wait();
}

/// Sees that what it says of its bind is this kind of error.
#[track_caller]
fn fails(world: &World, words: &[&str], kind: &str) {
    let Finished { status, stderr, .. } = world.command("alice", words.iter().copied()).run();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains(&format!("kind: {kind}")), "{stderr}");
}

world_test! {
    /// A granted port is bound by a helper that is run for it and gone then; one that is not granted is refused, as
    /// without rauthbind; and what else bind(2) says, it says.
    fn a_helper_is_run_for_the_bind(world) {
        let log = world.log();
        furnish(world);
        serves(world, &[]);
        assert!(processes_named("rauthbind-helper").is_empty());
        let _ = log.line("granted [::]:80/tcp to uid 4001");
        fails(world, &[SERVER, "0.0.0.0:81"], "PermissionDenied");
        assert_eq!(holders("tcp", 81), []);
        let _ = log.line("refused uid 4001");
        fails(world, &[SERVER, "192.0.2.1:80"], "AddrNotAvailable");
        fails(world, &[SERVER, "192.0.2.1:8080"], "AddrNotAvailable");
    }
}

world_test! {
    /// Under `rauthbind` the channel is used where no helper could be run; and one that is not there is passed over.
    fn the_channel_is_used_where_there_is_one(world) {
        furnish(world);
        let before = [&["rauthbind", "env", "-u", "LD_PRELOAD"][..], &NO_NEW_PRIVILEGES].concat();
        serves(world, &before);
        fails(world, &[&before, &[SERVER, "0.0.0.0:81"][..]].concat(), "PermissionDenied");
        serves(world, &["env", &format!("{CHANNEL}=1:0:1")]);
        serves(world, &["env", &format!("{CHANNEL}=nonsense")]);
    }
}

world_test! {
    /// The broker serves where there is neither.
    fn the_broker_is_asked_last(world) {
        furnish(world);
        fails(world, &[&NO_NEW_PRIVILEGES[..], &[SERVER, "0.0.0.0:80"]].concat(), "PermissionDenied");
        fs::create_dir("/run/rauthbind").expect("the sandbox's own directory");
        let broker = world.command("root", ["s6-ipcserver", "-a", "0666", BROKER, HELPER, "--broker"]).start();
        wait_until("the broker", || UnixStream::connect(BROKER).is_ok());
        serves(world, &NO_NEW_PRIVILEGES);
        fails(world, &[&NO_NEW_PRIVILEGES[..], &[SERVER, "0.0.0.0:81"]].concat(), "PermissionDenied");
        broker.kill(Signal::SIGTERM);
        let _ = broker.wait();
    }
}

world_test! {
    /// The client that docs/protocol.md shows gets a granted port, and no other.
    fn the_client_of_the_document_is_served(world) {
        world.grant("byport/80", "alice");
        let (_, rest) = include_str!("../../docs/protocol.md").split_once("\n```python\n").expect("an example");
        let (client, _) = rest.split_once("\n```\n").expect("its end");
        for (port, said) in [("80", "verdict 0 errno 0 bound to port 80\n"), ("81", "verdict 1 errno 13 bound to port 0\n")] {
            let words = ["rauthbind", "env", "-u", "LD_PRELOAD", "python3", "-c", client, port];
            assert_eq!(world.command("alice", words).run().successful().stdout, said);
        }
    }
}
