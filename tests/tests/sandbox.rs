//! The sandbox itself: what is in it, and that nothing gets out of it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rauthbind_tests::{Running, Signal, stage, world_test};

/// A sandbox as from a shell.
fn sandbox(argv: &[&str]) -> Running {
    Running::start(Command::new(env!("CARGO_BIN_EXE_sandbox")).args(argv).env("RAUTHBIND_STAGE", stage()))
}

world_test! {
    /// There is loopback, it is up, and there is nothing else.
    fn loopback_is_the_only_interface(_world) {
        let table = fs::read_to_string("/proc/self/net/dev").unwrap();
        let names: Vec<_> = table.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
        assert_eq!(names, ["lo"]);
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(address).unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        }
    }
}

world_test! {
    /// Process 1 is the sandbox's own, and its child is the command.
    fn process_ids_begin_anew(_world) {
        assert_eq!(fs::read_to_string("/proc/1/comm").unwrap().trim(), "sandbox");
        assert_eq!(std::os::unix::process::parent_id(), 1);
    }
}

world_test! {
    /// Each user has the groups that were promised, a home, and no more of root than anyone has.
    fn users_are_ordinary(world) {
        for (name, id, groups) in [
            ("alice", 4001, "4001 4100"),
            ("bob", 4002, "4002"),
            ("carol", 4003, "4003 4100"),
        ] {
            let done = world.command(name, ["sh", "-c", "id -u; id -g; id -G; id -un; pwd; grep -h CapEff /proc/self/status"]).run();
            let expected = format!("{id}\n{id}\n{groups}\n{name}\n/run/home/{name}\nCapEff:\t0000000000000000\n");
            assert_eq!(done.successful().stdout, expected);
            assert_eq!(fs::metadata(format!("/run/home/{name}")).unwrap().uid(), id);
        }
    }
}

world_test! {
    /// The environment of a command is what a login gives, and what the test adds.
    fn environment_is_clean(world) {
        let done = world.command("alice", ["env"]).env("ADDED", "yes").run().successful();
        let mut lines: Vec<_> = done.stdout.lines().collect();
        lines.sort_unstable();
        let path = format!("PATH={}", xtask::packages::PATH);
        assert_eq!(lines, ["ADDED=yes", "HOME=/run/home/alice", "LANG=C.UTF-8", &path, "USER=alice"]);
    }
}

world_test! {
    /// The staged tree is installed, and there is no rule.
    fn stage_is_installed(world) {
        assert!(world.command("alice", ["sh", "-c", "command -v rauthbind"]).run().successful().stdout.contains("/usr/local/bin/"));
        let rules = world.command("root", ["find", "/etc/rauthbind", "-type", "f"]).run();
        assert_eq!(rules.successful().stdout, "");
    }
}

world_test! {
    /// Programs find the devices that they expect; there is no log but one that a test makes.
    fn devices_are_there(world) {
        let script = "set -e; echo x > /dev/null; head -c1 /dev/zero /dev/urandom > /dev/null; echo x > /dev/shm/x; \
                      test -c /dev/ptmx; test ! -e /dev/log; echo y < /dev/null; test -p /dev/stdout";
        assert_eq!(world.command("alice", ["sh", "-c", script]).run().successful().stdout, "y\n");
        let log = world.log();
        let python = "import syslog; syslog.syslog('heard')";
        world.command("alice", ["python3", "-c", python]).run().successful();
        assert!(log.line("heard").starts_with('<'));
    }
}

world_test! {
    /// What a test compiles or writes, an ordinary user can run.
    fn programs_of_a_test_run(world) {
        let compiled = world.compile_c("seven", "int main(void) { return 7; }");
        assert_eq!(world.command("alice", [compiled]).run().status.code(), Some(7));
        let script = world.script("eight", "#!/bin/sh\nexit 8\n");
        assert_eq!(world.command("bob", [script]).run().status.code(), Some(8));
    }
}

world_test! {
    /// A failure is told with the commands, the rules and the log.
    fn report_tells_everything(world) {
        world.rule("byport/80", "root", "web", 0o710);
        world.byuid("4001", "0.0.0.0/0,80\n");
        world.grant("byport/81", "bob");
        world.grant("byport/82", "bob");
        world.remove_rule("byport/82");
        world.log();
        let _ = world.command("alice", ["sh", "-c", "echo to out; echo 'to err' >&2; exit 3"]).run();
        // user::7 user:4002:1 group::1 mask::1 other::0
        let acl: [u8; 44] = {
            let mut bytes = [0xff; 44];
            bytes[..4].copy_from_slice(&[2, 0, 0, 0]);
            for (entry, (tag, bits)) in bytes[4..].chunks_exact_mut(8).zip([(1, 7), (2, 1), (4, 1), (16, 1), (32, 0)]) {
                entry[..4].copy_from_slice(&[tag, 0, bits, 0]);
            }
            bytes[16..20].copy_from_slice(&4002_u32.to_le_bytes());
            bytes
        };
        xattr::set("/etc/rauthbind/byport/80", "system.posix_acl_access", &acl).unwrap();
        let report = world.report();
        for part in [
            r#"alice$ sh -c 'echo to out; echo '\''to err'\'' >&2; exit 3' ["#,
            "]\n  exit status: 3\n  stdout: to out\n  stderr: to err\n",
            "  -0710 0:4100 /etc/rauthbind/byport/80 user:4002:--x mask::--x\n",
            "  -0710 0:4002 /etc/rauthbind/byport/81\n",
            "  -0644 0:0 /etc/rauthbind/byuid/4001\n    | 0.0.0.0/0,80\n",
            "log:\n",
        ] {
            assert!(report.contains(part), "no {part:?} in {report}");
        }
        assert!(!report.contains("byport/82"), "{report}");
    }
}

