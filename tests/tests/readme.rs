//! README.md tells the truth: each of its commands is run as it stands there, and does what is said. What has no test fails.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::sys::signal::kill;
use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::readme::{block, blocks, commands, phrase, phrases};
use rauthbind_tests::{Signal, Stranger, World, checkout, holders, source, wait_until, world_test};

/// The commands of cargo and in the text, as they are, and the blocks, by their beginnings; each with the file and the test
/// in which it is run. The tests of this file know each line of their blocks.
const TESTS: &[(&str, &str, &str)] = &[
    ("cargo xtask demo", "demo.rs", "demo_happens_as_told"),
    // It runs this very test.
    ("cargo xtask test", "tree.rs", "the_readme_begins_with_the_two_commands"),
    ("cargo xtask install", "install.rs", "table_is_installed_and_nothing_else"),
    ("cargo xtask bench", "bench.rs", "a_round_of_the_benchmark_runs_through"),
    // What it does without end, for a while.
    ("cargo xtask fuzz", "fuzz.rs", "the_helper_binds_what_is_granted_alone"),
    // Fewer of them.
    ("cargo xtask soak", "soak.rs", "a_short_soak_loses_nothing"),
    ("cargo xtask uninstall", "install.rs", "uninstall_leaves_the_rules"),
    ("cargo xtask install --authbind-compat", "authbind.rs", "a_start_script_runs_unchanged"),
    ("cargo xtask package deb", "packages.rs", "a_debian_package_from_install_to_purge"),
    ("cargo xtask package rpm", "packages.rs", "an_rpm_from_install_to_removal"),
    ("rpm --nocaps", "packages.rs", "an_rpm_from_install_to_removal"),
    ("rauthbindctl allow", "readme.rs", "rauthbindctl_does_what_is_said"),
    ("rauthbindctl export", "ctl.rs", "what_is_exported_can_be_applied_anywhere"),
    ("rauthbindctl apply", "ctl.rs", "what_is_exported_can_be_applied_anywhere"),
    ("# alice, by the group", "readme.rs", "each_grant_is_one"),
    ("rauthbind python3", "readme.rs", "each_server_serves"),
    ("[Service]", "systemd.rs", "what_the_readme_says_of_systemd_is_so"),
    ("#!/bin/sh", "readme.rs", "the_run_script_serves"),
    ("policy/", "readme.rs", "the_layout_is_that_of_the_checkout"),
    ("rauthbindctl import --apply", "readme.rs", "rules_of_authbind_are_taken_over"),
    ("rauthbindctl explain", "readme.rs", "what_does_not_work_is_explained"),
    ("systemctl link", "systemd.rs", "what_the_readme_says_of_systemd_is_so"),
    ("systemctl enable --now rauthbind-broker.socket", "systemd.rs", "what_the_readme_says_of_systemd_is_so"),
    ("journalctl -t rauthbind-helper", "systemd.rs", "what_the_readme_says_of_systemd_is_so"),
];

/// What is set off in the text and is no command to type, but options, packages, and what the reader knows.
const NO_COMMANDS: [&str; 6] =
    ["gcc libc6-dev", "--prefix DIR", "--destdir DIR", "--mode supervise", "env -i", "man rauthbind"];

#[test]
fn nothing_is_without_a_test() {
    let (cargos, blocks): (Vec<_>, Vec<_>) = blocks().into_iter().partition(|block| block.starts_with("cargo "));
    let cargos = cargos.iter().flat_map(|block| commands(block)).map(str::to_owned);
    let (others, phrases): (Vec<_>, Vec<_>) =
        phrases().into_iter().partition(|phrase| NO_COMMANDS.contains(&&**phrase));
    let mut unused = TESTS.to_vec();
    for what in cargos.chain(phrases).chain(blocks) {
        let is_it = |known: &str| what == known || (what.ends_with('\n') && what.starts_with(known));
        let found = TESTS.iter().find(|(known, ..)| is_it(known));
        let (_, file, test) = found.unwrap_or_else(|| panic!("no test of {what:?}"));
        let code = source(Path::new("tests/tests").join(file));
        assert!(code.contains(&format!("fn {test}(")), "{file} has no test {test}");
        unused.retain(|(known, ..)| !is_it(known));
    }
    assert_eq!(unused, [], "no longer in the README");
    assert_eq!(others, NO_COMMANDS);
}

