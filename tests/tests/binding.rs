//! That bind(2) under rauthbind is the kernel's bind(2): where the kernel has its say, line for line what it says
//! without rauthbind, and where a rule grants a port, line for line what it says to root.
//!
//! The programs are in C, below `c/`, and described at their tops.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use rauthbind_tests::{Signal, Stranger, World, wait_until, world_test};

const PORT_START: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Compiles a program of `c/`.
fn compile(world: &World, name: &str) -> PathBuf {
    fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
    let source = match name {
        "options" => include_str!("c/options.c"),
        "outcomes" => include_str!("c/outcomes.c"),
        "ports" => include_str!("c/ports.c"),
        "raw" => include_str!("c/raw.c"),
        "rebind" => include_str!("c/rebind.c"),
        "share" => include_str!("c/share.c"),
        other => panic!("no program {other}"),
    };
    world.compile_c(name, source)
}

/// What a program says that is run by this user, directly.
fn directly(world: &World, user: &str, program: &Path, argument: &str) -> String {
    world.command(user, [program.as_os_str(), argument.as_ref()]).run().successful().stdout
}

/// The ways in which binds are reached.
const MODES: [&str; 2] = ["--mode=preload", "--mode=supervise"];

/// What it says under rauthbind.
fn covered(world: &World, mode: &str, user: &str, program: &Path, argument: &str) -> String {
    let words = ["rauthbind".as_ref(), mode.as_ref(), program.as_os_str(), argument.as_ref()];
    world.command(user, words).run().successful().stdout
}

/// Compares line by line, and sees that neither is short of these lines, which are the kernel's by its documentation.
#[track_caller]
fn assert_same(natively: &str, under_rauthbind: &str, certain: &[&str]) {
    let (expected, found): (Vec<_>, Vec<_>) = (natively.lines().collect(), under_rauthbind.lines().collect());
    let differences = expected.iter().zip(&found).filter(|(expected, found)| expected != found);
    let told: Vec<_> = differences.take(20).map(|(expected, found)| format!("- {expected}\n+ {found}\n")).collect();
    assert!(told.is_empty(), "natively (-) and under rauthbind (+):\n{}", told.concat());
    assert_eq!(expected.len(), found.len());
    for line in certain {
        assert!(expected.contains(line), "the program does not say {line:?}");
    }
    assert!(!natively.contains("errno has changed"), "the program cannot tell whether errno changes");
}

world_test! {
    /// Without a rule, every bind has the result, the errno and the effect that it has without rauthbind.
    fn nothing_changes_where_nothing_is_granted(world) {
        let outcomes = compile(world, "outcomes");
        let _ = directly(world, "root", &outcomes, "link-local");
        let certain: [(&str, &[&str]); 4] = [
            ("others", &[
                "-1: EBADF; EBADF, EBADF; EBADF, EBADF; EBADF",
                "closed: EBADF; EBADF, EBADF; EBADF, EBADF; EBADF",
                "a pipe to read: ENOTSOCK; ENOTSOCK, ENOTSOCK; ENOTSOCK, ENOTSOCK; ENOTSOCK",
                "O_PATH of a socket's file: EBADF; EBADF, EBADF; EBADF, EBADF; EBADF",
                "unix stream, a path: ok; a name 'path'",
                "unix stream, in a directory of root's: EACCES; no name ''",
                "unix stream, zeroes, bytes 0 to 1: EINVAL; no name ''",
                "unix stream, zeroes, bytes 2 to 110: ok; a name ''",
                "unix stream, zeroes, bytes 111 to 4294967295: EINVAL; no name ''",
                "xfrm, a netlink group of root's: EPERM; a name of family 16",
                "raw, packet: no socket: EPERM",
            ]),
            ("20080", &[
                "tcp, at null, bytes 0 to 0: EINVAL; 0.0.0.0:0",
                "tcp, at null, bytes 1 to 128: EFAULT; 0.0.0.0:0",
                "tcp, 127.0.0.1, bytes 16 to 128: ok; 127.0.0.1:20080",
                "tcp, 127.0.0.1, bytes 129 to 4294967295: EINVAL; 0.0.0.0:0",
                "tcp, 127.0.0.1, family 3 to 49: EAFNOSUPPORT; 0.0.0.0:0",
                "tcp4, 192.0.2.1 port 20080: EADDRNOTAVAIL; 0.0.0.0:0",
                "udp6, fe80::1%lo port 20080: ok; fe80::1%1:20080",
                "bound, 127.0.0.1 port 20080: EINVAL; 127.0.0.1:20080",
            ]),
            ("0", &["tcp4, 127.0.0.1 port 0: ok; 127.0.0.1:any"]),
            ("80", &[
                "tcp, at null, bytes 1 to 128: EFAULT; 0.0.0.0:0",
                "tcp, 127.0.0.1, bytes 0 to 15: EINVAL; 0.0.0.0:0",
                "tcp, 127.0.0.1, bytes 16 to 128: EACCES; 0.0.0.0:0",
                "udp6, fe80::1%lo port 80: EACCES; ::%0:0",
                "bound, 127.0.0.1 port 80: EACCES; 0.0.0.0:0",
            ]),
        ];
        for (table, lines) in certain {
            let natively = directly(world, "alice", &outcomes, table);
            for mode in MODES {
                assert_same(&natively, &covered(world, mode, "alice", &outcomes, table), lines);
            }
        }
    }
}

