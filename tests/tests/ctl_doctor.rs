//! `rauthbindctl doctor`: what it finds that the launcher does not look for, and what it says of commands. Whatever the
//! launcher complains of, it is asked about in setup.rs.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use rauthbind_tests::{World, wait_until, world_test};
use rauthbind_wire::names::{BROKER, HELPER, RULES, SHIM, UNPRIVILEGED_PORT_START};

const LAUNCHER: &str = "/usr/local/bin/rauthbind";

/// Runs a shell script as root, in which `$HELPER`, `$SHIM`, `$RULES` and `$LAUNCHER` are what they are called.
#[track_caller]
fn as_root(world: &World, script: &str) {
    let names = format!("HELPER={HELPER} SHIM={SHIM} RULES={RULES} LAUNCHER={LAUNCHER};");
    let _ = world.command("root", ["sh", "-ec", &format!("{names} {script}")]).run().successful();
}

/// Sees that doctor ends so and says these lines, or lines that begin so, in this order and no others, whoever asks.
#[track_caller]
fn says(world: &World, command: &[&str], status: i32, lines: &[String]) {
    for user in ["root", "alice"] {
        let done = world.command(user, ["rauthbindctl", "doctor"].iter().chain(command)).run();
        assert_eq!((done.status.code(), &*done.stderr), (Some(status), ""), "{user}: {}", done.stdout);
        let said: Vec<_> = done.stdout.lines().collect();
        assert_eq!(said.len(), lines.len(), "{user}: {}", done.stdout);
        for (said, line) in said.iter().zip(lines) {
            assert!(said.starts_with(line), "{user}: {said:?} does not begin with {line:?}");
        }
    }
}

#[track_caller]
fn is_well(world: &World) {
    says(world, &[], 0, &["nothing is wrong".into()]);
}

world_test! {
    /// Files that others than root could replace, a launcher that is missing, privileged or of another version, a shim
    /// that is none: each found, with a mend that mends it.
    fn what_is_installed_is_roots_and_of_one_version(world) {
        is_well(world);
        let owner = |path: &str, uid: u32| {
            format!("wrong: {path} belongs to user id {uid}, not to root; as root, run: chown root {path}")
        };
        let writable = |path: &str, mode: &str| {
            format!("wrong: {path} can be written to by others than root (mode {mode}); as root, run: chmod go-w {path}")
        };
        let directory = HELPER.rsplit_once('/').unwrap().0;
        let version = concat!("rauthbind", " 0.0.0");
        for (done, found, mend) in [
            ("chown alice $SHIM", owner(SHIM, 4001), ""),
            ("chmod g+w $SHIM", writable(SHIM, "0664"), ""),
            ("chmod o+w $LAUNCHER", writable(LAUNCHER, "0757"), ""),
            ("chown bob $LAUNCHER", owner(LAUNCHER, 4002), ""),
            ("chmod o+w $HELPER", writable(HELPER, "0757"), ""),
            ("chmod 1777 ${HELPER%/*}", writable(directory, "1777"), ""),
            ("mkdir /run/rauthbind; chmod 777 /run/rauthbind", writable("/run/rauthbind", "0777"), ""),
            (
                "chmod u+s $LAUNCHER",
                format!("wrong: {LAUNCHER} is setuid, setgid or has capabilities of its own"),
                "chmod u-s $LAUNCHER",
            ),
            (
                "setcap cap_net_bind_service=ep $LAUNCHER",
                format!("wrong: {LAUNCHER} is setuid, setgid or has capabilities of its own"),
                "setcap -r $LAUNCHER",
            ),
            ("mv $LAUNCHER /run/away", "wrong: there is no rauthbind in PATH".into(), "mv /run/away $LAUNCHER"),
            (
                "printf '#!/bin/sh\\necho rauthbind 0.0.0\\n' >/usr/local/sbin/rauthbind; chmod 755 /usr/local/sbin/rauthbind",
                format!("wrong: /usr/local/sbin/rauthbind says that it is {version:?}"),
                "rm /usr/local/sbin/rauthbind",
            ),
            (
                "mv $SHIM $SHIM.away; install -m 644 /etc/hosts $SHIM",
                format!("wrong: {SHIM} cannot be used: ERROR: ld.so: object '{SHIM}' from LD_PRELOAD cannot be preloaded"),
                "mv $SHIM.away $SHIM",
            ),
        ] {
            as_root(world, done);
            says(world, &[], 1, std::slice::from_ref(&found));
            as_root(world, if mend.is_empty() { found.split_once("run: ").unwrap().1 } else { mend });
            is_well(world);
        }
    }
}

