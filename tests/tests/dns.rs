//! DNS servers of alice's answer on port 53, over UDP and TCP, IPv4 and IPv6; without a grant for each they are refused.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use rauthbind_tests::proof::{alices_holders, says_denied};
use rauthbind_tests::{Finished, World, holders, world_test};

/// What dig is told there, over "udp" or "tcp", about the one name that these servers know.
fn dig(world: &World, address: &str, protocol: &str) -> Finished {
    let protocol = if protocol == "tcp" { "+tcp" } else { "+notcp" };
    let once = ["+short", "+tries=1", "+time=60", protocol];
    world.command("bob", ["dig", &format!("@{address}"), "alice.test"].iter().chain(&once)).run()
}

/// Sees that one server of alice's answers, with this, to everyone.
#[track_caller]
fn answers(world: &World, answer: &str) {
    for protocol in ["udp", "tcp"] {
        assert_eq!(alices_holders(protocol, 53).len(), 1);
        for address in ["127.0.0.1", "::1"] {
            let said = dig(world, address, protocol).successful().stdout;
            assert_eq!(said.trim_end(), answer, "{address}, {protocol}");
        }
    }
}

/// Sees that this server is refused, under rauthbind or without.
#[track_caller]
fn is_refused(world: &World, words: &[&str]) {
    let done = world.command("alice", words.iter().copied()).run();
    assert!(!done.status.success());
    says_denied(&done);
    assert_eq!((holders("udp", 53), holders("tcp", 53)), (vec![], vec![]));
}

/// What the one name is.
const ADDRESS: &str = "192.0.2.7";

/// dnsmasq with nothing of the machine's in it.
const DNSMASQ: [&str; 5] =
    ["dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--address=/alice.test/192.0.2.7"];

/// Stays alice's, makes no file, and stays in the foreground.
const IN_FOREGROUND: [&str; 4] = ["--keep-in-foreground", "--user=alice", "--group=alice", "--pid-file="];

world_test! {
    /// dnsmasq, which closes every descriptor that it is given, answers in the foreground.
    fn dnsmasq_answers_in_the_foreground(world) {
        let server = [&["rauthbind"][..], &DNSMASQ, &IN_FOREGROUND].concat();
        is_refused(world, &server);
        world.grant("byport/53", "alice");
        is_refused(world, &server[1..]);
        let running = world.command("alice", &server).start();
        running.wait_listening(53);
        answers(world, ADDRESS);
        assert_eq!(holders("tcp", 53), [running.pid]);
    }
}

world_test! {
    /// It answers as a daemon, too, when the process that rauthbind became has ended.
    fn dnsmasq_answers_as_a_daemon(world) {
        let own = ["--user=alice", "--group=alice", "--pid-file=/run/home/alice/pid", "--log-facility=/run/home/alice/log"];
        let server = [&["rauthbind"][..], &DNSMASQ, &own].concat();
        is_refused(world, &server);
        world.grant("byport/53", "alice");
        let started = world.command("alice", &server).run().successful();
        assert_eq!(started.stderr, "");
        answers(world, ADDRESS);
        let pid = fs::read_to_string("/run/home/alice/pid").unwrap();
        assert_eq!(holders("tcp", 53).first().unwrap().to_string(), pid.trim_end());
    }
}

/// Writes the configuration of an unbound that knows one name, asks nobody, and keeps to alice's home.
fn unbound(tcp: &str) -> [&'static str; 4] {
    let settings = format!(
        "server:
            interface: 127.0.0.1
            interface: ::1
            do-tcp: {tcp}
            num-threads: 2
            access-control: 127.0.0.0/8 allow
            module-config: iterator
            local-zone: alice.test. static
            local-data: 'alice.test. A {ADDRESS}'
            chroot: ''
            username: ''
            directory: /run/home/alice
            pidfile: ''
            use-syslog: no
            do-daemonize: no
        remote-control:
            control-enable: no
        "
    );
    fs::write("/run/home/alice/unbound.conf", settings).unwrap();
    ["rauthbind", "unbound", "-c", "unbound.conf"]
}

world_test! {
    /// unbound answers, whose two threads have sockets of their own for each address and protocol.
    fn unbound_answers(world) {
        let server = unbound("yes");
        is_refused(world, &server);
        world.grant("byport/53", "alice");
        is_refused(world, &server[1..]);
        let running = world.command("alice", server).start();
        running.wait_listening(53);
        answers(world, ADDRESS);
        assert_eq!(holders("tcp", 53), [running.pid]);
    }
}

world_test! {
    /// Where alice is granted port 53 for UDP alone, a server answers over UDP, and one that wants TCP as well is refused
    /// as a whole by its own decision, be it one that keeps its descriptors or not.
    fn a_grant_for_udp_is_none_for_tcp(world) {
        world.grant("byport/53,udp", "alice");
        let log = world.log();
        is_refused(world, &[&["rauthbind"][..], &DNSMASQ, &IN_FOREGROUND].concat());
        is_refused(world, &unbound("yes"));
        let _ = log.line("53/tcp: there is no rule for it");
        let running = world.command("alice", unbound("no")).start();
        assert_eq!(alices_holders("udp", 53), [running.pid]);
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(dig(world, address, "udp").successful().stdout.trim_end(), ADDRESS);
            assert!(dig(world, address, "tcp").stdout.contains("connection refused"));
        }
    }
}
