//! Supervision: what no preloaded library reaches is served as well, and is otherwise what it would be alone.
//!
//! The programs are in C and Go, below `supervise/`, and described at their tops.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::{kill, killpg};
use nix::unistd::{Pid, getpgid};

use programs::{REPORT, Seen, compile, look, words};
use rauthbind_tests::helper::{Holdings, supervisor_of, wait_for_rauthbinds};
use rauthbind_tests::proof::{alices_holders, answering_process, get, is_alices, says_denied};
use rauthbind_tests::sys::POLL_AND_PAUSE;
use rauthbind_tests::{
    Finished, Running, Signal, Stranger, World, ask_by_datagram, processes_named, wait_until, world_test,
};

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
    world.compile_go_with(cgo, mode, name, text).to_str().unwrap().to_owned()
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
    /// Go's runtime interrupts its threads all the time. For a minute of that, beside a web server under load, neither is a
    /// bind or a request lost, nor does one go on for ever.
    fn go_binds_while_it_interrupts_itself(world) {
        let addresses: Vec<_> = (80..89).map(|port| format!("127.0.0.1:{port}")).collect();
        (80..89).for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
        let sockets = build_go(world, "sockets.go", "sockets", "0", "exe");
        let words = ["rauthbind", &sockets, "storm", "60s"].into_iter().chain(addresses.iter().map(String::as_str));
        let running = world.command("alice", words).start();
        let _ = running.stdout_line("half");
        let done = running.wait().successful();
        let count = |address: &String| {
            let line = done.stdout.lines().find_map(|line| line.strip_prefix(&**address)).unwrap_or("");
            line.trim().parse().unwrap_or(0_u32)
        };
        assert!(addresses.iter().all(|address| count(address) > 100), "{}", done.stdout);
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

/// `rauthbind` with what has it supervise any program.
const SUPERVISED: [&str; 3] = ["rauthbind", "--mode", "supervise"];

world_test! {
    /// Exit status and death by signal are the command's, and where there is none to run, so is the reason.
    fn the_status_is_the_commands(world) {
        let run = |words: &[&str]| run(world, &[&SUPERVISED, words].concat());
        for code in [0, 1, 2, 124, 125, 126, 127, 128, 255] {
            assert_eq!(run(&["sh", "-c", &format!("exit {code}")]).status.code(), Some(code));
        }
        for signal in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 34, 64] {
            assert_eq!(run(&["sh", "-c", &format!("kill -{signal} $$")]).status.signal(), Some(signal));
        }
        for (command, status, said) in [
            ("/run/tmp/nothing", 127, "rauthbind: /run/tmp/nothing: "),
            ("no-such-program", 127, "rauthbind: no-such-program: "),
            ("/run/tmp", 126, "rauthbind: /run/tmp: "),
        ] {
            let done = run(&[command]);
            assert_eq!(done.status.code(), Some(status), "{command}");
            assert!(done.stderr.starts_with(said) && done.stderr.lines().count() == 1, "{}", done.stderr);
        }
        nothing_is_left();
    }
}

world_test! {
    /// Whatever signal the launcher is sent, the command gets, once.
    fn signals_reach_the_command_once_each(world) {
        let program = world.compile_c_with(&["-static"], "signals", include_str!("supervise/signals.c"));
        let running = start(world, &["rauthbind", program.to_str().unwrap()]);
        let ready = running.stdout_line("ready ");
        let numbers = [1, 2, 3, 10, 12, 14, 18, 20, 21, 22, 23, 28, 29, 34, 50, 64, 15];
        for number in numbers {
            let kill = format!("kill -{number} {}", running.pid);
            let _ = world.command("alice", ["sh", "-c", &kill]).run().successful();
            let _ = running.stdout_line(&format!("signal {number}"));
        }
        let done = running.wait();
        assert_eq!(done.status.signal(), Some(15));
        let told: String = numbers.iter().map(|number| format!("signal {number}\n")).collect();
        assert_eq!(done.stdout, format!("{ready}\n{told}"));
    }
}

