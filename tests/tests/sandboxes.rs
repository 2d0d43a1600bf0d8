//! What is left of rauthbind in a program that puts itself into a sandbox, or changes its user, after it was started: the
//! channel, as long as it is open; without it a helper, where the sandbox lets one be run; else a refusal, and a line in
//! the log that says why.
//!
//! The program `steps` takes the steps that it is told, and sees for itself that a bind has the right result and leaves
//! no trace.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "shapes/common.rs"]
mod common;

use std::fs;

use rauthbind_tests::helper::no_helper_stays;
use rauthbind_tests::{Finished, World, world_test};

use common::{compile, grant};

/// A run of `steps`, to its end: by this command, in which STEPS is the program.
struct Run<'w> {
    world: &'w World,
    pid: i32,
    finished: Finished,
}

impl Run<'_> {
    #[track_caller]
    fn of<'w>(world: &'w World, user: &str, line: &str) -> Run<'w> {
        let _ = world.log();
        let steps = compile(world, "steps");
        let words = line.split(' ').map(|word| if word == "STEPS" { steps.clone() } else { word.to_owned() });
        let running = world.command(user, words).start();
        let pid = running.pid.as_raw();
        let finished = running.wait().successful();
        assert_eq!(finished.stdout, "done\n");
        no_helper_stays();
        Run { world, pid, finished }
    }

    /// Sees that nothing was said on standard error.
    #[track_caller]
    fn silent(self) -> Self {
        assert_eq!(self.finished.stderr, "");
        self
    }

    /// Sees that the shim has told the log that there was no helper, and this about why.
    #[track_caller]
    fn without_helper(self, why: &str) -> Self {
        let line = self.world.log().line(&format!("rauthbind[{}]: no helper served a bind: ", self.pid));
        assert!(line.contains(why), "{line}");
        self
    }

    /// Sees that a helper has told the log this about a request of the program.
    #[track_caller]
    fn with_line(self, what: &str) -> Self {
        let asked = format!("pid {}", self.pid);
        let log = self.world.log();
        rauthbind_tests::wait_until(what, || {
            log.lines().iter().any(|line| line.contains(&asked) && line.contains(what))
        });
        self
    }
}

world_test! {
    /// With no_new_privs the channel serves on; without it there is no way left.
    fn no_new_privs_leaves_the_channel(world) {
        grant(world, [80]);
        let steps = "rauthbind STEPS no-new-privs granted 80 refused 99 close refused 80 refused 99";
        let _ = Run::of(world, "alice", steps)
            .silent()
            .without_helper("channel: closed, or never there; ")
            .without_helper("/rauthbind-helper: no_new_privs is set; ");
    }
}

world_test! {
    /// Started under no_new_privs, rauthbind says so in one line, and the program runs and is refused.
    fn no_new_privs_before_the_launcher_leaves_nothing(world) {
        grant(world, [80]);
        let run = Run::of(world, "alice", "setpriv --no-new-privs rauthbind STEPS refused 80 refused 99");
        let run = run.without_helper("/rauthbind-helper: no_new_privs is set; ");
        assert_eq!(run.finished.stderr.lines().count(), 1);
        assert!(run.finished.stderr.starts_with("rauthbind: no_new_privs is set"));
    }
}

world_test! {
    /// A user's own seccomp filter that forbids new processes and programs, in whatever way, leaves the channel.
    fn seccomp_filters_leave_the_channel(world) {
        grant(world, [80]);
        for filter in ["eperm", "trap", "trap-exec"] {
            let steps = format!("rauthbind STEPS no-new-privs {filter} granted 80 refused 99 close refused 80 refused 99");
            let _ = Run::of(world, "alice", &steps).silent().without_helper("/rauthbind-helper: no_new_privs is set; ");
        }
    }
}

world_test! {
    /// Root's filter needs no no_new_privs, so it is met when the helper is to be run: the bind is refused, the program
    /// lives, and its handler of SIGSYS is not entered where there is no stack for it.
    fn seccomp_filters_of_root_are_met_by_the_helper(world) {
        grant(world, [80]);
        let errno = "/rauthbind-helper: Operation not permitted; ";
        for (filter, why) in
            [("eperm", errno), ("trap", errno), ("trap-exec", "/rauthbind-helper: ended without a reply; ")]
        {
            for (closing, channel) in [("", "channel: serves another user; "), ("close ", "channel: closed, or never")] {
                let steps = format!("rauthbind STEPS {filter} become 4001 {closing}refused 80 refused 99");
                let _ = Run::of(world, "root", &steps).silent().without_helper(channel).without_helper(why);
            }
        }
    }
}

world_test! {
    /// With Landlock and no access to any file the channel serves on, and no helper can be run.
    fn landlock_leaves_the_channel(world) {
        grant(world, [80]);
        let steps = "rauthbind STEPS no-new-privs landlock granted 80 refused 99 close refused 80";
        let _ = Run::of(world, "alice", steps).silent().without_helper("/rauthbind-helper: no_new_privs is set; ");
        let steps = "rauthbind STEPS landlock become 4001 close refused 80";
        let _ = Run::of(world, "root", steps).silent().without_helper("/rauthbind-helper: Permission denied; ");
    }
}

world_test! {
    /// In an empty root directory there is the channel and nothing else, not even a log.
    fn an_empty_root_leaves_the_channel(world) {
        grant(world, [80]);
        fs::create_dir("/run/tmp/empty").unwrap();
        let steps = "rauthbind unshare -r STEPS chroot /run/tmp/empty granted 80 refused 99 close refused 80 refused 99";
        let _ = Run::of(world, "alice", steps).silent();
        // Root's helper is no help to alice.
        let steps = "rauthbind STEPS chroot /run/tmp/empty become 4001 refused 80 close refused 80";
        let _ = Run::of(world, "root", steps).silent();
    }
}

