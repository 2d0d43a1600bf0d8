//! Set-ups that are wrong: each is told in one line with its mend, and the command runs all the same, without
//! privileged ports; but a launcher with privileges of its own runs nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod programs;

use programs::{compile, words};
use rauthbind_tests::{Finished, World, world_test};
use rauthbind_wire::names::{HELPER, RULES, SHIM};

/// Runs a shell script as root, in which `$HELPER`, `$SHIM`, `$RULES` are what they are called.
#[track_caller]
fn as_root(world: &World, script: &str) {
    let names = format!("HELPER={HELPER} SHIM={SHIM} RULES={RULES};");
    let _ = world.command("root", ["sh", "-ec", &format!("{names} {script}")]).run().successful();
}

/// Tries to bind port 80 under a launcher: what `binds` and the launcher say.
#[track_caller]
fn try_80(world: &World, user: &str, launcher: &str) -> Finished {
    world.command(user, words(&format!("{launcher} /run/bin/binds 80"))).run().successful()
}

/// Insists that port 80 is refused, and that one line on standard error, which has these parts, tells why.
#[track_caller]
fn told_in_one_line(done: &Finished, parts: &[&str]) {
    assert_eq!(done.stdout, "80 13\n");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(done.stderr.starts_with("rauthbind"), "{}", done.stderr);
    for part in parts {
        assert!(done.stderr.contains(part), "no {part:?} in {}", done.stderr);
    }
}

/// Insists that port 80 can be bound, and that there is nothing to tell.
#[track_caller]
fn all_is_well(world: &World) {
    let done = try_80(world, "alice", "rauthbind");
    assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n", ""));
    for user in ["root", "alice"] {
        let done = doctor(world, user, "").successful();
        assert_eq!((&*done.stdout, &*done.stderr), ("nothing is wrong\n", ""));
    }
}

/// Runs `rauthbindctl doctor`, behind words of a command line that runs it.
#[track_caller]
fn doctor(world: &World, user: &str, before: &str) -> Finished {
    world.command(user, words(&format!("{before} rauthbindctl doctor"))).run()
}

/// Insists that it finds something wrong, and tells it with these parts in one line.
#[track_caller]
fn finds(done: &Finished, parts: &[&str]) {
    assert_eq!((done.status.code(), &*done.stderr), (Some(1), ""), "{}", done.stdout);
    let is_told = |line: &str| line.starts_with("wrong: ") && parts.iter().all(|part| line.contains(part));
    assert!(done.stdout.lines().any(is_told), "no line with {parts:?} in {}", done.stdout);
}

fn furnish(world: &World) {
    compile(world, &["arrange", "binds"]);
    world.grant("byport/80", "alice");
}

/// Something wrong with what is installed.
struct Wrong {
    /// What brings it about.
    done: &'static str,
    /// What the line must have in it.
    told: &'static [&'static str],
    /// What mends it; nothing where the line itself says what to run.
    mend: &'static str,
}

/// Brings each about, hears it told, mends it as told, and finds all well.
#[track_caller]
fn each_is_told_and_can_be_mended(world: &World, wrongs: &[Wrong]) {
    furnish(world);
    all_is_well(world);
    for Wrong { done, told, mend } in wrongs {
        as_root(world, done);
        let heard = try_80(world, "alice", "rauthbind");
        told_in_one_line(&heard, told);
        ["root", "alice"].iter().for_each(|user| finds(&doctor(world, user, ""), told));
        let as_told = heard.stderr.trim().split_once("run: ").map(|(_, mend)| mend);
        if mend.is_empty() {
            as_root(world, as_told.expect("the line says what to run"));
        } else {
            as_root(world, mend);
        }
        world.grant("byport/80", "alice");
        all_is_well(world);
    }
}