world_test! {
    /// Nobody is asked, and no rule helps, where the kernel's answer is not about a port that it keeps for root.
    fn nobody_is_asked_about_anything_else(world) {
        let outcomes = compile(world, "outcomes");
        let ports = compile(world, "ports");
        let _ = directly(world, "root", &outcomes, "link-local");
        for port in [80, 20080, 20081] {
            world.grant(&format!("byport/{port}"), "alice");
        }
        let log = world.log();
        let rounds = ["others", "20080", "0"].into_iter().flat_map(|table| MODES.map(|mode| (table, mode)));
        for (round, (table, mode)) in (1..).zip(rounds) {
            let natively = directly(world, "alice", &outcomes, table);
            // The helper logs its requests one after the other, and the last is a refusal that can be waited for.
            let script = format!("{} {table}; exec {} 99", outcomes.display(), ports.display());
            let done = world.command("alice", ["rauthbind", mode, "sh", "-c", &script]).run().successful();
            assert_same(&format!("{natively}99 EACCES EACCES EACCES\n"), &done.stdout, &[]);
            let last = || log.lines().iter().filter(|line| line.contains(": [::1]:99/tcp: ")).count();
            wait_until("the last refusal", || last() == round);
        }
        let others: Vec<_> = log.lines().into_iter().filter(|line| !line.contains(":99/")).collect();
        assert_eq!(others, [""; 0]);
    }
}

world_test! {
    /// With a rule, every bind has the result, the errno and the effect that it has for root: every form of address and
    /// every length that the kernel takes is taken, and what it refuses to root it refuses.
    fn a_granted_bind_is_what_roots_bind_is(world) {
        let outcomes = compile(world, "outcomes");
        let _ = directly(world, "root", &outcomes, "link-local");
        for port in [80, 81] {
            world.grant(&format!("byport/{port}"), "alice");
        }
        let natively = directly(world, "root", &outcomes, "80");
        let certain = [
            "tcp, before the end of memory, bytes 16 to 16: ok; 127.0.0.1:80",
            "tcp, before the end of memory, bytes 17 to 128: EFAULT; 0.0.0.0:0",
            "tcp, at an odd place, bytes 16 to 128: ok; 127.0.0.1:80",
            "tcp, 127.0.0.1, bytes 0 to 15: EINVAL; 0.0.0.0:0",
            "tcp, 127.0.0.1, bytes 16 to 128: ok; 127.0.0.1:80",
            "tcp, 127.0.0.1, bytes 129 to 4294967295: EINVAL; 0.0.0.0:0",
            "udp, AF_UNSPEC, bytes 16 to 128: ok; 0.0.0.0:80",
            "udp, 127.0.0.1, family 0 to 1: EAFNOSUPPORT; 0.0.0.0:0",
            "udp, 0.0.0.0, family 0 to 0: ok; 0.0.0.0:80",
            "tcp, ::, bytes 0 to 23: EINVAL; ::%0:0",
            "tcp, ::, bytes 24 to 128: ok; ::%0:80",
            "tcp, ::, family 0 to 9: EAFNOSUPPORT; ::%0:0",
            "tcp6, ::ffff:127.0.0.1 port 80: ok; ::ffff:127.0.0.1%0:80",
            "v6only, ::ffff:127.0.0.1 port 80: EINVAL; ::%0:0",
            "tcp6, fe80::1%lo port 80: ok; fe80::1%1:80",
            "tcp6, fe80::1%99 port 80: ENODEV; ::%0:0",
            "tcp6, fe80::1 port 80: EINVAL; ::%0:0",
            "tcp4, 192.0.2.1 port 80: EADDRNOTAVAIL; 0.0.0.0:0",
            "tcp6, 2001:db8::1 port 80: EADDRNOTAVAIL; ::%0:0",
            "udp4, 224.0.0.1 port 80: ok; 224.0.0.1:80",
            "held, 127.0.0.1 port 80: ok; 127.0.0.1:80",
            "bound, 127.0.0.1 port 80: EINVAL; 127.0.0.1:80",
            "bound, 127.0.0.1 port 81: EINVAL; 127.0.0.1:80",
            "tcp4, 127.0.0.1 port 80: EADDRINUSE; 0.0.0.0:0",
            "tcp6, ::ffff:127.0.0.1 port 80: EADDRINUSE; ::%0:0",
            "tcp4, 127.0.0.2 port 80: ok; 127.0.0.2:80",
            "listening, 127.0.0.1 port 80: EINVAL; 127.0.0.1:21000",
        ];
        for mode in MODES {
            assert_same(&natively, &covered(world, mode, "alice", &outcomes, "80"), &certain);
        }

        // What of these the kernel does not have, it does not have for anybody.
        for protocol in ["tcp", "udp", "udplite", "mptcp", "sctp", "sctp to many", "dccp"] {
            let missing = |error| natively.lines().any(|line| line == format!("{protocol}: no socket: {error}"));
            if missing("EPROTONOSUPPORT") || missing("ESOCKTNOSUPPORT") {
                assert!(protocol != "tcp" && protocol != "udp");
                continue;
            }
            for bound in ["4, 127.0.0.1 port 80: ok; 127.0.0.1:80", "6, :: port 80: ok; ::%0:80"] {
                let line = format!("{protocol}{bound}");
                assert!(natively.lines().any(|other| other == line), "the program does not say {line:?}");
            }
        }
    }
}