/// The command's status is the sandbox's, as env(1) and shells have it.
#[test]
fn status_is_the_commands() {
    for (argv, status) in [
        (&["sh", "-c", "exit 3"][..], 3),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["/etc"], 126),
        (&["/no/such/program"], 127),
        (&[], 125),
    ] {
        assert_eq!(sandbox(argv).wait().status.code(), Some(status), "{argv:?}");
    }
}

/// An orphan is reaped, and does not end the sandbox before its command ends.
#[test]
fn orphans_are_reaped() {
    let script = "(sleep 0 & echo $!) | { read orphan; while [ -e /proc/$orphan ]; do :; done; echo gone; }";
    assert_eq!(sandbox(&["sh", "-c", script]).wait().successful().stdout, "gone\n");
}

/// What is written below /etc, /usr/local, /dev and /run, and what is mounted, stays inside.
#[test]
fn machine_is_untouched() {
    let name = format!("rauthbind-sandbox-test-{}", std::process::id());
    let script = format!(
        "for d in /etc /usr/local /dev /run; do touch $d/{name}; done; mount -t tmpfs {name} /mnt; grep -q alice /etc/passwd"
    );
    let before = fs::read_to_string("/etc/passwd").unwrap();
    sandbox(&["sh", "-c", &script]).wait().successful();
    assert_eq!(fs::read_to_string("/etc/passwd").unwrap(), before);
    for directory in ["/etc", "/usr/local", "/dev", "/run"] {
        assert!(!Path::new(directory).join(&name).exists(), "{directory}/{name}");
    }
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&name));
}

/// Queues and semaphores of System V, which no process's end takes away, end with the sandbox.
#[test]
fn system_v_ipc_is_not_the_machines() {
    let inside = sandbox(&["readlink", "/proc/self/ns/ipc"]).wait().successful().stdout;
    assert!(inside.starts_with("ipc:["), "{inside}");
    assert_ne!(Path::new(inside.trim_end()), fs::read_link("/proc/self/ns/ipc").unwrap());
}

/// The stage lies over the machine, wherever the stage may be; but neither one's rules are there.
#[test]
fn stage_goes_before_machine_but_for_rules() {
    let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a stage, with: odd\\name");
    for directory in ["usr/local", "etc/rauthbind/byport", "etc/rauthbind/byaddr", "etc/rauthbind/byuid"] {
        fs::create_dir_all(stage.join(directory)).unwrap();
    }
    fs::write(stage.join("etc/rauthbind/byport/80"), "").unwrap();
    fs::write(stage.join("etc/group"), "staged:x:9:\n").unwrap();
    let script = "grep -o '^staged' /etc/group; ls -A /etc/rauthbind/byport";
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    let done = Running::start(command.args(["sh", "-c", script]).env("RAUTHBIND_STAGE", &stage)).wait();
    assert_eq!(done.successful().stdout, "staged\n");
    assert!(stage.join("etc/rauthbind/byport/80").exists());
    fs::remove_dir_all(stage).unwrap();
}

/// When the command ends, all that it has left behind ends: the pipe that they hold comes to its end.
#[test]
fn processes_end_with_the_command() {
    let done = sandbox(&["sh", "-c", "setsid sleep 1000000 & exit 0"]).wait();
    assert!(done.status.success());
}

/// When the sandbox is killed, so is everything in it, be it outside or inside of the command's session.
#[test]
fn processes_end_with_the_sandbox() {
    let running = sandbox(&["sh", "-c", "setsid sleep 1000000 & echo ready; wait"]);
    running.stdout_line("ready");
    running.kill(Signal::SIGKILL);
    assert!(!running.wait().status.success());
}

/// When whoever started the sandbox is killed, so is the sandbox.
#[test]
fn sandbox_ends_with_its_parent() {
    let script = format!("{} sh -c 'echo ready; exec sleep 1000000'; :", env!("CARGO_BIN_EXE_sandbox"));
    let running = Running::start(Command::new("sh").args(["-c", &script]).env("RAUTHBIND_STAGE", stage()));
    running.stdout_line("ready");
    running.kill(Signal::SIGKILL);
    assert!(!running.wait().status.success());
}

/// Without a tree to install, it says what to do.
#[test]
fn without_a_stage() {
    let done =
        Running::start(Command::new(env!("CARGO_BIN_EXE_sandbox")).arg("true").env_remove("RAUTHBIND_STAGE")).wait();
    assert_eq!(done.status.code(), Some(125));
    assert!(done.stderr.contains("`cargo xtask test`"), "{}", done.stderr);
}