world_test! {
    /// Helper or shim missing, out of reach, or not what they are when installed.
    fn a_damaged_installation_is_told(world) {
        each_is_told_and_can_be_mended(
            world,
            &[
                Wrong { done: "setcap -r $HELPER", told: &[HELPER, "has lost its capability"], mend: "" },
                Wrong { done: "setcap cap_net_raw=p $HELPER", told: &[HELPER, "has lost its capability"], mend: "" },
                Wrong {
                    done: "setcap cap_net_bind_service=i $HELPER",
                    told: &[HELPER, "has lost its capability"],
                    mend: "",
                },
                Wrong {
                    done: "cp $HELPER $HELPER.new; mv $HELPER.new $HELPER",
                    told: &[HELPER, "has lost its capability"],
                    mend: "",
                },
                Wrong { done: "chmod u+s $HELPER", told: &[HELPER, "setuid"], mend: "" },
                Wrong {
                    done: "chgrp web $HELPER; chmod g+s $HELPER; setcap cap_net_bind_service=p $HELPER",
                    told: &[HELPER, "setuid or setgid"],
                    mend: "chgrp root $HELPER; chmod g-s $HELPER; setcap cap_net_bind_service=p $HELPER",
                },
                Wrong {
                    done: "mv $HELPER $HELPER.away",
                    told: &[HELPER, "No such file", "install rauthbind again"],
                    mend: "mv $HELPER.away $HELPER",
                },
                Wrong {
                    done: "chmod a-x $HELPER",
                    told: &[HELPER, "Permission denied", "install rauthbind again"],
                    mend: "chmod 755 $HELPER",
                },
                Wrong {
                    done: "chmod 700 $HELPER",
                    told: &[HELPER, "Permission denied", "install rauthbind again"],
                    mend: "chmod 755 $HELPER",
                },
                Wrong {
                    done: "mv $HELPER $HELPER.away; install /etc/hosts $HELPER; setcap cap_net_bind_service=p $HELPER",
                    told: &[HELPER, "is not a program of this machine", "install rauthbind again"],
                    mend: "mv $HELPER.away $HELPER",
                },
                Wrong {
                    done: "chmod 700 ${HELPER%/*}",
                    told: &[HELPER, "Permission denied", "install rauthbind again"],
                    mend: "chmod 755 ${HELPER%/*}",
                },
                Wrong {
                    done: "mv $SHIM $SHIM.away",
                    told: &[SHIM, "No such file", "install rauthbind again"],
                    mend: "mv $SHIM.away $SHIM",
                },
                Wrong {
                    done: "chmod 600 $SHIM",
                    told: &[SHIM, "Permission denied", "install rauthbind again"],
                    mend: "chmod 644 $SHIM",
                },
                Wrong {
                    done: "mount --bind ${HELPER%/*} ${HELPER%/*}; mount -o remount,bind,nosuid ${HELPER%/*}",
                    told: &[HELPER, "nosuid", "mount it without nosuid, or install rauthbind elsewhere"],
                    mend: "umount ${HELPER%/*}",
                },
            ],
        );
    }
}

world_test! {
    /// A directory of rules that is missing, or is not root's alone, grants nothing.
    fn rules_that_are_missing_or_anybodys_are_told(world) {
        let not_a_directory =
            &[RULES, "cannot be opened as a directory", "make it a directory that all can search"][..];
        each_is_told_and_can_be_mended(
            world,
            &[
                Wrong { done: "mv $RULES $RULES.away", told: &[RULES, "No such file", "no rule in it grants anything"], mend: "" },
                Wrong { done: "chown alice $RULES", told: &[RULES, "belongs to user id 4001, not to root"], mend: "" },
                Wrong {
                    done: "chmod 0775 $RULES",
                    told: &[RULES, "can be written to by others than root", "0775"],
                    mend: "",
                },
                Wrong {
                    done: "chmod 0757 $RULES",
                    told: &[RULES, "can be written to by others than root", "0757"],
                    mend: "",
                },
                Wrong {
                    done: "chmod 1777 $RULES",
                    told: &[RULES, "can be written to by others than root", "1777"],
                    mend: "",
                },
                Wrong {
                    done: "chmod 0700 $RULES",
                    told: &["/etc/rauthbind cannot be opened", "Permission denied"],
                    mend: "",
                },
                Wrong {
                    done: "mv $RULES $RULES.away2; ln -s $RULES.away2 $RULES",
                    told: not_a_directory,
                    mend: "rm $RULES; mv $RULES.away2 $RULES",
                },
                Wrong {
                    done: "mv $RULES $RULES.away2; touch $RULES",
                    told: not_a_directory,
                    mend: "rm $RULES; mv $RULES.away2 $RULES",
                },
            ],
        );
    }
}

world_test! {
    /// The same for each of the directories below, tried with a rule that is in it.
    fn rules_in_directories_that_are_anybodys_are_told(world) {
        furnish(world);
        world.remove_rule("byport/80");
        for (directory, rule) in [("byport", "80"), ("byaddr", "127.0.0.1,80"), ("byuid", "4001")] {
            let rule = format!("{directory}/{rule}");
            if directory == "byuid" {
                world.byuid("4001", "127.0.0.1,80\n");
            } else {
                world.grant(&rule, "alice");
            }
            all_is_well(world);
            let path = format!("{RULES}/{directory}");
            for (done, told, mend) in [
                ("chown bob $DIRECTORY", "belongs to user id 4002, not to root", ""),
                ("chmod 0775 $DIRECTORY", "can be written to by others than root (mode 0775)", ""),
                ("chmod 0757 $DIRECTORY", "can be written to by others than root (mode 0757)", ""),
                ("chmod 0700 $DIRECTORY", "Permission denied", ""),
                (
                    "mv $DIRECTORY $RULES/x; ln -s x $DIRECTORY",
                    "make it a directory that all can search",
                    "rm $DIRECTORY; mv $RULES/x $DIRECTORY",
                ),
            ] {
                let in_directory = |script: &str| as_root(world, &format!("DIRECTORY={path}; {script}"));
                in_directory(done);
                let heard = try_80(world, "alice", "rauthbind");
                told_in_one_line(&heard, &[&path, told]);
                ["root", "alice"].iter().for_each(|user| finds(&doctor(world, user, ""), &[&path, told]));
                in_directory(if mend.is_empty() {
                    heard.stderr.trim().split_once("run: ").expect("the mend").1
                } else {
                    mend
                });
                all_is_well(world);
            }
            world.remove_rule(&rule);
        }
    }
}