#[test]
fn the_layout_is_that_of_the_checkout() {
    let layout = block("policy/");
    let names = layout.lines().flat_map(|line| line.split("  ").next().unwrap_or_default().split(", "));
    for name in names {
        assert!(checkout().join(name).exists(), "there is no {name}");
    }
}

/// Has root type this.
#[track_caller]
fn type_as_root(world: &World, line: &str) {
    let _ = world.command("root", ["sh", "-c", line]).run().successful();
}

/// Whether a program of this user's gets this port, "tcp" or "udp".
#[track_caller]
fn gets(world: &World, user: &str, protocol: &str, address: &str, port: u16) -> bool {
    let kind = if protocol == "tcp" { "SOCK_STREAM" } else { "SOCK_DGRAM" };
    let bind = format!("from socket import *; socket(AF_INET, {kind}).bind(('{address}', {port}))");
    let become_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"];
    let done = world.command("root", become_user.into_iter().chain(["rauthbind", "python3", "-c", &bind])).run();
    assert!(done.status.success() || done.stderr.contains("PermissionError"), "{}", done.stderr);
    done.status.success()
}

world_test! {
    /// What root types under Grant with rauthbindctl grants and takes back what is said, and shows it.
    fn rauthbindctl_does_what_is_said(world) {
        // As if the machine had it.
        fs::write("/proc/sys/net/ipv4/ip_nonlocal_bind", "1").unwrap();
        let block = block("rauthbindctl allow");
        for command in commands(&block) {
            let done = world.command("root", command.split(' ')).run();
            let gets = |user, protocol, address, port| gets(world, user, protocol, address, port);
            match command {
                "rauthbindctl allow 80,443 alice" => {
                    assert!(gets("alice", "tcp", "0.0.0.0", 80) && gets("alice", "udp", "127.0.0.1", 443));
                    assert!(!gets("bob", "tcp", "0.0.0.0", 80));
                }
                "rauthbindctl allow 53/udp @www-data --addr 192.0.2.1" => {
                    assert!(gets("www-data", "udp", "192.0.2.1", 53) && !gets("www-data", "udp", "0.0.0.0", 53));
                    assert!(!gets("www-data", "tcp", "192.0.2.1", 53) && !gets("alice", "udp", "192.0.2.1", 53));
                }
                "rauthbindctl list" => {
                    let rule = "53\tudp\t192.0.2.1\t@www-data\tbyaddr/192.0.2.1,53,udp\n";
                    assert!(done.stdout.contains(rule), "{}", done.stdout);
                }
                "rauthbindctl explain 80 --user bob" => {
                    assert!(done.stdout.contains("byport/80 is not executable for this user"), "{}", done.stdout);
                }
                "rauthbindctl revoke 80 alice" => {
                    assert!(!gets("alice", "tcp", "0.0.0.0", 80) && gets("alice", "tcp", "0.0.0.0", 443));
                }
                other => panic!("no test of {other}"),
            }
            assert_eq!(done.status.code(), Some(i32::from(command.contains("explain"))), "{command}");
        }
    }
}

