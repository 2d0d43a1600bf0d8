//! Where the helper has its capability from: its file; the launcher, which has it itself, where the file cannot serve;
//! or an outer rauthbind. Whichever it is, the command is left without it.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "shapes/common.rs"]
mod common;
mod programs;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use common::{hold, let_go};
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;
use programs::{Seen, compile, look, seen_by, words};
use rauthbind_tests::helper::no_helper_stays;
use rauthbind_tests::sys::enter;
use rauthbind_tests::{Finished, Stranger, World, processes_named, wait_until, world_test};
use rauthbind_wire::names::{BROKER, HELPER};

/// Becomes alice by setpriv(1), which may be given more to do.
const BECOME_ALICE: &str = "setpriv --reuid alice --regid alice --init-groups";

/// The same, with the capability, and one that is inheritable alone.
const WITH_AMBIENT: &str = "setpriv --reuid alice --regid alice --init-groups \
                            --inh-caps +net_bind_service,+chown --ambient-caps +net_bind_service";

/// Becomes another program when it has closed what it inherited.
const CLOSE_ALL: &str = "\
#!/usr/bin/python3
import os, sys
os.closerange(3, os.sysconf('SC_OPEN_MAX'))
os.execvp(sys.argv[1], sys.argv[1:])
";

// Capabilities by their numbers in linux/capability.h.
const CHOWN: u8 = 0;
const SETPCAP: u8 = 8;
const NET_BIND_SERVICE: u8 = 10;
const SYS_NICE: u8 = 23;

fn furnish(world: &World) {
    compile(world, &["binds", "look"]);
    let _ = world.script("close-all", CLOSE_ALL);
    world.grant("byport/80", "alice");
}

fn has(seen: &Seen, set: &str, capability: u8) -> bool {
    u64::from_str_radix(seen.one(set), 16).unwrap() & (1 << capability) != 0
}

/// Sees that a command of alice's binds the port that is granted, and no other, that it has not the capability itself,
/// and that nobody says anything. Gives what it was given.
#[track_caller]
fn is_served(world: &World, user: &str, launcher: &str) -> Seen {
    let done = world.command(user, words(&format!("{launcher} /run/bin/binds 80 81"))).run().successful();
    assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n81 13\n", ""), "{launcher}");
    let seen = look(world, user, words(&format!("{launcher} /run/bin/look")));
    assert_eq!((seen.one("Uid"), seen.one("bind"), &*seen.stderr), ("4001\t4001\t4001\t4001", "0", ""), "{launcher}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(!has(&seen, set, NET_BIND_SERVICE), "{launcher}: {set}");
    }
    seen
}

/// Sees that a command of alice's is refused every port, and told why in one line with this in it.
#[track_caller]
fn is_told(world: &World, user: &str, launcher: &str, why: &str) {
    let done = world.command(user, words(&format!("{launcher} /run/bin/binds 80 81"))).run().successful();
    assert_eq!((&*done.stdout, done.stderr.lines().count()), ("80 13\n81 13\n", 1), "{launcher}");
    assert!(done.stderr.starts_with("rauthbind: ") && done.stderr.contains(why), "{}", done.stderr);
}

/// What a command of alice's binds when it has closed the channel.
#[track_caller]
fn binds_without_channel(world: &World, user: &str, launcher: &str) -> String {
    let line = format!("{launcher} /run/bin/close-all /run/bin/binds 80 81");
    world.command(user, words(&line)).run().successful().stdout
}

world_test! {
    /// A launcher with the ambient capability hands it over under no_new_privs, where no file gives any; without, the
    /// helper has its file's and can be run again. The command keeps what else there was, ambient or inheritable.
    fn an_ambient_capability_goes_to_the_helper_alone(world) {
        furnish(world);
        let _ = world.log();
        for (nnp, others) in [("", ""), ("", ",+sys_nice"), ("--no-new-privs", ""), ("--no-new-privs", ",+sys_nice")] {
            let launcher = WITH_AMBIENT.replace(" --inh-caps", &format!(" {nnp} --inh-caps"));
            let launcher = launcher.replace("bind_service", &format!("bind_service{others}")) + " rauthbind";
            let seen = is_served(world, "root", &launcher);
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(has(&seen, set, SYS_NICE), !others.is_empty(), "{launcher}: {set}");
                assert_eq!(has(&seen, set, CHOWN), set == "CapInh", "{launcher}: {set}");
            }
            assert!(has(&seen, "CapBnd", NET_BIND_SERVICE));
            let again = binds_without_channel(world, "root", &launcher);
            assert_eq!(again, if nnp.is_empty() { "80 0\n81 13\n" } else { "80 13\n81 13\n" }, "{launcher}");
        }
        let told = "channel: closed, or never there; ";
        assert!(world.log().line(told).contains(&format!("{HELPER}: no_new_privs is set; {BROKER}: No such file or directory")));
    }
}

