//! That a bind which runs a helper of its own, because the program has closed the channel, is a bind like any other,
//! whatever the program does with processes, signals, threads and descriptors; and that nothing of it is to be seen.
//!
//! The programs are in C, below `shapes/`, and described at their tops. They compare for themselves what a program could
//! notice: children, signals, descriptors, memory (see `shapes/unseen.h`).

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "shapes/common.rs"]
mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rauthbind_tests::helper::no_helper_stays;
use rauthbind_tests::{Signal, wait_until, world_test};
use rauthbind_wire::names::HELPER;

use common::{assert_done, compile, grant, hold, let_go, run, start};

world_test! {
    /// However a program lets go of the channel, and whatever has its number then, a bind runs a helper, which is not to
    /// be seen, and no stranger is sent a message.
    fn the_channel_may_be_closed_in_every_way(world) {
        grant(world, [80]);
        for way in ["loop", "closefrom", "range", "exec", "all", "input", "file", "socket", "pair"] {
            let done = start(world, "closing", &[way]).wait();
            assert!(done.status.success(), "{way}");
            no_helper_stays();
        }
    }
}

world_test! {
    /// Daemons close what they inherit, and get their ports.
    fn daemons_get_their_ports(world) {
        grant(world, [80]);
        for way in ["daemon", "forks"] {
            let report = format!("/run/tmp/{way}");
            fs::write(&report, "").unwrap();
            fs::set_permissions(&report, fs::Permissions::from_mode(0o666)).unwrap();
            let _ = start(world, "closing", &[way, &report]).wait().successful();
            wait_until("the daemon's report", || fs::metadata(&report).unwrap().size() > 0);
            assert_eq!(fs::read_to_string(&report).unwrap(), "done\n", "{way}");
            no_helper_stays();
        }
    }
}

world_test! {
    /// A helper needs no devices, even where standard input, output and error are closed.
    fn devices_are_not_needed(world) {
        grant(world, [80]);
        let closing = compile(world, "closing");
        let script = format!(
            "mount -t tmpfs none /dev && exec setpriv --reuid=4001 --regid=4001 --clear-groups rauthbind {closing} all"
        );
        let _ = world.command("root", ["unshare", "-m", "sh", "-c", &script]).run().successful();
    }
}

world_test! {
    /// A program without a grant is refused all the same, without the channel as with it.
    fn what_is_not_granted_stays_refused(world) {
        for way in ["closefrom", "all"] {
            assert!(!start(world, "closing", &[way]).wait().status.success(), "{way}");
        }
        assert!(start(world, "closing", &["closefrom"]).wait().stderr.contains("not so: try_ip"));
    }
}

world_test! {
    /// Whoever waits for children gets the program's own, each once and with its status, whatever is done with SIGCHLD.
    fn only_the_programs_own_children_are_reaped(world) {
        grant(world, [80]);
        for how in ["handled", "ignored", "no-wait", "default", "all", "pidfd"] {
            run(world, "reaping", &[how]);
        }
    }
}

world_test! {
    /// In the child of a process of many threads, in signal handlers on either stack, of which little is used, with all
    /// signals blocked, in threads that are cancelled.
    fn binds_run_helpers_at_every_moment(world) {
        grant(world, [80]);
        for moment in ["fork", "handler", "alternate", "little", "blocked", "cancelled"] {
            run(world, "moments", &[moment]);
        }
    }
}

world_test! {
    /// In a child of vfork, on the smallest stack that a thread can have, in a thread that is cancelled; and without a
    /// free descriptor a bind is refused at once.
    fn binds_run_helpers_in_every_place(world) {
        grant(world, [80]);
        let closed = compile(world, "closed");
        let places = compile(world, "places");
        for place in ["vfork", "stack", "blocked", "cancelled", "descriptors"] {
            assert_done(world.command("alice", ["rauthbind", &closed, &places, place]).start().wait(), &[place]);
        }
    }
}

world_test! {
    /// Ten thousand signals a second change nothing.
    fn storms_of_signals_change_nothing(world) {
        grant(world, [80]);
        for flags in ["restart", "interrupt"] {
            run(world, "storms", &[flags]);
        }
    }
}