world_test! {
    /// Rules that others than root could change, and files that are no effective rules.
    fn rules_are_roots_and_are_rules(world) {
        world.grant("byport/80", "alice");
        world.byuid("4001", "# web\n127.0.0.1,81\n");
        is_well(world);
        for (done, file) in [
            ("chown alice $RULES/byport/80", "byport/80"),
            ("chmod g+w $RULES/byport/80", "byport/80"),
            ("setfacl -m u:bob:rwx $RULES/byport/80", "byport/80"),
            ("chmod o+w $RULES/byuid/4001", "byuid/4001"),
        ] {
            as_root(world, done);
            let path = format!("{RULES}/{file}");
            let mend = format!("chown root {path} && chmod go-w {path}");
            let found = "can be changed by others than root, who can grant themselves or others more; as root, run:";
            says(world, &[], 1, &[format!("wrong: {path} {found} {mend}")]);
            as_root(world, &mend);
            is_well(world);
        }
        as_root(world, ": >$RULES/byport/http; chown alice $RULES/byport/http");
        let idle = format!("note: {RULES}/byport/http is not what it seems to be; rauthbindctl list tells why");
        says(world, &[], 0, &[idle, "nothing is wrong".into()]);
    }
}

world_test! {
    /// What is around it: rules that nobody may execute, ports that are not privileged, a broker that serves in the place
    /// of the helper's file.
    fn the_surroundings_are_told(world) {
        as_root(world, "mount --bind $RULES $RULES; mount -o remount,bind,noexec $RULES");
        says(world, &[], 1, &[format!("wrong: {RULES} is on a file system that is mounted noexec")]);
        as_root(world, "umount $RULES");
        let well = || String::from("nothing is wrong");
        for (start, found) in [("80", "note: ports from 80 on are not privileged"), ("0", "note: no port is privileged here")] {
            fs::write(UNPRIVILEGED_PORT_START, start).unwrap();
            says(world, &[], 0, &[found.into(), well()]);
        }
        fs::write(UNPRIVILEGED_PORT_START, "1024").unwrap();

        as_root(world, "setcap -r $HELPER; mkdir /run/rauthbind");
        let lost = format!("{HELPER} has lost its capability");
        says(world, &[], 1, &[format!("wrong: {lost}")]);
        let server = world.command("root", ["s6-ipcserver", "-a", "0666", BROKER, HELPER, "--broker"]).start();
        wait_until("the broker", || UnixStream::connect(BROKER).is_ok());
        says(world, &[], 0, &[format!("note: the broker, {BROKER}, serves; without it: {lost}"), well()]);
        server.kill(rauthbind_tests::Signal::SIGTERM);
        let _ = server.wait();
        let silent = format!("note: nobody answers at the broker's socket, {BROKER}");
        says(world, &[], 1, &[format!("wrong: {lost}"), silent]);
    }
}