world_test! {
    /// Where it hands over, and only there, the launcher narrows the bounding set if it may. The ambient capability by
    /// which it may stays alice's.
    fn the_bounding_set_is_narrowed_where_that_can_be(world) {
        furnish(world);
        let more = "bind_service,+setpcap";
        for (nnp, bounded) in [("", false), ("--no-new-privs", true)] {
            let launcher = WITH_AMBIENT.replace("bind_service", more).replace(" --inh-caps", &format!(" {nnp} --inh-caps"));
            let seen = is_served(world, "root", &format!("{launcher} rauthbind"));
            assert_eq!(has(&seen, "CapBnd", NET_BIND_SERVICE), !bounded, "{nnp}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert!(has(&seen, set, SETPCAP), "{nnp}: {set}");
            }
        }
    }
}

/// Sees that root's `-u alice` under this leaves nothing to the command, and the capability in the bounding set or not.
#[track_caller]
fn leaves_nothing(world: &World, before: &str, bounded: bool) {
    let seen = is_served(world, "root", &format!("{before} rauthbind -u alice"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(seen.one(set), "0000000000000000", "{before}: {set}");
    }
    assert_eq!(has(&seen, "CapBnd", NET_BIND_SERVICE), !bounded, "{before}");
    assert_eq!(seen.one("Groups"), "4001 4100", "{before}");
}

world_test! {
    /// Root hands its capability over under no_new_privs, and then no program of the command's can get it any more. In
    /// the ordinary case the helper can be run again when the channel is gone.
    fn root_hands_over_and_leaves_nothing(world) {
        furnish(world);
        let _ = world.log();
        leaves_nothing(world, "", false);
        leaves_nothing(world, "setpriv --no-new-privs", true);
        assert_eq!(binds_without_channel(world, "root", "rauthbind -u alice"), "80 0\n81 13\n");
        let nnp = "setpriv --no-new-privs rauthbind -u alice";
        assert_eq!(binds_without_channel(world, "root", nnp), "80 13\n81 13\n");
        let _ = world.log().line(&format!("no helper served a bind: channel: closed, or never there; {HELPER}: no_new_privs"));
    }
}

/// Sees that alice cannot enter this process of hers; gives its permitted capabilities.
#[track_caller]
fn is_closed(world: &World, pid: Pid) -> u64 {
    assert_eq!(world.as_user("alice", || enter(pid)), [Err(Errno::EACCES), Err(Errno::EPERM), Err(Errno::EPERM)]);
    // The kernel gives to root what belongs to a process that is not dumpable.
    assert_eq!(fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid(), 0);
    let status = Stranger::of(pid).file("status");
    assert!(status.contains("\nUid:\t4001\t4001\t4001\t4001\n"), "{status}");
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap();
    u64::from_str_radix(permitted, 16).unwrap()
}

world_test! {
    /// A launcher that has the capability cannot be entered by other processes of its user, nor can those that it makes: it
    /// waits until none of them shares its memory any more, and only then goes on, without the capability. The command is
    /// a process like any other.
    fn a_launcher_with_the_capability_cannot_be_entered(world) {
        furnish(world);
        let any = world.command("alice", ["sleep", "infinity"]).start();
        assert_eq!(world.as_user("alice", || enter(any.pid)), [Ok(()); 3]);
        let ambient = format!("{WITH_AMBIENT} rauthbind");
        let ambient_alone = ambient.replace(" --inh-caps", " --no-new-privs --inh-caps");
        let roots = ["rauthbind -u alice", "setpriv --no-new-privs rauthbind -u alice"];
        for launcher in [&*ambient, &ambient_alone, roots[0], roots[1]] {
            let (helper, command) = (hold(world, HELPER), hold(world, "/run/bin/look"));
            let running = world.command("root", words(&format!("{launcher} /run/bin/look"))).start();
            let _ = helper.stdout_line("wanted");
            let all = processes_named("rauthbind");
            assert_eq!(all.len(), 3, "the launcher, the one between, and the one that becomes the helper: {launcher}");
            for pid in &all {
                wait_until("all to stand still", || {
                    let calls = Stranger::of(*pid).waits_in();
                    calls == [libc::SYS_clone] || calls == [libc::SYS_execve]
                });
                assert_ne!(is_closed(world, *pid) & 1 << NET_BIND_SERVICE, 0, "{launcher}");
            }
            let_go(helper);
            let _ = command.stdout_line("wanted");
            assert_eq!(is_closed(world, running.pid) & 1 << NET_BIND_SERVICE, 0, "{launcher}");
            let_go(command);
            let seen = seen_by(running);
            assert_eq!((seen.one("bind"), seen.one("dumpable"), &*seen.stderr), ("0", "1", ""), "{launcher}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert!(!has(&seen, set, NET_BIND_SERVICE), "{launcher}: {set}");
            }
            no_helper_stays();
        }
    }
}

world_test! {
    /// The same whatever else the kernel was told to leave to those who change their user, or not to.
    fn securebits_leave_nothing_either(world) {
        furnish(world);
        for bits in ["+keep_caps_locked", "+no_setuid_fixup", "+no_setuid_fixup,+no_setuid_fixup_locked,+noroot_locked"] {
            leaves_nothing(world, &format!("setpriv --securebits {bits}"), false);
        }
        leaves_nothing(world, "setpriv --no-new-privs --securebits +no_setuid_fixup,+no_setuid_fixup_locked", true);
        // Nothing outlives the change of user then, so there is nothing to hand over.
        let locked = "setpriv --no-new-privs --securebits +keep_caps_locked rauthbind -u alice";
        is_told(world, "root", locked, "no_new_privs is set");
        let seen = look(world, "root", words(&format!("{locked} /run/bin/look")));
        assert_eq!(seen.one("CapPrm"), "0000000000000000");
        // Root without root's capabilities cannot become anybody.
        let done = world.command("root", words("setpriv --securebits +noroot rauthbind -u alice true")).run();
        assert_eq!(done.status.code(), Some(125), "{}", done.stderr);
    }
}

world_test! {
    /// Root who becomes root has what root has, under no_new_privs too, where no program gets back what was given up.
    fn root_stays_root(world) {
        compile(world, &["look"]);
        for before in ["", "setpriv --no-new-privs", "setpriv --bounding-set -chown --inh-caps +sys_nice"] {
            let plain = look(world, "root", words(&format!("{before} /run/bin/look")));
            let seen = look(world, "root", words(&format!("{before} rauthbind -u root /run/bin/look")));
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(seen.one(set), plain.one(set), "{before}: {set}");
            }
        }
    }
}