world_test! {
    /// 16 threads at once, beside others that change ids, fork, load libraries and allocate.
    fn threads_run_helpers_at_once(world) {
        grant(world, [80].into_iter().chain(200..216));
        run(world, "busy", &[]);
    }
}

world_test! {
    /// A child that another thread forks in the middle of a bind, and that lives on with a copy of whatever was open then,
    /// does not hold the bind up.
    fn children_that_stay_hold_no_bind_up(world) {
        grant(world, [80]);
        run(world, "lingering", &[]);
    }
}

world_test! {
    /// While the helper of a bind is only about to run, no child is to be seen; what another thread closes is closed for
    /// good; and to cancel the thread that binds changes nothing of what becomes of the bind.
    fn a_bind_that_is_under_way_is_not_seen(world) {
        grant(world, [80]);
        let running = start(world, "underway", &[]);
        let _ = running.stdout_line("ready");
        no_helper_stays();
        let holder = hold(world, HELPER);
        running.kill(Signal::SIGUSR1);
        let _ = holder.stdout_line("wanted");
        let _ = running.stdout_line("binding");
        running.kill(Signal::SIGUSR1);
        let _ = running.stdout_line("cancelled");
        let_go(holder);
        running.kill(Signal::SIGUSR1);
        assert_done(running.wait(), &[]);
    }
}

world_test! {
    /// Another thread that executes a program while the helper of a bind is only about to run keeps the process's locks.
    fn locks_outlive_an_execve_while_a_bind_is_under_way(world) {
        grant(world, [80]);
        let running = start(world, "locks", &[]);
        let _ = running.stdout_line("ready");
        no_helper_stays();
        let holder = hold(world, HELPER);
        running.kill(Signal::SIGUSR1);
        let _ = holder.stdout_line("wanted");
        let _ = running.stdout_line("binding");
        running.kill(Signal::SIGUSR1);
        let _ = running.stdout_line("executed");
        let_go(holder);
        running.kill(Signal::SIGUSR1);
        assert_done(running.wait(), &[]);
    }
}

world_test! {
    /// A library that is preloaded beside the shim, and does something at each execve(2) of the program, does nothing in the
    /// process that becomes the helper.
    fn preloaded_libraries_take_no_part(world) {
        grant(world, [80]);
        let closing = compile(world, "closing");
        let library = "/run/bin/intercept.so";
        fs::write("/run/tmp/intercept.c", include_str!("shapes/intercept.c")).unwrap();
        let cc = ["cc", "-shared", "-fPIC", "-o", library, "/run/tmp/intercept.c"];
        let _ = world.command("root", cc).env("TMPDIR", "/run/tmp").run().successful();
        let bind = world.command("alice", ["rauthbind", &closing, "closefrom"]).env("LD_PRELOAD", library);
        let _ = bind.run().successful();
    }
}

world_test! {
    /// Limits that leave room for the helper change nothing. Where they do not, the bind is refused, and that is not to be
    /// seen either.
    fn limits_are_heeded(world) {
        grant(world, [80]);
        run(world, "limits", &["core", "fsize", "as"]);
        run(world, "limits", &["little"]);
    }
}

world_test! {
    /// A user who may start no more processes is refused, and the log says why.
    fn without_room_for_a_process_a_bind_is_refused(world) {
        grant(world, [80]);
        let log = world.log();
        let limits = compile(world, "limits");
        // The limit is one for all that a user runs anywhere: this user has alice's group and nothing else.
        let uid = 1_000_000 + fs::metadata("/proc/self/ns/net").unwrap().ino() % 1_000_000;
        let setpriv = ["setpriv", &format!("--reuid={uid}"), "--regid=4001", "--clear-groups"];
        assert_done(world.command("root", setpriv.iter().chain(&["rauthbind", &limits, "nproc"])).start().wait(), &[]);
        assert!(log.line("no helper served a bind").contains("rauthbind-helper: Resource temporarily unavailable;"));
    }
}
