//! Kernels that this machine does not run: older and newer ones, with Yama, x32, SCTP and DCCP. Each is booted once.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "kernels/guest.rs"]
mod guest;

use std::fs;
use std::path::PathBuf;

use guest::Guest;
use rauthbind_tests::{World, world_test};

/// The ways in which binds are reached, and the program that each reaches: dynamically or statically linked.
const MODES: [(&str, &str); 2] = [("preload", "dynamic"), ("supervise", "static")];

/// Boots a kernel. In the guest, alice is granted the ports 80 and 81, 90 for SCTP, 91 for DCCP, and 8080 in vain.
fn boot(world: &World, package: &str) -> Guest {
    fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
    let source = include_str!("kernels/try.c");
    let programs = [
        world.compile_c_with(&["-no-pie"], "dynamic", source),
        world.compile_c_with(&["-static", "-no-pie"], "static", source),
        world.compile_c_with(&["-static", "-pthread"], "odd", include_str!("supervise/odd.c")),
        PathBuf::from("/usr/sbin/setcap"),
    ];
    let guest = Guest::boot(world, package, &programs.each_ref().map(PathBuf::as_path));
    for rule in ["80", "81", "90,sctp", "91,dccp", "8080"] {
        let grant = format!("cd /etc/rauthbind/byport; touch {rule}; chgrp alice {rule}; chmod 710 {rule}");
        assert_eq!(guest.run("root", &grant), (0, String::new()));
    }
    guest
}

/// Sees that alice's bind comes out so, in a mode in which nothing else is said.
#[track_caller]
fn comes_out(guest: &Guest, mode: &str, bind: &str, outcome: &str) {
    let said = guest.run("alice", &format!("rauthbind --mode={mode} {bind}"));
    assert_eq!(said, (0, outcome.to_owned()), "{mode}, {bind}");
}

/// Every way to call the kernel is supervised; without, each is refused.
fn every_architecture_is_served(guest: &Guest) {
    for way in ["syscall", "x32", "i386", "socketcall"] {
        assert_eq!(guest.run("alice", &format!("static {way} tcp 80")), (0, "EACCES".into()), "{way}");
        for (port, outcome) in [(80, "bound"), (99, "EACCES"), (20080, "bound")] {
            comes_out(guest, "supervise", &format!("static {way} tcp {port}"), outcome);
        }
    }
}

/// Rules of protocols that few kernels have.
fn every_protocol_is_served(guest: &Guest) {
    for (mode, program) in MODES {
        for (bind, outcome) in [
            ("libc sctp 90", "bound"),
            ("libc sctp 80", "bound"),
            ("libc sctp 91", "EACCES"),
            ("libc sctp-to-many 90", "bound"),
            ("libc sctp-to-many 91", "EACCES"),
            ("libc dccp 91", "bound"),
            ("libc dccp 90", "EACCES"),
            ("libc tcp 90", "EACCES"),
            ("libc mptcp 80", "bound"),
            // No bind(2).
            ("bindx sctp 90", "EACCES"),
            ("bindx sctp 20080", "bound"),
        ] {
            comes_out(guest, mode, &format!("{program} {bind}"), outcome);
        }
    }
}