world_test! {
    /// What is said of a command: what it is in the end, how auto would serve it, and what keeps it from being served.
    fn a_command_is_looked_at(world) {
        let well = || String::from("nothing is wrong");
        let source = "int main(void) { return 0; }";
        let path = |name: &str| format!("/run/bin/{name}");
        for (options, name) in [(&[][..], "dynamic"), (&["-static"], "static"), (&["-m32"], "small")] {
            let _ = world.compile_c_with(options, name, source);
        }
        let unloadable = ["-Wl,--dynamic-linker=/nowhere/ld-linux.so"];
        let _ = world.compile_c_with(&unloadable, "unloadable", source);
        let preloaded = |name: &str| format!("note: {name} has the loader /lib64/ld-linux-x86-64.so.2: mode auto preloads");
        says(world, &["--", &path("dynamic"), "--its", "-options"], 0, &[preloaded(&path("dynamic")), well()]);
        for (name, barrier) in [("static", "is linked statically"), ("small", "is for another machine or word size")] {
            let found = format!("note: {} {barrier}: mode auto supervises it, under no_new_privs", path(name));
            says(world, &["--", &path(name)], 0, &[found, well()]);
        }
        let found = format!("wrong: {}: its loader, /nowhere/ld-linux.so, is not there", path("unloadable"));
        says(world, &["--", &path("unloadable")], 1, &[found]);

        for (interpreter, status, found) in [
            (path("dynamic"), 0, vec![preloaded(&path("dynamic"))]),
            ("/nowhere/interpreter".into(), 1, vec![]),
            (format!("/usr/bin/env {}", path("dynamic")), 0, vec![preloaded(&path("dynamic"))]),
        ] {
            let script = world.script("script", &format!("#!{interpreter}\n"));
            let script = script.to_str().unwrap();
            let mut found = found;
            let last = interpreter.rsplit(' ').next().unwrap();
            found.insert(0, match status {
                0 => format!("note: {script} is run by {last}; should it start programs"),
                _ => format!("wrong: {script}: its interpreter, {last}, is not there"),
            });
            found.extend((status == 0).then(well));
            says(world, &["--", script], status, &found);
        }
        let script = path("script");
        fs::set_permissions(&script, Permissions::from_mode(0o644)).unwrap();
        says(world, &["--", &script], 1, &[format!("wrong: {script} cannot be executed; run: chmod a+x {script}")]);
        fs::write(&script, "true\n").and_then(|()| fs::set_permissions(&script, Permissions::from_mode(0o755))).unwrap();
        says(world, &["--", &script], 2, &[format!("cannot tell: {script} cannot be read or is no ELF file")]);

        for (privilege, name) in [("chmod u+s", "dynamic"), ("chmod g+s", "static"), ("setcap cap_net_raw=ep", "small")] {
            as_root(world, &format!("{privilege} {}", path(name)));
            let found = format!("wrong: {} is setuid, setgid or has capabilities of its own", path(name));
            says(world, &["--", &path(name)], 1, &[found]);
        }
        // Some devices act when they are opened.
        std::os::unix::fs::symlink("/dev/full", path("device")).unwrap();
        let strace = ["strace", "-f", "-eopenat", "rauthbindctl", "doctor", "--", &path("device")];
        let done = world.command("root", strace).run();
        assert!(done.stderr.contains("openat(") && !done.stderr.contains("device"), "{}", done.stderr);

        says(world, &["--", "no-such-command"], 1, &["wrong: there is no command \"no-such-command\"".into()]);
        says(world, &["--", "rauthbind", "true"], 2, &[format!("cannot tell: {LAUNCHER} is rauthbind itself")]);
        // What is in a name stays on its line.
        says(world, &["--", "/nowhere/\u{1b}[31m\n"], 1, &["wrong: there is no command \"/nowhere/\\u{1b}[31m\\n\"".into()]);
    }
}

world_test! {
    /// What keeps static programs from being supervised is a remark, and wrong where the command is one.
    fn without_supervision_static_programs_are_not_served(world) {
        let _ = world.compile_c_with(&["-static"], "static", "int main(void) { return 0; }");
        // This kernel's own files cannot be changed, so others are laid over them.
        as_root(world, "mount -t tmpfs none /proc/sys/kernel; mkdir /proc/sys/kernel/seccomp /proc/sys/kernel/yama");
        let cannot = "programs that are static or written in Go cannot be supervised";
        for (actions, scope, told) in [
            ("kill_process user_notif allow", "0", None),
            ("kill_process user_notif allow", "1", None),
            ("kill_process user_notif allow", "2", Some("kernel.yama.ptrace_scope is 2")),
            ("kill_process user_notif allow", "3", Some("kernel.yama.ptrace_scope is 3")),
            ("kill_process allow", "0", Some("the kernel has no seccomp notifications")),
        ] {
            fs::write("/proc/sys/kernel/seccomp/actions_avail", actions).unwrap();
            fs::write("/proc/sys/kernel/yama/ptrace_scope", scope).unwrap();
            let supervised = "note: /run/bin/static is linked statically: mode auto supervises it".to_owned();
            match told {
                None => is_well(world),
                Some(told) => {
                    says(world, &[], 0, &[format!("note: {cannot}: {told}"), "nothing is wrong".into()]);
                    let wrong = format!("wrong: {cannot}: {told}");
                    says(world, &["--", "/run/bin/static"], 1, &[wrong, supervised]);
                }
            }
        }
    }
}