world_test! {
    /// A signal to the whole process group comes once, although the launcher is in it.
    fn signals_to_the_group_come_once(world) {
        let program = world.compile_c_with(&["-static"], "signals", include_str!("supervise/signals.c"));
        let session = ["setsid", "-w", "rauthbind", program.to_str().unwrap()];
        let running = start(world, &session);
        let command = running.stdout_line("ready ")["ready ".len()..].parse().unwrap();
        let group = getpgid(Some(Pid::from_raw(command))).unwrap();
        let launcher = wait_for_rauthbinds(2).into_iter().min_by_key(|pid| pid.as_raw()).unwrap();
        for number in [Signal::SIGUSR1, Signal::SIGINT, Signal::SIGHUP] {
            killpg(group, number).unwrap();
            let _ = running.stdout_line(&format!("signal {}", number as i32));
        }
        // What is passed on comes in order, so that a second of any would be here by now.
        kill(launcher, Signal::SIGTERM).unwrap();
        let done = running.wait();
        let told: Vec<_> = done.stdout.lines().skip(1).collect();
        assert_eq!(told, ["signal 10", "signal 2", "signal 1", "signal 15"]);
    }
}

world_test! {
    /// A supervisor of root's does not get for a program that is another user's by now what root may have.
    fn who_drops_root_has_not_roots_ports(world) {
        world.rule("byport/80", "root", "root", 0o700);
        let program = build(world, "cc -static", "static");
        let drop = ["setpriv", "--reuid=4002", "--regid=4002", "--clear-groups"];
        for launcher in [&[][..], &["rauthbind"], &SUPERVISED] {
            let done = world.command("root", [launcher, &drop, &[&program, "libc", "80"]].concat()).run();
            says_denied(&done);
        }
    }
}

world_test! {
    /// What is no file is not looked into, and what has privileges of its own keeps them.
    fn some_programs_are_left_as_they_are(world) {
        let program = build(world, "cc -static", "static");
        let setup = format!("mkfifo -m 777 /run/bin/fifo; setcap cap_net_bind_service=ep {program}");
        let _ = world.command("root", ["sh", "-c", &setup]).run().successful();
        assert_eq!(run(world, &["rauthbind", "/run/bin/fifo"]).status.code(), Some(126));
        let server = start(world, &["rauthbind", &program, "libc", "80"]);
        server.wait_listening(80);
        assert_eq!(processes_named("rauthbind"), []);
    }
}

world_test! {
    /// A signal that the launcher gets while it starts the command is not lost.
    fn no_signal_is_too_early(world) {
        for _ in 0..200 {
            let running = world.command("alice", [&SUPERVISED[..], &["sleep", "1000"]].concat()).start();
            // From when on it no longer ends by itself.
            let status = format!("/proc/{}/status", running.pid);
            wait_until("signals to be blocked", || {
                fs::read_to_string(&status).is_ok_and(|status| status.contains("\nSigBlk:\tfffffffe7ffbfeff\n"))
            });
            running.kill(Signal::SIGTERM);
            assert_eq!(running.wait().status.signal(), Some(15));
        }
    }
}

world_test! {
    /// Whoever has started the launcher, be it a shell with a terminal, sees of it what it would see of the command.
    fn job_control_is_the_commands(world) {
        let jobs = world.script("jobs.py", include_str!("supervise/jobs.py"));
        let stops = "for signal in STOP TSTP TTIN TTOU; do kill -$signal $$; echo on; done; exit 7";
        let waiting = "echo ready; while :; do read line; done";
        let output = "echo said; exec >&-; read line; exit 6";
        for (how, script, told) in [
            ("stops", stops, "stopped 19\nstopped 20\nstopped 21\nstopped 22\nexited 7\non\non\non\non\n"),
            ("stopped", waiting, "stopped 20\nkilled 15\n"),
            ("terminal", waiting, "stopped 20\nkilled 2\n"),
            ("output", output, "said None\nexited 6\n"),
        ] {
            for before in [&[][..], &SUPERVISED] {
                let words = [&["python3", jobs.to_str().unwrap(), how], before, &["sh", "-c", script]].concat();
                // What it reads never comes to an end.
                let (stdin, _held) = std::io::pipe().unwrap();
                let done = world.command("alice", words).stdin(stdin).run().successful();
                assert_eq!(done.stdout, told, "{how}, {before:?}");
            }
        }
        nothing_is_left();
    }
}