/// What a narrowed bounding set must be told with.
const BOUNDED: &[&str] =
    &["bounding set", "CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=", "--cap-add=NET_BIND_SERVICE"];

world_test! {
    /// Surroundings in which no program can have its file capability, and limits that leave no room for a helper.
    fn surroundings_that_take_the_capability_are_told(world) {
        furnish(world);
        let become_alice = "--reuid alice --regid alice --init-groups";
        let no_new_privs = &["no_new_privs", HELPER, "start rauthbind before it is set", "NoNewPrivileges=no"][..];
        let without = &format!("setpriv {become_alice} --bounding-set -net_bind_service rauthbind");
        for (user, launcher, told) in [
            ("alice", "setpriv --no-new-privs rauthbind", no_new_privs),
            ("root", without, BOUNDED),
            ("root", "setpriv --bounding-set -net_bind_service rauthbind -u alice", BOUNDED),
            ("alice", "prlimit --nproc=1 rauthbind", &["the helper cannot be reached", "ulimit"]),
        ] {
            told_in_one_line(&try_80(world, user, launcher), told);
            let (before, _) = launcher.split_once("rauthbind").expect("the launcher");
            finds(&doctor(world, user, before), told);
        }
        all_is_well(world);
    }
}

world_test! {
    /// The same where root itself is without the capability, as in a container: no setcap mends that.
    fn a_bounded_root_is_told(world) {
        furnish(world);
        told_in_one_line(&try_80(world, "root", "setpriv --bounding-set -net_bind_service rauthbind"), BOUNDED);
        let done = try_80(world, "root", "rauthbind");
        assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n", ""), "root with the capability");
    }
}

world_test! {
    /// A launcher that is setuid, setgid or has file capabilities, so that everybody would get what is meant for one,
    /// refuses with 125 and runs nothing; a plain copy of it runs.
    fn a_launcher_with_privileges_of_its_own_refuses(world) {
        furnish(world);
        for (privilege, users) in [
            ("chmod 4755 $COPY", &["alice", "bob"][..]),
            ("chgrp bob $COPY; chmod 2755 $COPY", &["alice", "root"]),
            ("chgrp web $COPY; chmod 2755 $COPY", &["alice", "bob"]),
            ("chown bob $COPY; chmod 4755 $COPY", &["alice", "root"]),
            ("chmod 6755 $COPY", &["alice"]),
            ("setcap cap_net_bind_service=p $COPY", &["alice", "bob"]),
            ("setcap cap_net_bind_service=ep $COPY", &["alice"]),
            ("setcap cap_chown=ep $COPY", &["alice"]),
        ] {
            as_root(world, "cp /usr/local/bin/rauthbind /run/bin/copy");
            let run = || world.command("alice", words("/run/bin/copy /run/bin/binds 80")).run();
            let done = run().successful();
            assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n", ""));
            as_root(world, &format!("COPY=/run/bin/copy; {privilege}"));
            for user in users {
                for options in ["", "-v --depth 1", "-u bob"] {
                    let done = world.command(user, words(&format!("/run/bin/copy {options} touch /run/tmp/ran"))).run();
                    assert_eq!((done.status.code(), &*done.stdout), (Some(125), ""), "{privilege}, {user}");
                    assert_eq!(done.stderr.lines().count(), 1, "{privilege}, {user}");
                    for part in ["rauthbind: ", "setuid, setgid or has capabilities", "chmod u-s,g-s /run/bin/copy", "setcap -r /run/bin/copy"] {
                        assert!(done.stderr.contains(part), "no {part:?}");
                    }
                    assert!(!std::path::Path::new("/run/tmp/ran").exists(), "{privilege}, {user}");
                }
            }
            as_root(world, "rm /run/bin/copy");
        }
    }
}