world_test! {
    /// What root types under Grant lets those bind who are named, and nobody else, until it is taken back.
    fn each_grant_is_one(world) {
        // As if the machine had it.
        fs::write("/proc/sys/net/ipv4/ip_nonlocal_bind", "1").unwrap();
        let who_gets = |protocol, address, port| {
            ["alice", "bob", "carol", "www-data"].map(|user| gets(world, user, protocol, address, port))
        };
        let (nobody, all) = ([false; 4], [true; 4]);
        for command in commands(&block("# alice")) {
            type_as_root(world, command);
            match command {
                "install -m 0710 -o root -g alice /dev/null /etc/rauthbind/byport/80" => {
                    assert_eq!(who_gets("tcp", "127.0.0.1", 80), [true, false, false, false]);
                    assert_eq!(who_gets("udp", "0.0.0.0", 80), [true, false, false, false]);
                }
                "install -m 0700 /dev/null /etc/rauthbind/byport/443,tcp" => {
                    assert_eq!(who_gets("tcp", "0.0.0.0", 443), nobody);
                }
                "setfacl -m u:alice:x,u:bob:x /etc/rauthbind/byport/443,tcp" => {
                    assert_eq!(who_gets("tcp", "0.0.0.0", 443), [true, true, false, false]);
                    assert_eq!(who_gets("udp", "0.0.0.0", 443), nobody);
                }
                "install -m 0710 -o root -g www-data /dev/null /etc/rauthbind/byaddr/192.0.2.1,53,udp" => {
                    assert_eq!(who_gets("udp", "192.0.2.1", 53), [false, false, false, true]);
                    assert_eq!(who_gets("tcp", "192.0.2.1", 53), nobody);
                    assert_eq!(who_gets("udp", "127.0.0.1", 53), nobody);
                }
                "install -m 0755 /dev/null /etc/rauthbind/byport/25" => {
                    assert_eq!(who_gets("tcp", "0.0.0.0", 25), all);
                }
                "rm /etc/rauthbind/byport/25" => assert_eq!(who_gets("tcp", "0.0.0.0", 25), nobody),
                other => panic!("no test of {other}"),
            }
        }
    }
}

world_test! {
    /// What authbind granted is granted, and rules that were others' are root's.
    fn rules_of_authbind_are_taken_over(world) {
        for directory in ["byport", "byaddr", "byuid"] {
            fs::create_dir_all(Path::new("/etc/authbind").join(directory)).unwrap();
        }
        fs::write("/etc/authbind/byport/80", "").unwrap();
        fs::set_permissions("/etc/authbind/byport/80", Permissions::from_mode(0o500)).unwrap();
        chown("/etc/authbind/byport/80", Some(world.user("alice").uid.as_raw()), None).unwrap();
        fs::write("/etc/authbind/byuid/4002", "0.0.0.0/0:81,81\n").unwrap();
        fs::set_permissions("/etc/authbind/byuid/4002", Permissions::from_mode(0o600)).unwrap();
        let got = || [("alice", 80), ("bob", 80), ("alice", 81), ("bob", 81)].map(|(user, port)| gets(world, user, "tcp", "0.0.0.0", port));
        let import = phrase("rauthbindctl import --apply");
        let shown = import.trim_end_matches(" --apply");
        let shown = world.command("root", ["sh", "-c", shown]).run().successful().stdout;
        assert!(shown.contains("dangerous: byport/80 belonged to alice"), "{shown}");
        assert_eq!(got(), [false; 4]);
        type_as_root(world, import);
        assert_eq!(got(), [true, false, false, true]);
    }
}

world_test! {
    /// What root types then says what there is to know.
    fn what_does_not_work_is_explained(world) {
        let told = [
            "refused: there is no rule for it",
            "nothing is wrong",
            "/usr/bin/node has the loader",
        ];
        let block = block("rauthbindctl explain");
        let commands: Vec<_> = commands(&block).collect();
        assert_eq!(commands.len(), told.len());
        for (command, told) in commands.into_iter().zip(told) {
            let done = world.command("root", ["sh", "-c", command]).run();
            assert!(done.stdout.contains(told), "{command}: {}{}", done.stdout, done.stderr);
        }
    }
}