/// What `look` was given, but for what supervision changes on purpose: the process itself, and what keeps it in.
fn lasting(seen: &Seen) -> Vec<String> {
    let changes = ["pid ", "parent ", "bind ", "NoNewPrivs:", "Seccomp", "entry RAUTHBIND_SUPERVISED="];
    let kept = seen.lines.iter().filter(|line| !changes.iter().any(|start| line.starts_with(start)));
    // The launcher's, where it leads one; on its own, the program is what was started.
    let launchers =
        ["group", "session", "foreground"].map(|name| (format!("{name} {}", seen.started), format!("{name} own")));
    let named =
        |line: &String| launchers.iter().find(|(number, _)| number == line).map_or(line, |(_, own)| own).clone();
    kept.map(named).collect()
}

/// Runs `look` behind these words, alone and supervised, and sees that nothing else changes. Gives what it was given.
#[track_caller]
fn nothing_else_changes(world: &World, before: &[OsString]) -> Seen {
    let command = words("/run/bin/look -v --help");
    let alone = look(world, "alice", [before, &command].concat());
    let supervised = look(world, "alice", [before, &SUPERVISED.map(OsString::from), &command].concat());
    assert_eq!((alone.one("bind"), supervised.one("bind")), ("13", "0"), "{before:?}");
    assert_eq!((alone.one("NoNewPrivs"), supervised.one("NoNewPrivs")), ("0", "1"));
    assert_eq!(lasting(&alone), lasting(&supervised), "{before:?}");
    assert_eq!(alone.stderr, supervised.stderr);
    supervised
}

world_test! {
    /// Arguments, environment, signals, descriptors, directory, limits, group, session, terminal and all else that a
    /// program is given by whoever runs it are the same.
    fn the_command_is_given_what_the_launcher_was_given(world) {
        world.grant("byport/80", "alice");
        compile(world, &["arrange", "look"]);
        let arranged = |line: &str| words(&format!("/run/bin/arrange {line} --"));
        let shell =
            |script: &str| [words("sh -c"), vec![format!("{script}; exec \"$@\"").into()], words("sh")].concat();
        let every_signal: String = (1..=64).map(|signal| format!("block {signal} ")).collect();
        for before in [
            words(""),
            arranged("block 17"),
            arranged(&every_signal),
            arranged("ignore 1 ignore 13 ignore 17"),
            arranged("open 3 /run/tmp/a open 5 /run/tmp/b"),
            arranged("open 1023 /run/tmp/a open 1021 /run/tmp/b"),
            arranged("session"),
            arranged("terminal"),
            shell("umask 0777"),
            shell("cd /usr/lib"),
            shell("mkdir gone; cd gone; rmdir ../gone"),
            shell("echo 500 > /proc/self/oom_score_adj"),
            words("nohup"),
            words("nice -n 7"),
            words("chrt --batch 0"),
            words("taskset 1"),
            words("prlimit --fsize=0"),
            words("prlimit --nofile=64:100"),
            words("env LD_PRELOAD=libm.so.6 A=1"),
        ] {
            let _ = nothing_else_changes(world, &before);
        }
        nothing_is_left();
    }
}

world_test! {
    /// Whichever of 0, 1 and 2 are closed stay closed, and those who supervise can do without.
    fn closed_standard_descriptors_stay_closed(world) {
        world.grant("byport/80", "alice");
        compile(world, &["arrange", "look"]);
        for closed in 0..8 {
            let close: String = (0..3).filter(|fd| closed & (1 << fd) != 0).map(|fd| format!("close {fd} ")).collect();
            let seen = nothing_else_changes(world, &words(&format!("/run/bin/arrange open 9 {REPORT} {close} --")));
            let open = |fd: i32| seen.all("fd").iter().any(|line| line.starts_with(&format!("{fd} ")));
            assert_eq!([open(0), open(1), open(2)], [0, 1, 2].map(|fd| closed & (1 << fd) == 0));
        }
    }
}

