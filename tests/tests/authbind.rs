//! The command `authbind`, as `cargo xtask install --authbind-compat` puts it in place.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use rauthbind_tests::{Signal, World, http_get, world_test};
use xtask::install::{install_built, uninstall};
use xtask::layout::{AUTHBIND, DEFAULT_PREFIX, Tree};
use xtask::packages::find;

fn tree(authbind: bool) -> Tree {
    Tree { prefix: DEFAULT_PREFIX.into(), destdir: "/".into(), authbind }
}

/// Runs a shell's line as alice, and gives its exit status and its standard error.
fn run(world: &World, line: &str) -> (i32, String) {
    let ended = world.command("alice", ["sh", "-c", line]).run();
    (ended.status.code().unwrap(), ended.stderr)
}

world_test! {
    /// What the options let bind is what they let bind under authbind.
    fn levels_are_those_of_authbind(world) {
        install_built(&tree(true)).unwrap();
        world.grant("byport/80", "alice");
        let python = find("python3").unwrap();
        let bind = "import socket; socket.socket().bind((\"\", 80))";
        let bind = world.script("bind", &format!("#!{}\n{bind}\n", python.display()));
        // The shell goes on after it, so that it cannot become it.
        let shell = world.script("shell", &format!("#!/bin/sh\n{}\nexit $?\n", bind.display()));
        for (options, command, binds) in [
            ("", &bind, true),
            ("", &shell, false),
            ("--depth 1", &shell, false),
            ("--depth 2", &shell, true),
            ("--deep", &shell, true),
        ] {
            let (status, said) = run(world, &format!("authbind {options} {}", command.display()));
            assert_eq!(status == 0, binds, "{options} {}: {said}", command.display());
            assert_eq!(said.contains("PermissionError"), !binds, "{options} {}: {said}", command.display());
        }
    }
}

world_test! {
    /// It becomes the command, and 255 means that there is none, whatever the reason.
    fn exit_status_is_that_of_authbind(world) {
        install_built(&tree(true)).unwrap();
        for (arguments, status, said) in [
            ("--deep sh -c 'exit 7'", 7, ""),
            ("-- true", 0, ""),
            ("--help", 0, ""),
            ("", 255, "no command"),
            ("--depth", 255, "--depth"),
            ("--depth 0 true", 255, "--depth"),
            ("--frobnicate true", 255, "--frobnicate"),
            ("--deep -u bob true", 255, "'authbind --help'"),
            ("no-such-command", 255, "no-such-command"),
            ("/etc/passwd", 255, "/etc/passwd"),
        ] {
            let found = run(world, &format!("authbind {arguments}"));
            assert!(found.0 == status && found.1.contains(said), "{arguments}: {found:?}");
        }
    }
}

world_test! {
    /// A start script that calls it runs as it is, and its process id is the server's.
    fn a_start_script_runs_unchanged(world) {
        install_built(&tree(true)).unwrap();
        world.grant("byport/80", "alice");
        let script = world.script("start", "#!/bin/sh\nexec authbind --deep python3 -m http.server 80\n");
        let server = world.command("alice", [script]).start();
        server.wait_listening(80);
        assert!(http_get("127.0.0.1", 80, "/").starts_with("HTTP/1.0 200 "));
        server.kill(Signal::SIGTERM);
        server.exited();
    }
}

world_test! {
    /// It is there only where it was asked for, and an authbind that is another's stays.
    fn it_comes_and_goes_by_its_option_alone(_world) {
        let paths: Vec<_> = AUTHBIND.iter().map(|row| tree(true).path(row.to)).collect();
        assert!(paths.iter().all(|path| !path.exists()), "the stage has it");
        install_built(&tree(true)).unwrap();
        assert!(paths.iter().all(|path| path.exists()));
        uninstall(&tree(false)).unwrap();
        assert!(paths.iter().all(|path| path.exists()));
        uninstall(&tree(true)).unwrap();
        assert!(paths.iter().all(|path| !path.exists()));

        let own = Path::new(DEFAULT_PREFIX).join("bin/authbind");
        fs::write(&own, "another's").unwrap();
        install_built(&tree(false)).unwrap();
        assert_eq!(fs::read_to_string(&own).unwrap(), "another's");
    }
}
