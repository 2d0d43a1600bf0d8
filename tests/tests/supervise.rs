//! Supervision: what no preloaded library reaches is served as well, and is otherwise what it would be alone.
//!
//! The programs are in C and Go, below `supervise/`, and described at their tops.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use rauthbind_tests::proof::{alices_holders, answering_process, get, is_alices, says_denied};
use rauthbind_tests::{Finished, Running, Signal, World, ask_by_datagram, processes_named, wait_until, world_test};

/// A port that nobody is granted.
const REFUSED: &str = "99";

/// Compiles a C program of `supervise/` by these words, with a name of its own for everyone to run.
fn build(world: &World, compiler: &str, name: &str) -> String {
    fs::write("/run/tmp/serve.c", include_str!("supervise/serve.c")).unwrap();
    let program = format!("/run/bin/{name}");
    let words = compiler.split(' ').chain(["-O1", "-o", &program, "/run/tmp/serve.c"]);
    world.command("root", words).env("TMPDIR", "/run/tmp").run().successful();
    program
}

/// Compiles a Go program of `supervise/`.
fn build_go(world: &World, source: &str, name: &str, cgo: &str, mode: &str) -> String {
    let text = match source {
        "sockets.go" => include_str!("supervise/sockets.go"),
        "web.go" => include_str!("supervise/web.go"),
        other => panic!("no program {other}"),
    };
    let text_path = format!("/run/tmp/{source}");
    fs::write(&text_path, text).unwrap();
    let program = format!("/run/bin/{name}");
    let go = ["go", "build", &format!("-buildmode={mode}"), "-o", &program, &text_path];
    let go = world.command("root", go).env("CGO_ENABLED", cgo).env("GOFLAGS", "-mod=mod");
    let go = go.env("GOCACHE", "/run/tmp/go").env("GOPATH", "/run/tmp/gopath").env("TMPDIR", "/run/tmp");
    go.run().successful();
    program
}

/// Runs a command to its end, as alice.
#[track_caller]
fn run(world: &World, words: &[&str]) -> Finished {
    world.command("alice", words.iter().copied()).run()
}

/// Starts a command as alice.
#[track_caller]
fn start(world: &World, words: &[&str]) -> Running {
    world.command("alice", words.iter().copied()).start()
}

/// Waits until a supervised tree has ended, and with it who served it.
#[track_caller]
fn nothing_is_left() {
    wait_until("the supervisor and its helper to end", || {
        processes_named("rauthbind").is_empty() && processes_named("rauthbind-helper").is_empty()
    });
}

/// Sees that a program that is told its port last serves the web on port 80, as alice, without an option and although
/// nothing can be preloaded into it, which `-v` says in these words; that it has the signal that the launcher is sent;
/// and that another port stays refused.
#[track_caller]
fn is_served(world: &World, words: &[&str], seen: &str) {
    let server = start(world, &[&["rauthbind", "-v"], words, &["80"]].concat());
    server.wait_listening(80);
    let pid = answering_process(&get("127.0.0.1", 80));
    is_alices(pid);
    assert_ne!(pid, server.pid, "{words:?}");
    assert_eq!(alices_holders("tcp", 80), [pid]);
    server.kill(Signal::SIGTERM);
    let done = server.wait();
    assert_eq!(done.status.signal(), Some(15), "{words:?}");
    assert!(done.stderr.contains(seen), "{words:?}: {}", done.stderr);
    nothing_is_left();
    says_denied(&run(world, &[&["rauthbind"], words, &[REFUSED]].concat()));
    // It is supervision that does it: without, they are refused, or cannot even be started.
    assert!(!run(world, &[&["rauthbind", "--mode", "preload"], words, &["80"]].concat()).status.success());
}