world_test! {
    /// Those who supervise hold nothing of the command's: no descriptor, and no directory that would stay mounted.
    fn who_supervises_holds_nothing_of_the_commands(world) {
        let running = start(world, &[&SUPERVISED[..], &["sh", "-c", "echo ready $$; exec sleep 1000"]].concat());
        let ready = running.stdout_line("ready ");
        for pid in wait_for_rauthbinds(2) {
            let process = Stranger::of(pid);
            let foreign = |target: &PathBuf| {
                let target = target.to_str().unwrap();
                !["/", "/proc/sys/", "socket:", "anon_inode:"].iter().any(|ours| {
                    if *ours == "/" { target == "/" } else { target.starts_with(ours) }
                })
            };
            let open = || process.descriptors().into_values().filter(foreign).collect::<Vec<_>>();
            wait_until("what is the command's to be let go", || open().is_empty());
            assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
        }
        assert_ne!(ready, format!("ready {}", running.pid));
        // Nor can it be killed and leave the command to nobody.
        let command = Stranger::of(Pid::from_raw(ready["ready ".len()..].parse().unwrap()));
        running.kill(Signal::SIGKILL);
        command.wait();
        nothing_is_left();
    }
}

world_test! {
    /// The descriptors that a service manager has passed are the command's (sd_listen_fds(3)), and nobody else's.
    fn passed_descriptors_are_the_commands(world) {
        let script = r#"LISTEN_FDS=1 LISTEN_PID=$1 exec rauthbind --mode supervise sh -c 'echo $(($LISTEN_PID == $$))'"#;
        for (pid, answer) in [("$$", "1\n"), ("1", "0\n")] {
            let done = run(world, &["sh", "-c", &script.replace("$1", pid)]).successful();
            assert_eq!(done.stdout, answer);
        }
    }
}

/// Starts a shell that runs `ports` with these words, and then ends with status 7.
fn start_ports(world: &World, words: &str) -> (Running, Stranger) {
    world.grant("byport/80", "alice");
    fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
    let ports = world.compile_c_with(&["-static"], "ports", include_str!("c/ports.c"));
    let script = format!("{} {words}; exit 7", ports.display());
    let running = start(world, &[&SUPERVISED[..], &["sh", "-c", &script]].concat());
    let _ = running.stdout_line("stop-1");
    (running, Stranger::named("ports"))
}

world_test! {
    /// A command that leaves a daemon behind has ended for whoever has started it, and the daemon is served for as long
    /// as it lives, and no longer.
    fn daemons_are_served_after_the_launcher(world) {
        world.grant("byport/80", "alice");
        let serve = build(world, "cc -static", "serve");
        let daemon = "exit if fork; setsid; exit if fork; POSIX::close($_) for 0..1023; \
                      $SIG{USR1} = sub { exec @ARGV }; pause while 1";
        let words = [&SUPERVISED[..], &["perl", "-MPOSIX", "-e", daemon, &serve, "libc", "80"]].concat();
        let _ = run(world, &words).successful();
        wait_until("those between to end", || processes_named("perl").len() == 1);
        let daemon = Stranger::named("perl");
        let [_, pause] = POLL_AND_PAUSE;
        wait_until("the daemon to wait", || daemon.waits_in() == [pause]);
        let supervisor = wait_for_rauthbinds(1);
        daemon.kill(Signal::SIGUSR1);
        assert_eq!(alices_holders("tcp", 80), [daemon.pid]);
        assert_eq!(answering_process(&get("127.0.0.1", 80)), daemon.pid);
        assert_eq!(processes_named("rauthbind"), supervisor);
        daemon.kill(Signal::SIGKILL);
        nothing_is_left();
    }
}

world_test! {
    /// When the supervisor is killed, a bind fails as the kernel has it, by ENOSYS, and the launcher goes on to do to the
    /// command what is done to it, and to end as it ends.
    fn without_its_supervisor_a_bind_fails(world) {
        world.grant("byport/80", "alice");
        compile(world, &["binds"]);
        let (stdin, held) = std::io::pipe().unwrap();
        let script = "PATH=/run/bin; binds 80; echo ready; read line; binds 80 20080; exit 7";
        let words = [&SUPERVISED[..], &["sh", "-c", script]].concat();
        let running = world.command("alice", words).stdin(stdin).start();
        let _ = running.stdout_line("ready");
        let supervisor = supervisor_of(&running);
        supervisor.kill(Signal::SIGKILL);
        supervisor.wait();
        drop(held);
        let done = running.wait();
        assert_eq!(done.stdout, format!("80 0\nready\n80 {0}\n20080 {0}\n", libc::ENOSYS));
        assert_eq!(done.status.code(), Some(7));
        nothing_is_left();

        let program = world.compile_c_with(&["-static"], "signals", include_str!("supervise/signals.c"));
        let running = start(world, &["rauthbind", program.to_str().unwrap()]);
        let _ = running.stdout_line("ready");
        supervisor_of(&running).kill(Signal::SIGKILL);
        running.kill(Signal::SIGUSR2);
        let _ = running.stdout_line("signal 12");
        running.kill(Signal::SIGTERM);
        assert_eq!(running.wait().status.signal(), Some(15));
        nothing_is_left();
    }
}

