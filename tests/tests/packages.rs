//! The packages, as dpkg and rpm install them over the machine's own files: in layers that are gone with the sandbox.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use rauthbind_tests::packages::{add_layers, deb, rpm};
use rauthbind_tests::process::Finished;
use rauthbind_tests::{Running, Signal, World, http_get, source, world_test};
use xtask::layout::{CAPABILITY, CAPABILITY_ATTRIBUTE, Origin, RULES, TABLE, Tree};

const HELPER: &str = "/usr/libexec/rauthbind/rauthbind-helper";

fn as_root(world: &World, argv: &[&str]) -> Finished {
    world.command("root", argv).run().successful()
}

/// Everything of the table is there as the table has it, but for what the packager moves or compresses.
fn assert_installed() {
    let tree = Tree { prefix: "/usr".into(), destdir: "/".into(), authbind: false };
    for row in TABLE.iter().filter(|row| !row.to.contains("/man/") && !row.to.contains("/zsh/")) {
        let path = tree.path(row.to);
        let meta = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (row.mode, 0, 0), "{}", path.display());
        assert_eq!(xattr::get(&path, CAPABILITY_ATTRIBUTE).unwrap().as_deref(), row.capability(), "{}", path.display());
    }
}

/// Nothing of the table is there but the rules.
fn assert_removed() {
    let tree = Tree { prefix: "/usr".into(), destdir: "/".into(), authbind: false };
    for row in TABLE.iter().filter(|row| row.origin != Origin::RulesDirectory) {
        assert!(!tree.path(row.to).exists(), "{} is still there", row.to);
    }
}

fn assert_says_what_works(said: &str) {
    let line = said.lines().find(|line| line.contains(HELPER)).unwrap_or_else(|| panic!("{said}"));
    for way in ["rauthbind-broker.socket", "AmbientCapabilities=CAP_NET_BIND_SERVICE", "rauthbind -u USER"] {
        assert!(line.contains(way), "{said}");
    }
}

fn serve(world: &World, argv: &[&str]) -> Running {
    let server = world.command("alice", argv).start();
    server.wait_listening(80);
    assert!(http_get("127.0.0.1", 80, "/").starts_with("HTTP/1.0 200 "));
    server
}

fn stop(server: Running) {
    server.kill(Signal::SIGTERM);
    server.exited();
}

const SERVER: [&str; 7] = ["rauthbind", "python3", "-m", "http.server", "80", "--directory", "/run/home/alice"];