world_test! {
    /// Programs in C that no preload reaches, statically linked, of another C library or word size, whichever of the
    /// system calls they use.
    fn c_programs_are_served(world) {
        world.grant("byport/80", "alice");
        for (compiler, name, seen) in [
            ("cc -static", "static", "is linked statically"),
            ("cc -static-pie", "static-pie", "is linked statically"),
            ("musl-gcc", "musl", "is linked with another C library than glibc"),
            ("musl-gcc -static", "musl-static", "is linked statically"),
            ("cc -m32", "small", "is for another machine or word size"),
            ("cc -m32 -static", "small-static", "is for another machine or word size"),
        ] {
            let program = build(world, compiler, name);
            let ways: &[&str] =
                if name.starts_with("small") { &["libc", "syscall", "socketcall"] } else { &["libc", "syscall"] };
            for way in ways {
                is_served(world, &[&program, way], &format!("{program} {seen}"));
            }
        }
    }
}

world_test! {
    /// A script is what its interpreter is, also where env finds that in PATH.
    fn scripts_of_such_programs_are_served(world) {
        world.grant("byport/80", "alice");
        // As an interpreter it is run with the script's path before the script's own arguments.
        let program = "/usr/local/bin/interpreter";
        fs::copy(build(world, "cc -static", "interpreter"), program).unwrap();
        for (name, line) in [("direct", "#! /usr/local/bin/interpreter"), ("env", "#!/usr/bin/env interpreter")] {
            let script = world.script(name, &format!("{line}\n"));
            is_served(world, &[script.to_str().unwrap(), "libc"], &format!("{program} is linked statically"));
        }
    }
}

world_test! {
    /// busybox's web server.
    fn busybox_serves(world) {
        world.grant("byport/80", "alice");
        fs::write("/run/home/alice/index.html", "a page of alice's\n").unwrap();
        let server = start(world, &["rauthbind", "busybox", "httpd", "-f", "-p", "80"]);
        server.wait_listening(80);
        assert!(get("127.0.0.1", 80).ends_with("a page of alice's\n"));
        assert_eq!(alices_holders("tcp", 80).len(), 1);
        server.kill(Signal::SIGTERM);
        assert_eq!(server.wait().status.signal(), Some(15));
        says_denied(&run(world, &["rauthbind", "busybox", "httpd", "-f", "-p", REFUSED]));
    }
}

world_test! {
    /// Go's web server, built with and without cgo: over IPv4 and IPv6 on one socket, and on many ports.
    fn go_serves_the_web(world) {
        (80..120).filter(|port| *port != 99).for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
        for cgo in ["0", "1"] {
            let web = build_go(world, "web.go", &format!("web{cgo}"), cgo, "exe");
            let addresses: Vec<_> = (80..120).filter(|port| *port != 99).map(|port| format!(":{port}")).collect();
            let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
            let server = start(world, &[&["rauthbind", "-v", &web], &*addresses].concat());
            let _ = server.stdout_line("listening");
            let answers = addresses.iter().map(|address| answering_process(&get("::1", address[1..].parse().unwrap())));
            let answers: BTreeSet<_> = answers.chain([answering_process(&get("127.0.0.1", 80))]).collect();
            assert_eq!(answers.len(), 1);
            answers.iter().for_each(|pid| is_alices(*pid));
            server.kill(Signal::SIGTERM);
            assert!(server.wait().stderr.contains("is written in Go"));
            nothing_is_left();
            says_denied(&run(world, &["rauthbind", &web, ":99"]));
            says_denied(&run(world, &["rauthbind", "--mode", "preload", &web, ":80"]));
        }
    }
}