world_test! {
    /// A bind waits for a supervisor that stands still, but not beyond the end of its program.
    fn whoever_waits_for_a_supervisor_can_be_killed(world) {
        let (running, ports) = start_ports(world, "80 stop-1 80 20080");
        let supervisor = supervisor_of(&running);
        supervisor.stop();
        ports.kill(Signal::SIGUSR1);
        wait_until("the bind to wait", || ports.waits_in() == [libc::SYS_bind]);
        ports.kill(Signal::SIGKILL);
        ports.wait();
        supervisor.kill(Signal::SIGCONT);
        assert_eq!(running.wait().status.code(), Some(7));
        nothing_is_left();
    }
}

world_test! {
    /// When the helper is killed, the supervisor runs one for each bind, as the shim does; and nothing of that is left.
    fn without_its_helper_a_bind_has_one_of_its_own(world) {
        let (running, ports) = start_ports(world, "80 stop-1 80 99 20080 stop-2");
        let helper = Stranger::named("rauthbind-helper");
        kill(helper.pid, Signal::SIGKILL).unwrap();
        helper.wait();
        ports.kill(Signal::SIGUSR1);
        let _ = running.stdout_line("stop-2");
        wait_until("all helpers to be gone", || processes_named("rauthbind-helper").is_empty());
        let _ = wait_for_rauthbinds(2);
        ports.kill(Signal::SIGUSR1);
        let done = running.wait();
        let served = "80 ok ok ok\n99 EACCES EACCES EACCES\n20080 ok ok ok\n";
        assert_eq!(done.stdout, format!("80 ok ok ok\nstop-1\n{served}stop-2\n"));
        nothing_is_left();
    }
}

/// Compiles a program that needs `c/bind.h`, and runs it as alice, supervised, with ports granted to her.
fn start_granted(world: &World, name: &str, source: &str, arguments: &[&str]) -> Running {
    for port in [80, 81, 82, 83].into_iter().chain(200..264) {
        world.grant(&format!("byport/{port}"), "alice");
    }
    fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
    let program = world.compile_c(name, source);
    start(world, &[&SUPERVISED[..], &[program.to_str().unwrap()], arguments].concat())
}

world_test! {
    /// Another thread that changes the address while it is bound gets no port that is not granted, in 100,000 tries.
    fn what_is_bound_is_what_was_checked(world) {
        let _ = start_granted(world, "race", include_str!("c/race.c"), &["100000"]).wait().successful();
    }
}

world_test! {
    /// bind works wherever it works alone: in children of vfork, on small stacks, in threads, whatever these are to the
    /// rest of their process; and what may not be looked into is refused what the kernel refuses it.
    fn binds_work_wherever_bind_works(world) {
        for (name, source, arguments) in [
            ("places", include_str!("c/places.c"), ["vfork", "stack", "blocked", "cancelled"]),
            ("odd", include_str!("supervise/odd.c"), ["table", "leaderless", "closed", "listener"]),
        ] {
            for argument in arguments {
                let done = start_granted(world, name, source, &[argument]).wait().successful();
                assert_eq!(done.stdout, "done\n", "{name} {argument}");
            }
        }
    }
}

world_test! {
    /// Signals, many more than a thousand a second, neither lose a bind nor do one twice. Handlers that do not have system
    /// calls go on may interrupt one (seccomp_unotify(2)), which is not done then.
    fn signals_neither_lose_nor_double_a_bind(world) {
        for arguments in [["stack", "restart"], ["alternate", "restart"], ["stack", "retry"]] {
            let done = start_granted(world, "storm", include_str!("c/storm.c"), &arguments).wait().successful();
            assert_eq!(done.stdout, "done\n", "{arguments:?}");
        }
    }
}