/// lintian has nothing to say that is not overridden, with the reason beside it.
#[test]
fn lintian_is_content() {
    let names = ["rauthbind", "rauthbind-authbind"];
    // Not in a sandbox, where nothing may take as long as it does on a busy machine.
    let mut lintian = Command::new("lintian");
    let done = lintian.args(["--fail-on", "error,warning"]).args(names.map(|name| deb(name, "1"))).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    for name in names {
        let overrides = source(Path::new("packaging/debian/lintian").join(name));
        assert!(overrides.starts_with("# "), "{name}: overrides without a reason");
    }
    let first = format!("rauthbind ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(source("packaging/debian/changelog").starts_with(&first), "the changelog has no {first}");
}

world_test! {
    /// Installed, used, upgraded under a server that runs, removed, and purged, with no question asked.
    fn a_debian_package_from_install_to_purge(world) {
        add_layers(world);
        as_root(world, &["dpkg", "-i", &deb("rauthbind", "1")]);
        assert_installed();
        world.grant("byport/80", "alice");
        let server = serve(world, &SERVER);

        as_root(world, &["chmod", "0751", RULES]);
        as_root(world, &["dpkg", "-i", &deb("rauthbind", "2")]);
        assert!(http_get("127.0.0.1", 80, "/").starts_with("HTTP/1.0 200 "));
        stop(server);
        assert_eq!(fs::metadata(RULES).unwrap().mode() & 0o7777, 0o751, "the upgrade changed the rules' directory");
        as_root(world, &["chmod", "0755", RULES]);
        assert_installed();
        stop(serve(world, &SERVER));
        let bob = world.command("bob", SERVER).run();
        assert!(bob.stderr.contains("PermissionError"), "{}", bob.stderr);

        as_root(world, &["dpkg", "--remove", "rauthbind"]);
        assert_removed();
        let rule = Path::new(RULES).join("byport/80");
        assert!(rule.exists(), "removal took the rules");
        as_root(world, &["dpkg", "-i", &deb("rauthbind", "2")]);
        stop(serve(world, &SERVER));

        as_root(world, &["dpkg", "--purge", "rauthbind"]);
        assert_removed();
        assert!(!Path::new(RULES).exists(), "purge left the rules");
        let known = world.command("root", ["dpkg-query", "--list", "rauthbind*"]).run();
        assert!(known.stderr.contains("no packages found"), "{}", known.stdout);
    }
}

world_test! {
    /// Where the administrator has decided about the helper's file, the package leaves its capability alone, and says so.
    fn an_override_of_the_administrator_is_respected(world) {
        add_layers(world);
        as_root(world, &["dpkg-statoverride", "--add", "root", "web", "0750", HELPER]);
        let said = as_root(world, &["dpkg", "-i", &deb("rauthbind", "1")]).stdout;
        assert!(said.contains(&format!("dpkg-statoverride lists {HELPER}")) && said.contains("setcap"), "{said}");
        assert_eq!(fs::metadata(HELPER).unwrap().mode() & 0o7777, 0o750);
        assert_eq!(xattr::get(HELPER, CAPABILITY_ATTRIBUTE).unwrap(), None);

        let proposed = format!("setcap{}", said.split_once(": setcap").unwrap().1.lines().next().unwrap());
        as_root(world, &["sh", "-c", &proposed]);
        world.rule("byport/80", "root", "root", 0o755);
        stop(serve(world, &SERVER));
        let bob = world.command("bob", SERVER).run();
        assert!(bob.stderr.contains("PermissionError"), "{}", bob.stderr);
    }
}

world_test! {
    /// Where no capability can be set, installation succeeds, and what it says then works does work.
    fn a_package_without_its_capability_installs_and_says_what_works(world) {
        add_layers(world);
        let install = format!("dpkg -i {}", deb("rauthbind", "1"));
        let said = as_root(world, &["capsh", "--drop=cap_setfcap", "--", "-c", &install]).stderr;
        assert_says_what_works(&said);
        world.grant("byport/80", "alice");
        let refused = world.command("alice", SERVER).run();
        assert!(refused.stderr.contains("has lost its capability"), "{}", refused.stderr);
        let ambient = ["--reuid=alice", "--regid=alice", "--init-groups", "--inh-caps=+net_bind_service"];
        for way in [
            [&["setpriv"], &ambient[..], &["--ambient-caps=+net_bind_service"], &SERVER].concat(),
            [&["rauthbind", "-u", "alice"], &SERVER[1..]].concat(),
        ] {
            let server = world.command("root", way).start();
            server.wait_listening(80);
            assert!(http_get("127.0.0.1", 80, "/").starts_with("HTTP/1.0 200 "));
            stop(server);
        }
        // Mended by nothing else than another try.
        as_root(world, &["dpkg-reconfigure", "rauthbind"]);
        assert_eq!(xattr::get(HELPER, CAPABILITY_ATTRIBUTE).unwrap().as_deref(), Some(&CAPABILITY[..]));
    }
}

world_test! {
    /// The package of the command authbind takes the place of authbind's, and its scripts run as they are.
    fn scripts_that_call_authbind_run_unchanged(world) {
        add_layers(world);
        as_root(world, &["dpkg", "-i", &deb("rauthbind", "1"), &deb("rauthbind-authbind", "1")]);
        world.grant("byport/80", "alice");
        let script = world.script("start", "#!/bin/sh\nexec authbind --deep sh -c 'python3 -m http.server 80; true'\n");
        stop(serve(world, &[script.to_str().unwrap()]));

        let provided = as_root(world, &["dpkg-query", "-W", "-f", "${Provides} ${Conflicts} ${Replaces}", "rauthbind-authbind"]);
        assert_eq!(provided.stdout, "authbind authbind authbind");
        as_root(world, &["dpkg", "--purge", "rauthbind-authbind"]);
        assert!(!Path::new("/usr/bin/authbind").exists());
    }
}

world_test! {
    /// rpm sets owner, mode and capability by its own database, and leaves the rules when it removes the package.
    fn an_rpm_from_install_to_removal(world) {
        add_layers(world);
        let do_rpm = |argv: &[&str]| as_root(world, &[&["rpm", "--dbpath", "/run/rpm"], argv].concat());
        // Its database knows nothing of this machine's C library; and Debian's rpm wants to be told that it is meant.
        let install = ["--nodeps", "--force-debian"];
        do_rpm(&[&["--install"], &install[..], &[&rpm("rauthbind", "1"), &rpm("rauthbind-authbind", "1")]].concat());
        assert_installed();
        assert_eq!(do_rpm(&["--verify", "--nodeps", "rauthbind"]).stdout, "");
        world.grant("byport/80", "alice");
        stop(serve(world, &SERVER));
        stop(serve(world, &[&["authbind"], &SERVER[1..]].concat()));

        do_rpm(&[&["--upgrade"], &install[..], &[&rpm("rauthbind", "2"), &rpm("rauthbind-authbind", "2")]].concat());
        assert_installed();
        stop(serve(world, &SERVER));

        do_rpm(&["--erase", "--force-debian", "rauthbind", "rauthbind-authbind"]);
        assert_removed();
        assert!(Path::new(RULES).join("byport/80").exists(), "removal took the rules");

        // Where it cannot set capabilities, rpm wants to be told that it need not.
        let install = [&["rpm", "--dbpath", "/run/rpm", "--install", "--nocaps"], &install[..], &[&rpm("rauthbind", "1")]];
        let install = install.concat().join(" ");
        assert_says_what_works(&as_root(world, &["capsh", "--drop=cap_setfcap", "--", "-c", &install]).stderr);
    }
}