world_test! {
    /// Go's programs that are position-independent, which have a loader but do without the C library, over TCP and UDP.
    fn go_serves_where_it_is_position_independent(world) {
        world.grant("byport/53", "alice");
        for cgo in ["0", "1"] {
            let sockets = build_go(world, "sockets.go", &format!("sockets{cgo}"), cgo, "pie");
            let server = start(world, &["rauthbind", &sockets, "tcp", ":53"]);
            server.wait_listening(53);
            is_alices(answering_process(&get("127.0.0.1", 53)));
            server.kill(Signal::SIGTERM);
            let _ = server.wait();
            let server = start(world, &["rauthbind", &sockets, "udp", ":53"]);
            let _ = server.stdout_line("bound");
            for address in ["127.0.0.1", "::1"] {
                is_alices(answering_process(&ask_by_datagram(address, 53, "who?")));
            }
            server.kill(Signal::SIGTERM);
            let _ = server.wait();
            nothing_is_left();
            for protocol in ["tcp", "udp"] {
                says_denied(&run(world, &["rauthbind", &sockets, protocol, ":99"]));
                says_denied(&run(world, &["rauthbind", "--mode", "preload", &sockets, protocol, ":53"]));
            }
        }
    }
}

world_test! {
    /// Go's runtime interrupts its threads all the time. Neither is a bind lost by that, nor does one go on for ever.
    fn go_binds_while_it_interrupts_itself(world) {
        let addresses: Vec<_> = (80..88).map(|port| format!("127.0.0.1:{port}")).collect();
        (80..88).for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
        let sockets = build_go(world, "sockets.go", "sockets", "0", "exe");
        let words = ["rauthbind", &sockets, "storm"].into_iter().chain(addresses.iter().map(String::as_str));
        let done = world.command("alice", words).run().successful();
        let binds = |address: &String| {
            let line = done.stdout.lines().find_map(|line| line.strip_prefix(&**address)).unwrap_or("");
            line.trim().parse().unwrap_or(0_u32)
        };
        assert!(addresses.iter().all(|address| binds(address) > 10), "{}", done.stdout);
    }
}

world_test! {
    /// What a preload misses of a dynamic program and of the programs that it starts, `--mode supervise` does not:
    /// system calls past the C library, libraries that are bound to themselves, a wiped environment, a shell that runs
    /// programs of all kinds.
    fn everything_is_served_where_supervision_is_asked_for(world) {
        world.grant("byport/80", "alice");
        let ways = world.compile_c_with(&["-ldl"], "ways", include_str!("real_programs/ways.c"));
        let plugin = world.compile_c_with(&["-shared", "-fPIC"], "plugin.so", include_str!("real_programs/plugin.c"));
        let fixed = world.compile_c_with(&["-static", "-DSTATIC"], "fixed", include_str!("real_programs/ways.c"));
        let [ways, plugin, fixed] = [&ways, &plugin, &fixed].map(|path| path.to_str().unwrap());
        let supervised = ["rauthbind", "--mode", "supervise"];
        let tree = format!("{fixed} libc 80; {ways} syscall 80; env -i {ways} libc 80; (setsid {fixed} syscall 80)");
        for words in [
            &[ways, "libc", "80"][..],
            &[ways, "syscall", "80"],
            &[ways, plugin, "80"],
            &[fixed, "libc", "80"],
            &["env", "-i", ways, "libc", "80"],
            &["sh", "-c", &tree],
        ] {
            let done = run(world, &[&supervised, words].concat()).successful();
            let served = done.stdout.lines().all(|line| line == "bound as 4001/4001:4001/4001 uncovered");
            assert!(served && !done.stdout.is_empty(), "{words:?}: {}", done.stdout);
            let words: Vec<_> = words.iter().map(|word| word.replace("80", REFUSED)).collect();
            let done = world.command("alice", supervised.into_iter().chain(words.iter().map(String::as_str))).run();
            let refused = done.stdout.lines().all(|line| line == "EACCES as 4001/4001:4001/4001 uncovered");
            assert!(refused && !done.stdout.is_empty(), "{words:?}: {}", done.stdout);
        }
        // It begins where it likes.
        (512..1024).for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
        let done = run(world, &[&supervised, &[ways, "bindresvport", "0"][..]].concat()).successful();
        assert_eq!(done.stdout, "bound as 4001/4001:4001/4001 uncovered\n");
    }
}