world_test! {
    /// What an app sets before bind is in force after it.
    fn socket_options_stay_in_force(world) {
        let options = compile(world, "options");
        let outcomes = compile(world, "outcomes");
        let _ = directly(world, "root", &outcomes, "link-local");
        world.grant("byport/80", "alice");
        let certain = [
            "SO_REUSEADDR 1: ok, 1",
            "SO_REUSEPORT 1: ok, 1",
            "IPV6_V6ONLY 0 0: ok, 0",
            "IPV6_V6ONLY 1 1: ok, 1",
            "SO_LINGER 1 7: ok, 1 7",
            "tcp with SO_REUSEADDR 0: ok, then EADDRINUSE",
            "tcp with SO_REUSEADDR 1: ok, then ok",
            "udp with SO_REUSEPORT 0: ok, then EADDRINUSE",
            "udp with SO_REUSEPORT 1: ok, then ok",
            ":: of both beside IPv4: ok, then EADDRINUSE",
            ":: of IPv6 alone beside IPv4: ok, then ok",
            "IPv4 beside :: of IPv6 alone: ok, then ok",
            "IPv4 at :: with IPV6_V6ONLY 0: ok, then ok",
            "IPv4 at :: with IPV6_V6ONLY 1: ok, then ECONNREFUSED",
            "no IP_FREEBIND: EADDRNOTAVAIL, port 0",
            "IP_FREEBIND: ok, port 80",
            "no IPV6_FREEBIND: EADDRNOTAVAIL, port 0",
            "IPV6_FREEBIND: ok, port 80",
            "no SO_BINDTODEVICE: EINVAL, port 0",
            "SO_BINDTODEVICE: ok, port 80",
            ": ok, -, -",
            "non-blocking : ok, -, O_NONBLOCK, accept EAGAIN",
            "close-on-exec: ok, FD_CLOEXEC, -",
        ];
        for mode in MODES {
            assert_same(&directly(world, "root", &options, ""), &covered(world, mode, "alice", &options, ""), &certain);
        }
    }
}

world_test! {
    /// With SO_REUSEPORT, processes of one user share a port, each served by a helper of its own, and nobody joins them
    /// who is another user, or who does not share.
    fn processes_of_one_user_share_a_port(world) {
        let share = compile(world, "share");
        let share = share.to_str().unwrap();
        world.rule("byport/80", "root", "root", 0o711);
        for (protocol, table) in [("tcp", "/proc/net/tcp"), ("udp", "/proc/net/udp")] {
            let servers = [(); 2].map(|()| world.command("alice", ["rauthbind", share, protocol]).start());
            for server in &servers {
                let _ = server.stdout_line("bound");
            }
            for (user, options) in [("bob", &[protocol][..]), ("alice", &[protocol, "alone"])] {
                let done = world.command(user, ["rauthbind", share].iter().chain(options)).run().successful();
                assert_eq!(done.stdout, "EADDRINUSE\n", "{user}, {protocol}");
            }
            // The kernel deals by the client's port, as by chance: that one of two gets none of 128 does not happen.
            for _ in 0..128 {
                match protocol {
                    "tcp" => drop(TcpStream::connect((Ipv4Addr::LOCALHOST, 80)).unwrap()),
                    _ => {
                        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                        assert_eq!(socket.send_to(b"x", (Ipv4Addr::LOCALHOST, 80)).unwrap(), 1);
                    }
                }
            }
            for server in &servers {
                let _ = server.stdout_line("reached");
            }
            let sockets = fs::read_to_string(table).unwrap();
            let bound = sockets.lines().filter(|line| line.contains(" 0100007F:0050 00000000:0000 "));
            let owners: Vec<_> = bound.map(|line| line.split_whitespace().nth(7).unwrap()).collect();
            assert_eq!(owners, ["4001"; 2], "{sockets}");
            for server in servers {
                server.kill(Signal::SIGKILL);
                let _ = server.wait();
            }
        }
    }
}