/// A preload works whatever Yama is set to; supervision as long as an ancestor may look, and else the launcher says why
/// not.
fn yama_decides_who_is_supervised(guest: &Guest) {
    // A daemon that binds when the launcher has ended.
    let daemon = "(read go <go; static libc tcp 80 >bound 2>&1) >/dev/null 2>&1 &";
    let daemon = format!("rauthbind --mode=supervise sh -c '{daemon}'; echo go >go; cat bound");
    assert_eq!(guest.run("root", "mkfifo -m 666 /go /bound"), (0, String::new()));
    // It cannot be lowered from 3.
    for (scope, mend) in [
        (0, None),
        (1, None),
        (2, Some("run: sysctl kernel.yama.ptrace_scope=1")),
        (3, Some("set it to 1 in sysctl.d(5), and start the machine anew")),
    ] {
        let set = format!("echo {scope} >/proc/sys/kernel/yama/ptrace_scope");
        assert_eq!(guest.run("root", &set), (0, String::new()));
        for (port, outcome) in [(80, "bound"), (99, "EACCES")] {
            comes_out(guest, "preload", &format!("dynamic libc tcp {port}"), outcome);
        }
        let warning = mend.map(|mend| {
            format!(
                "rauthbind: kernel.yama.ptrace_scope is {scope}, so that no supervisor may look into the command, and no \
                 rule grants it anything; as root, {mend}"
            )
        });
        let granted = if warning.is_some() { "EACCES" } else { "bound" };
        for (command, outcome) in [
            ("rauthbind static libc tcp 80", granted),
            ("rauthbind static socketcall tcp 80", granted),
            (&daemon, granted),
            ("rauthbind static libc tcp 99", "EACCES"),
            ("rauthbind static libc tcp 20080", "bound"),
        ] {
            let (_, said) = guest.run("alice", command);
            let expected = warning.iter().map(String::as_str).chain([outcome]).collect::<Vec<_>>();
            assert_eq!(said.split('|').collect::<Vec<_>>(), expected, "{command}");
        }
        let told = |command| guest.run("alice", command).1;
        let (verbose, doctor) = (told("rauthbind -v static libc tcp 80"), told("rauthbindctl doctor"));
        let for_the_command = told("rauthbindctl doctor -- static");
        match &warning {
            None => {
                let yama = format!("may look into the command (Yama: kernel.yama.ptrace_scope={scope})|");
                assert!(verbose.contains(&yama), "{verbose}");
                assert!(!doctor.contains("ptrace_scope") && !for_the_command.contains("ptrace_scope"), "{doctor}");
            }
            Some(warning) => {
                assert!(verbose.contains(warning), "{verbose}");
                let problem = warning.strip_prefix("rauthbind: ").unwrap();
                let found = format!(": programs that are static or written in Go cannot be supervised: {problem}");
                assert!(doctor.contains(&format!("note{found}")), "{doctor}");
                assert!(for_the_command.contains(&format!("wrong{found}")), "{for_the_command}");
            }
        }
        // Root needs no rule.
        assert_eq!(guest.run("root", "rauthbind static libc tcp 99"), (0, "bound".to_owned()));
    }
}

/// Sees what comes of an odd caller of bind, supervised.
#[track_caller]
fn odd_caller(guest: &Guest, what: &str, outcome: &str) {
    let (_, said) = guest.run("alice", &format!("rauthbind odd {what}"));
    assert!(said.ends_with(outcome), "{what}: {said}");
}

world_test! {
    /// Linux 6.1, with x32, and without what Linux 6.6 and 6.9 have for supervisors.
    fn linux_6_1(world) {
        let guest = boot(world, "linux-image-amd64");
        every_architecture_is_served(&guest);
        every_protocol_is_served(&guest);
        for (what, outcome) in [
            ("closed", "done"),
            ("listener", "done"),
            // Of descriptors that are not those of its process's first thread, a supervisor gets none, and takes no others.
            ("table", "== 0 (errno 13)"),
            ("leaderless", "== 0 (errno 13)"),
        ] {
            odd_caller(&guest, what, outcome);
        }
        yama_decides_who_is_supervised(&guest);
    }
}

world_test! {
    /// Linux 6.12, with binds by rings, and rules of Landlock about ports.
    fn linux_6_12(world) {
        let guest = boot(world, "linux-image-6.12-cloud-amd64");
        every_protocol_is_served(&guest);
        for what in ["closed", "listener", "table", "leaderless"] {
            odd_caller(&guest, what, "done");
        }
        for (mode, program) in MODES {
            // A ring's binds are nobody's to answer. What an app forbids itself, others still may: us, where it is granted.
            for (bind, outcome) in [
                ("io_uring tcp 80", "EACCES"),
                ("io_uring tcp 20080", "bound"),
                ("landlock tcp 80", "bound"),
                ("landlock tcp 99", "EACCES"),
                ("landlock tcp 8080", "EACCES"),
            ] {
                comes_out(&guest, mode, &format!("{program} {bind}"), outcome);
            }
        }
        yama_decides_who_is_supervised(&guest);
    }
}