world_test! {
    /// In a root directory that has all that is needed, everything works.
    fn a_whole_root_has_everything(world) {
        grant(world, [80]);
        fs::create_dir("/run/tmp/whole").unwrap();
        let _ = world.command("root", ["mount", "--rbind", "/", "/run/tmp/whole"]).run().successful();
        let steps = "chroot --userspec=alice /run/tmp/whole rauthbind STEPS granted 80 refused 99 close granted 80 refused 99";
        let _ = Run::of(world, "root", steps).silent();
    }
}

world_test! {
    /// In a user namespace a program shows other ids, but to the kernel its user is the same: the channel serves on. A
    /// helper that is run inside cannot tell root's rules from others, and refuses.
    fn a_user_namespace_leaves_the_channel(world) {
        grant(world, [80]);
        for ids in ["-r", "--map-user=4001 --map-group=4001", "--map-user=1000"] {
            let steps = format!("rauthbind unshare -U {ids} STEPS granted 80 refused 99 close refused 80");
            let _ = Run::of(world, "alice", &steps).silent().with_line("/etc/rauthbind belongs to user id 65534");
        }
    }
}

world_test! {
    /// Whoever is root in a namespace of their own can put rules in the place of root's there. A helper that is run inside
    /// believes them, but its capability is one of that namespace: the kernel still refuses. The channel's helper never
    /// sees them.
    fn forged_rules_bind_nothing(world) {
        grant(world, [80]);
        let script = "#!/bin/sh -e\n\
            mount -t tmpfs -o mode=755 forged /etc/rauthbind\n\
            mkdir /etc/rauthbind/byport\n\
            install -m 755 /dev/null /etc/rauthbind/byport/99\n\
            exec \"$@\"\n";
        let forged = world.script("forge", script).display().to_string();
        let nothing = "99/tcp to uid 0, ";
        for line in [
            "rauthbind unshare -r -m FORGED STEPS granted 80 refused 99 close refused 80 refused 99",
            "unshare -r -m FORGED rauthbind STEPS refused 80 refused 99 close refused 80 refused 99",
        ] {
            let run = Run::of(world, "alice", &line.replace("FORGED", &forged)).with_line(nothing);
            let lines = world.log().lines();
            let own = format!("pid {}", run.pid);
            let granted = lines.iter().filter(|line| line.contains(nothing) && line.contains(&own));
            assert!(granted.clone().all(|line| line.ends_with(", by byport/99, but bind: Permission denied")), "{lines:?}");
        }
    }
}

world_test! {
    /// A program whose next child is process 1 of a new namespace still has that for itself after a bind: a helper would
    /// be it, so none is run.
    fn the_first_process_of_a_namespace_is_the_programs_own(world) {
        grant(world, [80]);
        let _ = Run::of(world, "alice", "rauthbind STEPS namespaces granted 80 refused 99 first-child").silent();
        let steps = "rauthbind STEPS close granted 80 namespaces refused 80 refused 99 first-child";
        let _ = Run::of(world, "alice", steps)
            .silent()
            .without_helper("/rauthbind-helper: would be the first process of its namespace; ");
    }
}

world_test! {
    /// A socket of another network namespace is none of the helper's.
    fn another_network_namespace_is_refused(world) {
        grant(world, [80]);
        let steps = "rauthbind unshare -U --map-user=4001 -n STEPS refused 80 close refused 80";
        let _ = Run::of(world, "alice", steps)
            .silent()
            .with_line("the socket is of another network namespace")
            .with_line("/etc/rauthbind belongs to user id 65534");
    }
}

world_test! {
    /// Where a mount hides the helper, the channel serves on.
    fn a_hidden_helper_leaves_the_channel(world) {
        grant(world, [80]);
        let script = world.script("hide", "#!/bin/sh\nmount -t tmpfs none /usr/local/libexec && exec \"$@\"\n");
        let script = script.display();
        let steps = format!("rauthbind unshare -r -m {script} STEPS granted 80 refused 99 close refused 80");
        let _ = Run::of(world, "alice", &steps).silent().without_helper("/rauthbind-helper: No such file or directory; ");
    }
}

world_test! {
    /// What root started and then became bob's has bob's ports and no others, by a helper of bob's own; with the channel of
    /// root's helper, which serves nobody but root, as without.
    fn who_drops_root_is_served_as_the_user(world) {
        world.grant("byport/80", "alice");
        world.grant("byport/81", "bob");
        for closing in ["", "close "] {
            let steps = format!("rauthbind STEPS become 4002 {closing}granted 81 refused 80 refused 99");
            let run = Run::of(world, "root", &steps).silent();
            let run = run.with_line("granted 0.0.0.0:81/tcp to uid 4002").with_line("byport/80 is not executable");
            if closing.is_empty() {
                let _ = run.with_line("the sender's user id is 4002, not the helper's");
            }
        }
        // Root itself needs no grant, and closes what it likes.
        let _ = Run::of(world, "root", "rauthbind STEPS granted 99 close granted 99 become 4003 refused 81").silent();
    }
}

world_test! {
    /// Without a grant there is nothing in any sandbox.
    fn without_a_grant_nothing_is_bound(world) {
        for steps in ["", "close ", "no-new-privs ", "no-new-privs eperm "] {
            let _ = Run::of(world, "alice", &format!("rauthbind STEPS {steps}refused 80")).silent();
        }
    }
}