world_test! {
    /// A port is free at the moment in which its app closes it: the helper has let go of it before the app goes on.
    fn a_closed_port_is_free_at_once(world) {
        let rebind = compile(world, "rebind");
        let rebind = rebind.to_str().unwrap();
        world.grant("byport/80", "alice");
        let running = world.command("alice", ["rauthbind", rebind, "1000"]).start();
        let _ = running.stdout_line("ready");
        let helper = Stranger::named("rauthbind-helper");
        // On one processor the answer wakes the app before the helper can do anything else.
        let allowed = sched_getaffinity(Pid::this()).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::count()).find(|processor| allowed.is_set(*processor).unwrap()).unwrap()).unwrap();
        sched_setaffinity(helper.pid, &one).unwrap();
        sched_setaffinity(running.pid, &one).unwrap();
        running.kill(Signal::SIGUSR1);
        assert_eq!(running.wait().successful().stdout, "ready\ndone\n");
    }
}

world_test! {
    /// A refusal is EACCES, whatever the reason, and leaves the socket as it was: it can be bound to another port.
    fn a_refused_socket_can_still_be_bound(world) {
        let ports = compile(world, "ports");
        world.rule("byport/81", "root", "alice", 0o640);
        world.grant("byport/82", "bob");
        world.rule("byport/83", "alice", "alice", 0o010);
        world.grant("byport/84", "alice");
        for mode in MODES {
            let argv = ["rauthbind", mode, ports.to_str().unwrap(), "80", "81", "82", "83", "84"];
            let done = world.command("alice", argv).run().successful();
            let refused = "EACCES EACCES EACCES";
            assert_eq!(done.stdout, format!("80 {refused}\n81 {refused}\n82 {refused}\n83 {refused}\n84 ok ok ok\n"));
        }
    }
}

world_test! {
    /// What is privileged is the kernel's to say, and it may change its mind while a program runs.
    fn the_kernel_says_which_ports_are_privileged(world) {
        let ports = compile(world, "ports");
        let ports = ports.to_str().unwrap();
        for port in [79, 1023, 1500, 1999] {
            world.grant(&format!("byport/{port}"), "alice");
        }
        let (free, refused) = ("ok ok ok", "EACCES EACCES EACCES");
        // The first port that is not privileged; a port; what bob, who has no rule, gets, and what alice gets.
        let cases = [
            ("0", "1", free, free),
            ("0", "79", free, free),
            ("0", "80", free, free),
            ("80", "1", refused, refused),
            ("80", "79", refused, free),
            ("80", "80", free, free),
            ("1024", "80", refused, refused),
            ("1024", "1023", refused, free),
            ("1024", "1024", free, free),
            ("1024", "1500", free, free),
            ("2000", "1500", refused, free),
            ("2000", "1501", refused, refused),
            ("2000", "1999", refused, free),
            ("2000", "2000", free, free),
        ];
        for (start, port, bob, alice) in cases {
            fs::write(PORT_START, start).unwrap();
            for (user, expected) in [("bob", bob), ("alice", alice)] {
                let found = world.command(user, ["rauthbind", ports, port]).run().successful().stdout;
                assert_eq!(found, format!("{port} {expected}\n"), "{user}, from {start} on");
            }
        }

        fs::write(PORT_START, "80").unwrap();
        let argv = ["rauthbind", ports, "79", "1500", "stop-1", "79", "1500", "1501", "stop-2", "1", "1501"];
        let running = world.command("alice", argv).start();
        for (stop, start) in [("stop-1", "2000"), ("stop-2", "0")] {
            let _ = running.stdout_line(stop);
            fs::write(PORT_START, start).unwrap();
            running.kill(Signal::SIGUSR1);
        }
        let expected = [
            format!("79 {free}\n1500 {free}\nstop-1\n"),
            format!("79 {free}\n1500 {free}\n1501 {refused}\nstop-2\n"),
            format!("1 {free}\n1501 {free}\n"),
        ];
        assert_eq!(running.wait().successful().stdout, expected.concat());
    }
}

world_test! {
    /// A program that goes past libc goes past rauthbind, and gets the kernel's own refusal.
    fn a_raw_system_call_is_not_covered(world) {
        let raw = compile(world, "raw");
        world.grant("byport/80", "alice");
        assert_eq!(covered(world, "--mode=preload", "alice", &raw, ""), "EACCES\nok\n");
    }
}