world_test! {
    /// What fifty programs ask for at once each of them gets, and none sees a child that it did not start.
    fn programs_get_their_own_answers(world) {
        for arguments in [["handled"], ["ignored"]] {
            let running = start_granted(world, "children", include_str!("c/children.c"), &arguments);
            let _ = running.stdout_line("waiting");
            running.kill(Signal::SIGUSR1);
            assert_eq!(running.wait().successful().stdout, "waiting\ndone\n", "{arguments:?}");
        }
        let running = start_granted(world, "processes", include_str!("c/processes.c"), &[]);
        for stop in ["ready", "done"] {
            let _ = running.stdout_line(stop);
            running.kill(Signal::SIGUSR1);
        }
        let _ = running.wait().successful();
    }
}

world_test! {
    /// In a hundred thousand binds of 64 threads, nothing is lost, and the supervisor keeps nothing.
    fn supervisors_do_not_grow(world) {
        let running = start_granted(world, "threads", include_str!("c/threads.c"), &["800"]);
        let _ = running.stdout_line("warm");
        let supervisor = supervisor_of(&running);
        let threads = Stranger::named("threads");
        let [poll, _] = POLL_AND_PAUSE;
        let before = Holdings::at_rest(&supervisor, poll);
        threads.kill(Signal::SIGUSR1);
        let _ = running.stdout_line("done");
        let now = Holdings::at_rest(&supervisor, poll);
        assert!(!now.have_grown_since(&before), "{before:?}, then {now:?}");
        threads.kill(Signal::SIGUSR1);
        let _ = running.wait().successful();
    }
}
world_test! {
    /// A supervised rauthbind needs no supervisor of its own, and where it does not know of the outer one, it says that
    /// there is another, and the command runs and is served.
    fn one_supervisor_serves_the_rauthbinds_below_it(world) {
        world.grant("byport/80", "alice");
        let ways = world.compile_c_with(&["-ldl"], "ways", include_str!("real_programs/ways.c"));
        let ways = ways.to_str().unwrap();
        let busy = "another program supervises it already\n";
        for (between, said) in [
            (&[][..], ""),
            (&SUPERVISED, ""),
            (&["rauthbind"], ""),
            (&["env", "-u", "RAUTHBIND_SUPERVISED", "rauthbind", "--mode", "supervise"], busy),
        ] {
            for (port, answer) in [("80", "bound"), (REFUSED, "EACCES")] {
                let done = run(world, &[&SUPERVISED, between, &[ways, "syscall", port]].concat()).successful();
                assert_eq!(done.stdout, format!("{answer} as 4001/4001:4001/4001 uncovered\n"), "{between:?}");
                assert!(done.stderr.ends_with(said) && done.stderr.is_empty() == said.is_empty(), "{}", done.stderr);
            }
        }
    }
}

world_test! {
    /// What was asked for by a process that has died before its turn is not done, even where others have the socket.
    fn the_dead_get_nothing(world) {
        let running = start_granted(world, "abandoned", include_str!("c/abandoned.c"), &[]);
        let _ = running.stdout_line("ready");
        let (supervisor, command) = (supervisor_of(&running), Stranger::named("abandoned"));
        supervisor.stop();
        command.kill(Signal::SIGUSR1);
        let child = running.stdout_line("child").rsplit(' ').next().unwrap().parse().unwrap();
        let child = Stranger::of(Pid::from_raw(child));
        wait_until("the child to wait", || child.waits_in() == [libc::SYS_bind]);
        child.kill(Signal::SIGKILL);
        let _ = running.stdout_line("killed");
        supervisor.kill(Signal::SIGCONT);
        running.kill(Signal::SIGUSR1);
        assert!(running.wait().successful().stdout.ends_with("port 0, then ok\n"));
    }
}

world_test! {
    /// Root may start a supervised service for another user, who is whom it is served as.
    fn roots_services_are_supervised_as_their_user(world) {
        world.grant("byport/80", "alice");
        let program = build(world, "cc -static", "serve");
        for (port, user) in [("80", "alice"), (REFUSED, "alice"), ("80", "bob")] {
            let words = ["rauthbind", "-u", user, &program, "syscall", port];
            let server = world.command("root", words).start();
            if (port, user) == ("80", "alice") {
                server.wait_listening(80);
                is_alices(answering_process(&get("127.0.0.1", 80)));
                processes_named("rauthbind").into_iter().for_each(is_alices);
                server.kill(Signal::SIGTERM);
                assert_eq!(server.wait().status.signal(), Some(15));
            } else {
                says_denied(&server.wait());
            }
        }
        nothing_is_left();
    }
}
