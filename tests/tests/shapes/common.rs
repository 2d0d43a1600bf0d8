//! The C programs of these tests, each described at its top.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::fs;

use rauthbind_tests::helper::no_helper_stays;
use rauthbind_tests::{Finished, Running, Signal, World};

/// Compiles a program, once.
pub(crate) fn compile(world: &World, name: &str) -> String {
    let compiled = format!("/run/bin/{name}");
    if fs::exists(&compiled).unwrap() {
        return compiled;
    }
    fs::write("/run/tmp/bind.h", include_str!("../c/bind.h")).unwrap();
    fs::write("/run/tmp/unseen.h", include_str!("unseen.h")).unwrap();
    let source = match name {
        "another" => include_str!("another.c"),
        "busy" => include_str!("busy.c"),
        "closed" => include_str!("closed.c"),
        "closing" => include_str!("closing.c"),
        "crowd" => include_str!("crowd.c"),
        "hold" => include_str!("hold.c"),
        "limits" => include_str!("limits.c"),
        "lingering" => include_str!("lingering.c"),
        "locks" => include_str!("locks.c"),
        "moments" => include_str!("moments.c"),
        "places" => include_str!("../c/places.c"),
        "pool" => include_str!("pool.c"),
        "reaping" => include_str!("reaping.c"),
        "steps" => include_str!("steps.c"),
        "storms" => include_str!("storms.c"),
        "underway" => include_str!("underway.c"),
        other => panic!("no program {other}"),
    };
    world.compile_c(name, source).into_os_string().into_string().unwrap()
}

/// Starts a program as alice under rauthbind.
pub(crate) fn start(world: &World, name: &str, arguments: &[&str]) -> Running {
    let program = compile(world, name);
    world.command("alice", ["rauthbind", &program].iter().chain(arguments)).start()
}

/// Has everybody who executes this file wait, which is told by "wanted".
#[track_caller]
pub(crate) fn hold(world: &World, path: &str) -> Running {
    let holder = world.command("root", [&*compile(world, "hold"), path]).start();
    let _ = holder.stdout_line("held");
    holder
}

/// Has them go on.
#[track_caller]
pub(crate) fn let_go(holder: Running) {
    holder.kill(Signal::SIGUSR1);
    let _ = holder.wait().successful();
}

/// Runs a program as alice under rauthbind, to the end that it has when everything was as it must be.
#[track_caller]
pub(crate) fn run(world: &World, name: &str, arguments: &[&str]) {
    assert_done(start(world, name, arguments).wait(), arguments);
}

/// Sees that a program has come to its end, and that no helper stays behind.
#[track_caller]
pub(crate) fn assert_done(finished: Finished, arguments: &[&str]) {
    let Finished { status, stdout, stderr } = finished;
    assert!(status.success() && stdout.ends_with("done\n") && stderr.is_empty(), "{arguments:?}: {status}");
    no_helper_stays();
}

/// Grants alice these ports.
pub(crate) fn grant(world: &World, ports: impl IntoIterator<Item = u16>) {
    ports.into_iter().for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
}