world_test! {
    /// A shim that is told of a channel of another protocol says so in one line, with the mend; what is no channel at all
    /// it ignores. The bind is served either way.
    fn a_shim_of_another_version_says_so(world) {
        furnish(world);
        for other in ["2:1023:5", "0:1:1", "65535:x", "2"] {
            let told = |command| {
                let run = words(&format!("rauthbind env RAUTHBIND_CHANNEL={other} {command}"));
                world.command("alice", run).run().successful()
            };
            let signals =
                |done: &Finished| done.stdout.lines().find(|line| line.starts_with("SigIgn")).map(str::to_owned);
            let untold = world.command("alice", ["cat", "/proc/self/status"]).run();
            assert_eq!(signals(&told("cat /proc/self/status")), signals(&untold), "{other}");
            let theirs = other.split(':').next().unwrap();
            let done = told("nice /run/bin/binds 80");
            // nice is told, and what it becomes.
            assert_eq!((&*done.stdout, done.stderr.lines().count()), ("80 0\n", 2), "{other}");
            for line in done.stderr.lines() {
                for part in ["rauthbind: ", SHIM, "speaks protocol 1", &format!("spoke {theirs};"), "started anew"] {
                    assert!(line.contains(part), "no {part:?} in {line}");
                }
            }
        }
        for nonsense in
            ["", "x", "1", "1:", "1:1023:5:", "-1:1023:5", "65536:1023:5", "1:0:1", "1:-1:1", "1:99999999999:1"]
        {
            let command = words(&format!("rauthbind env RAUTHBIND_CHANNEL={nonsense} /run/bin/binds 80"));
            let done = world.command("alice", command).run().successful();
            assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n", ""), "{nonsense:?}");
        }
    }
}

world_test! {
    /// A helper that is started by a launcher of another protocol says so in one line, with the mend, and ends with 1.
    fn a_helper_of_another_version_says_so(world) {
        compile(world, &["arrange"]);
        let on_a_channel = |arguments: &str| {
            world.command("alice", words(&format!("/run/bin/arrange channel -- {HELPER} {arguments}"))).run()
        };
        for (arguments, theirs) in [
            ("--protocol 2", "2"),
            ("--unknown --protocol 0 --unknown", "0"),
            ("--protocol 1 --protocol 3", "3"),
            ("--protocol one", "one"),
            ("--protocol", ""),
        ] {
            let done = on_a_channel(arguments);
            assert_eq!(
                (done.status.code(), &*done.stdout, done.stderr.lines().count()),
                (Some(1), "", 1),
                "{arguments}"
            );
            let theirs = format!("started it speaks {theirs};");
            for part in [HELPER, "speaks protocol 1", &theirs, "install both from one release"] {
                assert!(done.stderr.contains(part), "{arguments}: no {part:?}");
            }
        }
        let done = on_a_channel("--protocol 1 --unknown").successful();
        assert_eq!((&*done.stdout, &*done.stderr), ("", ""), "the one that it speaks: served, until the channel ended");
    }
}

/// Command lines on which launcher, helper or shim have something to say to standard error, and what `binds` says then.
const TALKATIVE: [(&str, &str, &str); 4] = [
    ("-v", "", "80 0\n"),
    ("", "setcap -r $HELPER", "80 13\n"),
    ("", "setcap cap_net_bind_service=p $HELPER; chmod u+s $HELPER", "80 13\n"),
    ("env RAUTHBIND_CHANNEL=2:1023:5", "chmod u-s $HELPER", "80 0\n"),
];

/// Runs each with its standard error arranged like this; gives what `binds` said.
#[track_caller]
fn nothing_breaks(world: &World, stderr: &str) {
    furnish(world);
    for (command, done, said) in TALKATIVE {
        as_root(world, done);
        let line = format!("/run/bin/arrange {stderr} -- rauthbind {command} /run/bin/binds 80");
        let done = world.command("alice", words(&line)).run();
        assert_eq!((done.status.code(), &*done.stdout), (Some(0), said), "{line}");
    }
}

world_test! {
    /// What cannot be said because standard error is closed goes nowhere else, and changes nothing.
    fn a_closed_standard_error_changes_nothing(world) {
        nothing_breaks(world, "close 2 open 3 /run/tmp/three");
        nothing_breaks(world, "close 0 close 2 open 3 /run/tmp/three");
        assert_eq!(std::fs::read_to_string("/run/tmp/three").unwrap(), "");
    }
}

world_test! {
    /// What cannot be said because the device is full, or can only be read, changes nothing.
    fn a_full_standard_error_changes_nothing(world) {
        nothing_breaks(world, "open 2 /dev/full");
    }
}

world_test! {
    /// What cannot be said because nobody reads the pipe changes nothing: whoever has nothing to say gets no SIGPIPE.
    fn a_broken_standard_error_changes_nothing(world) {
        nothing_breaks(world, "broken 2");
    }
}