/// Makes a file for alice.
fn write(path: &str, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Puts the servers that the README names where it says they are, and nothing of it on the machine.
fn furnish(world: &World) {
    type_as_root(world, "mount -t tmpfs none /opt && mount -t tmpfs none /srv && mkdir /srv/app");
    write("/run/home/alice/index.html", "python's page\n", 0o644);
    write("/run/home/alice/server.js", include_str!("readme/server.js"), 0o644);
    write("/srv/app/server.js", include_str!("readme/server.js"), 0o644);
    write("/srv/app/index.html", "the app's page\n", 0o644);
    write("/srv/app/serve", "#!/bin/sh\nexec python3 -m http.server 80\n", 0o755);
}

/// The java of the README: an app, and a tomcat of alice's own.
fn furnish_java(world: &World) {
    write("/run/tmp/App.java", include_str!("readme/App.java"), 0o644);
    let compile =
        "cd /run/tmp && javac App.java && jar --create --file /run/home/alice/app.jar --main-class App App*.class";
    type_as_root(world, &format!("export JAVA_TOOL_OPTIONS={NO_STATISTICS}; {compile}"));
    let tomcat = "cp -rL /usr/share/tomcat10 /opt/tomcat && cd /opt/tomcat && mkdir -p conf logs webapps/ROOT/WEB-INF";
    type_as_root(world, tomcat);
    write("/opt/tomcat/conf/server.xml", include_str!("readme/server.xml"), 0o644);
    write("/opt/tomcat/webapps/ROOT/WEB-INF/web.xml", include_str!("readme/web.xml"), 0o644);
    write("/opt/tomcat/webapps/ROOT/index.html", "tomcat's page\n", 0o644);
    type_as_root(world, "chown -R alice:alice /opt/tomcat");
}

/// Keeps java from writing to the machine's /tmp.
const NO_STATISTICS: &str = "-XX:-UsePerfData";

/// Ends whoever holds a port.
#[track_caller]
fn end_holders(port: u16) {
    // One may end by another's end.
    for pid in holders("tcp", port) {
        let _ = kill(pid, Signal::SIGTERM);
    }
    wait_until("the port to be free", || holders("tcp", port).is_empty());
}

world_test! {
    /// Each command under Run, as alice types it, serves port 80, as alice.
    fn each_server_serves(world) {
        furnish(world);
        furnish_java(world);
        let go_server = world.compile_go("go-server", include_str!("readme/server.go"));
        fs::copy(go_server, "/run/home/alice/go-server").unwrap();
        write("/run/home/alice/start-everything.sh", "#!/bin/sh\n./go-server & python3 -m http.server 81 & wait\n", 0o755);
        for port in [80, 81] {
            world.grant(&format!("byport/{port}"), "alice");
        }
        for command in commands(&block("rauthbind python3")) {
            let page = match command {
                "rauthbind python3 -m http.server 80" => "python's",
                "rauthbind node server.js" => "node's",
                "rauthbind java -jar app.jar" => "java's",
                "rauthbind /opt/tomcat/bin/catalina.sh run" => "tomcat's",
                "rauthbind sh -c 'cd /srv/app && exec ./serve'" => "the app's",
                "rauthbind ./go-server" | "rauthbind --mode supervise ./start-everything.sh" => "go's",
                other => panic!("no test of {other}"),
            };
            let server = world.command("alice", ["sh", "-c", command]).env("JAVA_TOOL_OPTIONS", NO_STATISTICS).start();
            assert!(get("127.0.0.1", 80).ends_with(&format!("\n{page} page\n")), "{command}");
            let _ = alices_holders("tcp", 80);
            if command.ends_with("./start-everything.sh") {
                assert!(get("127.0.0.1", 81).ends_with("\npython's page\n"));
                end_holders(81);
            }
            end_holders(80);
            let _ = server.wait();
        }
    }
}

/// Sees that the page of the service is served, by a process of www-data's.
#[track_caller]
fn www_data_serves(world: &World) {
    assert!(get("127.0.0.1", 80).ends_with("\nnode's page\n"));
    let found = holders("tcp", 80);
    let [server] = found[..] else { panic!("port 80 is held by {found:?}") };
    let uid = world.user("www-data").uid;
    assert!(Stranger::of(server).file("status").contains(&format!("\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")));
}

world_test! {
    /// The run script serves as www-data, under each of the managers that it is for.
    fn the_run_script_serves(world) {
        furnish(world);
        world.rule("byport/80", "root", "www-data", 0o710);
        fs::create_dir("/run/tmp/service").unwrap();
        let script = block("#!/bin/sh");
        // So that no line of it is left out.
        assert!(script.lines().last().is_some_and(|line| line.starts_with("exec rauthbind ")), "{script}");
        write("/run/tmp/service/run", &script, 0o755);
        for (manager, exit) in [("runsv", "sv -w 60 exit"), ("supervise", "svc -dx"), ("s6-supervise", "s6-svc -dx")] {
            let manager = world.command("root", [manager, "/run/tmp/service"]).start();
            www_data_serves(world);
            type_as_root(world, &format!("{exit} /run/tmp/service"));
            assert!(manager.exited().success());
            assert_eq!(holders("tcp", 80), []);
        }
    }
}
