//! Helpers that are killed, programs that are killed while they bind, and more of them at once than there is room for:
//! whoever lives gets an answer, and it is true.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "shapes/common.rs"]
mod common;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::libc;
use nix::unistd::Pid;
use rauthbind_tests::{Signal, Stranger, processes_named, wait_until, world_test};
use rauthbind_wire::names::{BROKER, HELPER};

use common::{assert_done, grant, hold, let_go, start};
use rauthbind_tests::helper::{Helper, kill_helpers, no_helper_stays};

/// How many of a crowd there are.
const CROWD: usize = 1000;

world_test! {
    /// While 8 processes bind and close, the helper at the end of their channel is killed, and then time and again one that
    /// was run for one bind. Each bind returns, with what is true of its socket, and the next ones work.
    fn binds_outlive_the_death_of_helpers(world) {
        grant(world, (200..216).chain(300..308));
        let running = start(world, "pool", &[]);
        let _ = running.stdout_line("ready");
        Helper::find().0.kill(Signal::SIGKILL);
        for _ in 0..50 {
            kill_helpers();
        }
        running.kill(Signal::SIGUSR1);
        assert_done(running.wait(), &[]);
    }
}

world_test! {
    /// Of a program that is killed while its helper is only about to run nothing stays, and nothing is bound for it.
    fn the_dead_leave_nothing(world) {
        grant(world, [80]);
        let running = start(world, "underway", &[]);
        let _ = running.stdout_line("ready");
        no_helper_stays();
        let holder = hold(world, HELPER);
        running.kill(Signal::SIGUSR1);
        let _ = holder.stdout_line("wanted");
        running.kill(Signal::SIGKILL);
        let _ = running.exited();
        let_go(holder);
        wait_until("the end of all that was run", || processes_named("underway").is_empty());
        no_helper_stays();
        drop(TcpListener::bind(("127.0.0.1", 80)).expect("nobody has it"));
    }
}

world_test! {
    /// A socket that another thread has bound elsewhere, when whoever was asked dies, is not bound where it was asked for.
    fn another_port_is_no_success(world) {
        grant(world, [80]);
        fs::create_dir_all(Path::new(BROKER).parent().unwrap()).unwrap();
        let broker = UnixListener::bind(BROKER).unwrap();
        broker.set_nonblocking(true).unwrap();
        fs::set_permissions(BROKER, Permissions::from_mode(0o666)).unwrap();
        let running = start(world, "another", &[]);
        let mut asked = None;
        wait_until("the broker to be asked", || {
            asked = broker.accept().ok();
            asked.is_some()
        });
        let _ = running.stdout_line("binding");
        running.kill(Signal::SIGUSR1);
        let _ = running.stdout_line("elsewhere");
        drop((asked, broker));
        running.kill(Signal::SIGUSR1);
        assert_done(running.wait(), &[]);
    }
}

world_test! {
    /// 1,000 processes that share a channel all ask before the helper answers the first: all get what they ask for, none
    /// waits for very much longer than the others, and nothing of it stays with the helper.
    fn a_crowd_is_served(world) {
        grant(world, [80]);
        let running = start(world, "crowd", &[]);
        let mut before = None;
        for round in ["first", "then"] {
            let _ = running.stdout_line(&format!("{round} ready"));
            let helper = Helper::find();
            helper.stop();
            running.kill(Signal::SIGUSR1);
            wait_until("the crowd to wait", || {
                let waits = |pid: &Pid| {
                    let calls = Stranger::of(*pid).waits_in();
                    calls == [libc::SYS_ppoll] || calls == [libc::SYS_nanosleep]
                };
                processes_named("crowd").iter().filter(|pid| waits(pid)).count() == CROWD
            });
            helper.go_on();
            let _ = running.stdout_line(&format!("{round} answered"));
            if let Some(before) = before.replace(helper.holdings()) {
                helper.assert_still_holds(&before);
            }
            running.kill(Signal::SIGUSR1);
        }
        assert_done(running.wait(), &[]);
    }
}
