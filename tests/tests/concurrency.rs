//! That bind(2) under rauthbind may be called by anything that may call bind(2), however much of it there is: threads,
//! processes, children of fork and vfork, signal handlers; and that whoever waits for the helper is not left waiting.
//!
//! The programs are in C, below `c/`, and described at their tops. They see for themselves that every bind has the
//! right result; what the helper does, and what it holds, is looked at from here.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::libc;
use rauthbind_tests::helper::Helper;
use rauthbind_tests::{Running, Signal, Stranger, World, processes_named, wait_until, world_test};

/// Compiles a program of `c/`.
fn compile(world: &World, name: &str) -> String {
    fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
    let source = match name {
        "abandoned" => include_str!("c/abandoned.c"),
        "children" => include_str!("c/children.c"),
        "places" => include_str!("c/places.c"),
        "processes" => include_str!("c/processes.c"),
        "race" => include_str!("c/race.c"),
        "same_port" => include_str!("c/same_port.c"),
        "storm" => include_str!("c/storm.c"),
        "threads" => include_str!("c/threads.c"),
        "waiting" => include_str!("c/waiting.c"),
        other => panic!("no program {other}"),
    };
    world.compile_c(name, source).into_os_string().into_string().unwrap()
}

/// Starts a program of `c/` as alice under rauthbind.
fn start(world: &World, name: &str, arguments: &[&str]) -> Running {
    let program = compile(world, name);
    world.command("alice", ["rauthbind", &program].iter().chain(arguments)).start()
}

/// Grants alice these ports.
fn grant(world: &World, ports: impl IntoIterator<Item = u16>) {
    ports.into_iter().for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
}

/// Waits until the program stops there, and has it go on.
fn pass(running: &Running, stop: &str) {
    let _ = running.stdout_line(stop);
    running.kill(Signal::SIGUSR1);
}

/// Waits until this many threads of the program wait for the helper's reply.
fn wait_for_askers(running: &Running, count: usize) {
    let program = Stranger::of(running.pid);
    wait_until("replies to be waited for", || {
        program.waits_in().into_iter().filter(|call| *call == libc::SYS_ppoll).count() == count
    });
}

/// Has 64 threads bind ten thousand times, and looks at what the helper holds before and after.
fn threads_bind(world: &World, arguments: &[&str]) {
    grant(world, 200..264);
    let running = start(world, "threads", arguments);
    let _ = running.stdout_line("warm");
    let helper = Helper::find();
    let before = helper.holdings();
    pass(&running, "warm");
    let _ = running.stdout_line("done");
    helper.assert_still_holds(&before);
    pass(&running, "done");
    let _ = running.wait().successful();
}

world_test! {
    /// 64 threads, each with a port of its own and one that is refused: every answer reaches its asker, and in ten
    /// thousand requests nothing is lost, no descriptor stays open, no signal mask changes and no memory is kept.
    fn threads_get_their_own_answers(world) {
        threads_bind(world, &["80"]);
    }
}

world_test! {
    /// The same with sockets whose close may wait (SO_LINGER), which the helper has to close too.
    fn threads_with_sockets_that_linger_get_their_own_answers(world) {
        threads_bind(world, &["80", "linger"]);
    }
}

world_test! {
    /// 8 threads take the same port 10,000 times, beside forks: never two of them have it, and nobody waits for ever.
    fn threads_share_a_port_while_others_fork(world) {
        grant(world, 80..82);
        let running = start(world, "same_port", &[]);
        let _ = running.stdout_line("warm");
        let helper = Helper::find();
        let before = helper.holdings();
        pass(&running, "warm");
        let _ = running.stdout_line("done");
        helper.assert_still_holds(&before);
        pass(&running, "done");
        let _ = running.wait().successful();
    }
}

world_test! {
    /// Another thread that changes the address while it is bound gets no port that is not granted, in 20,000 tries.
    fn what_is_bound_is_what_was_checked(world) {
        grant(world, [80]);
        let _ = start(world, "race", &["20000"]).wait().successful();
    }
}