/// Runs a shell script as root.
#[track_caller]
fn as_root(world: &World, script: &str) {
    let _ = world.command("root", ["sh", "-ec", &format!("HELPER={HELPER}; {script}")]).run().successful();
}

world_test! {
    /// Where the helper's file does not give it the capability, it is handed over by those who have it; all others are
    /// told in one line.
    fn where_the_file_cannot_serve_the_launcher_does(world) {
        furnish(world);
        let ambient = format!("{WITH_AMBIENT} rauthbind");
        for (done, why, undone) in [
            ("setcap -r $HELPER", "has lost its capability", "setcap cap_net_bind_service=p $HELPER"),
            (
                "mount --bind ${HELPER%/*} ${HELPER%/*}; mount -o remount,bind,nosuid ${HELPER%/*}",
                "mounted nosuid",
                "umount ${HELPER%/*}",
            ),
            (
                // A file system without extended attributes.
                "mkdir /run/tmp/plain; mount -t ramfs ramfs /run/tmp/plain; chmod 755 /run/tmp/plain;
                 cp $HELPER /run/tmp/plain; mount --bind /run/tmp/plain ${HELPER%/*}",
                "on a file system that keeps extended attributes",
                "umount ${HELPER%/*}",
            ),
        ] {
            let _ = is_served(world, "alice", "rauthbind");
            as_root(world, done);
            is_told(world, "alice", "rauthbind", why);
            is_told(world, "root", &format!("{BECOME_ALICE} rauthbind"), why);
            let _ = is_served(world, "root", &ambient);
            leaves_nothing(world, "", true);
            for launcher in [&*ambient, "rauthbind -u alice"] {
                assert_eq!(binds_without_channel(world, "root", launcher), "80 13\n81 13\n", "{done}");
            }
            as_root(world, undone);
        }
    }
}

world_test! {
    /// A launcher that may not hand over says so, and nothing is left to the command.
    fn where_nothing_can_be_handed_over_the_command_is_told(world) {
        furnish(world);
        as_root(world, "setcap -r $HELPER");
        let _ = is_served(world, "root", "rauthbind -u alice");
        // SECBIT_NO_CAP_AMBIENT_RAISE of linux/securebits.h, for which setpriv has no word.
        let without = "import ctypes, os, sys\n\
                       assert not ctypes.CDLL(None).prctl(28, 1 << 6, 0, 0, 0)\n\
                       os.execvp(sys.argv[1], sys.argv[1:])";
        let line = "rauthbind -u alice /run/bin/look";
        let argv = [words("python3 -c"), vec![without.into()], words(line)].concat();
        let seen = look(world, "root", argv);
        assert_eq!((seen.one("bind"), seen.one("CapPrm")), ("13", "0000000000000000"));
        assert_eq!(seen.stderr.lines().count(), 1);
        assert!(seen.stderr.contains("has no capability to bind privileged ports"), "{}", seen.stderr);
    }
}

world_test! {
    /// `--user-env` sets four variables to what the user database says, each once, and changes no other. Without it they
    /// stay as they are.
    fn user_env_sets_what_a_login_would_and_nothing_else(world) {
        furnish(world);
        let names = ["HOME", "USER", "LOGNAME", "SHELL"];
        let run = |options: &str| {
            let entries = "HOME=/somewhere LOGNAME=somebody SHELL=/bin/false HOMES=x USERNAME=y";
            look(world, "root", words(&format!("env {entries} rauthbind {options} /run/bin/look")))
        };
        let plain = run("-u alice");
        assert_eq!(names.map(|name| plain.variable(name)), [["/somewhere"], ["root"], ["somebody"], ["/bin/false"]]);
        for (options, user) in [("-u alice", "alice"), ("-u 4002", "bob"), ("-u carol -g web", "carol")] {
            let seen = run(&format!("{options} --user-env"));
            let home = format!("/run/home/{user}");
            assert_eq!(names.map(|name| seen.variable(name)), [[&*home], [user], [user], ["/bin/sh"]]);
            let others = |seen: &Seen| {
                let ours = ["HOME=", "USER=", "LOGNAME=", "SHELL=", "RAUTHBIND_CHANNEL="];
                let kept = seen.all("entry").into_iter().filter(|entry| !ours.iter().any(|name| entry.starts_with(name)));
                kept.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(others(&seen), others(&plain), "{options}");
        }
    }
}

world_test! {
    /// Entries of the same name, of which a program may heed any, become one; and a user whom nobody knows has none of
    /// these: status 125, one line, and nothing is run.
    fn user_env_leaves_no_second_entry(world) {
        compile(world, &["arrange", "look"]);
        let line = "/run/bin/arrange entry HOME=/a entry HOME=/b entry SHELL=/c -- rauthbind -u alice --user-env /run/bin/look";
        let seen = look(world, "root", words(line));
        assert_eq!((seen.variable("HOME"), seen.variable("SHELL")), (vec!["/run/home/alice"], vec!["/bin/sh"]));
        let done = world.command("root", words("rauthbind -u 77777 -g 77777 --user-env touch /run/tmp/ran")).run();
        assert_eq!((done.status.code(), &*done.stdout), (Some(125), ""));
        assert!(done.stderr.starts_with("rauthbind: user 77777 is in no user database"), "{}", done.stderr);
        assert!(done.stderr.contains("--user-env") && done.stderr.lines().count() == 1, "{}", done.stderr);
        assert!(!Path::new("/run/tmp/ran").exists());
    }
}

world_test! {
    /// Under no_new_privs the inner of two rauthbinds is served by the helper of the outer, and has nothing to say but
    /// by -v; where the outer's channel was closed, it says in one line why not.
    fn the_inner_is_served_by_the_outer(world) {
        furnish(world);
        let inner = "rauthbind setpriv --no-new-privs rauthbind";
        let _ = is_served(world, "alice", inner);
        let _ = is_served(world, "alice", &format!("{inner} {inner}"));
        let done = world.command("alice", words(&format!("{inner} -v /run/bin/binds 80"))).run().successful();
        let said = "rauthbind: user id 4001 is served by the helper of the outer rauthbind over descriptor ";
        assert!(done.stderr.starts_with(said) && done.stdout == "80 0\n", "{}", done.stderr);
        let closed = "rauthbind setpriv --no-new-privs /run/bin/close-all rauthbind";
        is_told(world, "alice", closed, "no_new_privs is set, so that");
        // Without no_new_privs the inner has a helper of its own, and the outer's channel is not handed on.
        let done = world.command("alice", words("rauthbind rauthbind -v /run/bin/binds 80")).run().successful();
        assert!(done.stderr.contains(&format!("is served by {HELPER} over")) && done.stdout == "80 0\n", "{}", done.stderr);
        let seen = is_served(world, "alice", "rauthbind rauthbind");
        assert_eq!(seen.sockets().len(), 1, "{:?}", seen.sockets());
    }
}

world_test! {
    /// A user namespace with root and users of its own, in a network namespace of its own. With the host's ids, all is
    /// as outside. With ids of its own it needs rules and helper that are its own root's: the helper's capability is
    /// handed over by `-u`, or set inside.
    fn containers_with_user_namespaces(world) {
        furnish(world);
        let served = "80 0\n81 13\n";
        let bind = "import socket, sys\n\
                    for port in 80, 81:\n \
                    try: socket.socket().bind(('', port)); print(port, 0)\n \
                    except OSError as e: print(port, e.errno)";
        let _ = world.script("bind-any", &format!("#!/usr/bin/python3\n{bind}\n"));
        let binds = |container: &Container, launcher: &str| container.run(&format!("{launcher} /run/bin/bind-any"));
        let plain = format!("{BECOME_ALICE} rauthbind");
        let root = ["rauthbind -u alice", "setpriv --no-new-privs rauthbind -u alice"];

        let container = Container::start(world, "0 0 65536");
        for launcher in [&*plain, root[0], root[1]] {
            let done = binds(&container, launcher);
            assert_eq!((&*done.stdout, &*done.stderr), (served, ""), "{launcher}");
        }
        // All of this is of no use outside: the port is refused in a network namespace that is not the container's.
        let done = container.run_in_our_network(&format!("{} /run/bin/bind-any", root[0]));
        assert_eq!(done.stdout, "80 13\n81 13\n");

        let shifted = Container::start(world, "0 100000 65536");
        for launcher in [&*plain, root[0], root[1]] {
            let done = binds(&shifted, launcher);
            assert_eq!((&*done.stdout, done.stderr.lines().count()), ("80 13\n81 13\n", 1), "{launcher}");
            assert!(done.stderr.contains("in a user namespace root's files show so"), "{}", done.stderr);
        }
        as_root(world, "chown -R 100000:100000 /etc/rauthbind ${HELPER%/*}");
        chown("/etc/rauthbind/byport/80", None, Some(104_001)).unwrap();
        for launcher in root {
            let done = binds(&shifted, launcher);
            assert_eq!((&*done.stdout, &*done.stderr), (served, ""), "{launcher}");
        }
        assert!(binds(&shifted, &plain).stderr.contains("has lost its capability"));
        let _ = shifted.run(&format!("setcap cap_net_bind_service=p {HELPER}")).successful();
        assert_eq!(binds(&shifted, &plain).stdout, served);
    }
}

/// A user namespace, with namespaces of networks and mounts that belong to it.
struct Container<'w> {
    world: &'w World,
    keeper: Stranger,
}

impl<'w> Container<'w> {
    /// Makes one with this map of user and group ids (user_namespaces(7)), as root may write it.
    fn start(world: &'w World, map: &str) -> Container<'w> {
        let running = world.command("root", words("unshare --user --net --mount sleep infinity")).start();
        let keeper = Stranger::of(running.pid);
        wait_until("the namespaces", || keeper.file("comm") == "sleep\n");
        for kind in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{kind}", running.pid), map).unwrap();
        }
        Container { world, keeper }
    }

    /// Runs something as the container's root.
    fn run(&self, line: &str) -> Finished {
        self.enter("--net", line)
    }

    fn run_in_our_network(&self, line: &str) -> Finished {
        self.enter("", line)
    }

    fn enter(&self, network: &str, line: &str) -> Finished {
        let enter = format!("nsenter --target {} --user --mount {network} {line}", self.keeper.pid);
        self.world.command("root", words(&enter)).run()
    }
}

world_test! {
    /// What was asked for and cannot be printed is an error: status 125, and one line on standard error.
    fn what_cannot_be_printed_is_an_error(world) {
        for option in ["--help", "--version", "-h", "-V"] {
            let run = |to: &str| world.command("alice", ["sh", "-c", &format!("exec rauthbind {option} {to}")]).run();
            assert!(!run("").successful().stdout.is_empty());
            for (to, why) in [(">&-", "Bad file"), (">/dev/full", "No space left"), ("</dev/null >&0", "Bad file")]
            {
                let done = run(to);
                assert_eq!((done.status.code(), &*done.stdout, done.stderr.lines().count()), (Some(125), "", 1), "{to}");
                assert!(done.stderr.starts_with("rauthbind: standard output: ") && done.stderr.contains(why), "{to}");
            }
        }
    }
}