world_test! {
    /// A signal handler may bind, whatever it has interrupted, on its thread's stack or on one of its own.
    fn signal_handlers_can_bind(world) {
        grant(world, 80..82);
        for stack in ["stack", "alternate"] {
            let _ = start(world, "storm", &[stack]).wait().successful();
        }
    }
}

world_test! {
    /// A program never sees a child that it did not start: no SIGCHLD, nothing to be reaped.
    fn no_child_is_seen(world) {
        grant(world, 80..84);
        for disposition in ["handled", "ignored"] {
            let running = start(world, "children", &[disposition]);
            let _ = running.stdout_line("waiting");
            let program = Stranger::of(running.pid);
            wait_until("a thread to wait for children", || program.waits_in().contains(&libc::SYS_wait4));
            pass(&running, "waiting");
            assert_eq!(running.wait().successful().stdout, "waiting\ndone\n", "{disposition}");
        }
    }
}

world_test! {
    /// 50 processes use one channel at once, and no answer reaches another.
    fn processes_share_the_channel(world) {
        grant(world, [80].into_iter().chain(200..250));
        let running = start(world, "processes", &[]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        let before = helper.holdings();
        pass(&running, "ready");
        let _ = running.stdout_line("done");
        helper.assert_still_holds(&before);
        pass(&running, "done");
        let _ = running.wait().successful();
    }
}

world_test! {
    /// More requests may be under way than the user may have descriptors in flight: the others wait for their turn.
    fn requests_beyond_the_limit_wait(world) {
        grant(world, [80].into_iter().chain(200..250));
        let program = compile(world, "processes");
        // The limit is one for all that a user has in flight anywhere: this user has alice's group and nothing else.
        let uid = 1_000_000 + fs::metadata("/proc/self/ns/net").unwrap().ino() % 1_000_000;
        let setpriv = ["setpriv", &format!("--reuid={uid}"), "--regid=4001", "--clear-groups"];
        let running = world.command("root", setpriv.iter().chain(&["rauthbind", &program, "16"])).start();
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        helper.stop();
        pass(&running, "ready");
        wait_until("a process to wait for its turn", || {
            processes_named("processes").iter().any(|pid| Stranger::of(*pid).waits_in() == [libc::SYS_nanosleep])
        });
        helper.go_on();
        pass(&running, "done");
        let _ = running.wait().successful();
    }
}

world_test! {
    /// A bind works in a child of vfork, on the smallest stack of a thread, with all signals blocked, and in a thread
    /// that is to be cancelled, where it is no cancellation point; without a free descriptor it is refused, not more.
    fn binds_work_wherever_bind_works(world) {
        grant(world, [80]);
        for place in ["vfork", "stack", "blocked", "cancelled", "descriptors"] {
            assert_eq!(start(world, "places", &[place]).wait().successful().stdout, "done\n", "{place}");
        }
    }
}

world_test! {
    /// Whoever asks a helper that stands still waits for it, signals or not, and gets what was asked for.
    fn a_stopped_helper_is_waited_for(world) {
        grant(world, [80].into_iter().chain(200..216));
        let running = start(world, "waiting", &["bind"]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        let before = helper.holdings();
        helper.stop();
        pass(&running, "ready");
        wait_for_askers(&running, 16);
        running.kill(Signal::SIGUSR2);
        let _ = running.stdout_line("handled");
        wait_for_askers(&running, 16);
        helper.go_on();
        assert_eq!(running.stdout_line("at once"), "16 at once: ok");
        helper.assert_still_holds(&before);
        pass(&running, "answered");
        assert!(running.wait().successful().stdout.ends_with("1000 thereafter: ok\n"));
    }
}

world_test! {
    /// When the channel is full, whoever asks waits for room, and then for the reply.
    fn a_full_channel_is_waited_for(world) {
        grant(world, [80].into_iter().chain(200..216));
        let running = start(world, "waiting", &["fill"]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        let before = helper.holdings();
        helper.stop();
        pass(&running, "ready");
        wait_for_askers(&running, 16);
        pass(&running, "waiting");
        let _ = running.stdout_line("full");
        helper.go_on();
        assert_eq!(running.stdout_line("at once"), "16 at once: ok");
        helper.assert_still_holds(&before);
        pass(&running, "answered");
        assert!(running.wait().successful().stdout.ends_with("1000 thereafter: ok\n"));
    }
}

world_test! {
    /// Cancelled while it waits, a thread gets its socket bound, and ends where it next may.
    fn cancellation_does_not_reach_into_a_bind(world) {
        grant(world, [80].into_iter().chain(200..216));
        let running = start(world, "waiting", &["cancel"]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        helper.stop();
        pass(&running, "ready");
        wait_for_askers(&running, 16);
        pass(&running, "waiting");
        let _ = running.stdout_line("cancelled");
        wait_for_askers(&running, 16);
        helper.go_on();
        assert_eq!(running.stdout_line("at once"), "16 at once: ok");
        pass(&running, "answered");
        assert!(running.wait().successful().stdout.ends_with("1000 thereafter: ok\n"));
    }
}

world_test! {
    /// When the helper is killed, whoever waits for a reply or for room in the channel is served by a helper of its own, as
    /// is whoever comes later; and none gets SIGPIPE.
    fn when_the_helper_is_gone_each_bind_runs_one(world) {
        grant(world, [80].into_iter().chain(200..216));
        for wait in ["bind", "fill"] {
            let running = start(world, "waiting", &[wait]);
            let _ = running.stdout_line("ready");
            let helper = Helper::find();
            helper.stop();
            pass(&running, "ready");
            wait_for_askers(&running, 16);
            if wait == "fill" {
                pass(&running, "waiting");
                let _ = running.stdout_line("full");
            }
            let killed = Instant::now();
            helper.0.kill(Signal::SIGKILL);
            assert_eq!(running.stdout_line("at once"), "16 at once: ok", "{wait}");
            // They would not have waited much longer for one that does not answer.
            assert!(killed.elapsed() < Duration::from_secs(5), "{:?}, {wait}", killed.elapsed());
            helper.0.wait();
            pass(&running, "answered");
            assert!(running.wait().successful().stdout.ends_with("1000 thereafter: ok\n"), "{wait}");
        }
    }
}

world_test! {
    /// A helper that stands still for too long is given up: the binds are refused, and when it goes on, it does not do
    /// what nobody waits for any more.
    fn a_helper_that_stays_stopped_is_given_up(world) {
        grant(world, [80].into_iter().chain(200..216));
        let running = start(world, "waiting", &["bind"]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        let before = helper.holdings();
        helper.stop();
        pass(&running, "ready");
        assert_eq!(running.stdout_line("at once"), "16 at once: EACCES");
        helper.go_on();
        helper.assert_still_holds(&before);
        // The program sees that its sockets are not bound.
        pass(&running, "answered");
        assert!(running.wait().successful().stdout.ends_with("1000 thereafter: ok\n"));
    }
}

world_test! {
    /// What is asked for by a process that has died is not done, even where others have the socket.
    fn the_dead_get_nothing(world) {
        grant(world, 80..82);
        let running = start(world, "abandoned", &[]);
        let _ = running.stdout_line("ready");
        let helper = Helper::find();
        let before = helper.holdings();
        helper.stop();
        pass(&running, "ready");
        let child = running.stdout_line("child").rsplit(' ').next().unwrap().parse().unwrap();
        let child = Stranger::of(nix::unistd::Pid::from_raw(child));
        wait_until("the child to wait", || child.waits_in() == [libc::SYS_ppoll]);
        child.kill(Signal::SIGKILL);
        let _ = running.stdout_line("killed");
        helper.go_on();
        helper.assert_still_holds(&before);
        pass(&running, "killed");
        assert!(running.wait().successful().stdout.ends_with("port 0, then ok\n"));
    }
}
