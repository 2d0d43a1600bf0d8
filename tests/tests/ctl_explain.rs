//! `rauthbindctl explain`: that it says what a bind under rauthbind then finds, and names the files in their order.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

#[path = "rules/numbers.rs"]
mod numbers;
#[path = "rules/random.rs"]
mod random;
#[path = "rules/subject.rs"]
mod subject;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use numbers::Numbers;
use random::make_rules;
use rauthbind_tests::{Finished, World, world_test};
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};
use subject::Subject;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Runs `rauthbindctl explain`, its arguments separated by blanks.
#[track_caller]
fn explain(world: &World, user: &str, arguments: &str) -> Finished {
    world.command(user, ["rauthbindctl", "explain"].into_iter().chain(arguments.split(' '))).run()
}

#[track_caller]
fn status(world: &World, user: &str, arguments: &str) -> i32 {
    explain(world, user, arguments).status.code().expect("an exit status")
}

world_test! {
    /// Whatever the rules are, the exit status is what a bind of that user's then comes to; and the same whether root
    /// asks or the user.
    fn what_it_says_is_what_a_bind_finds(world) {
        let subjects = USERS.map(|user| Subject::start(world, user));
        let mut numbers = Numbers(5);
        let mut seen = [0, 0];
        for _ in 0..60 {
            make_rules(world, &mut numbers);
            for _ in 0..6 {
                let subject = &subjects[numbers.below(3)];
                let address = numbers.one_of(&["0.0.0.0", "::", "127.0.0.1", "::1"]);
                let (port, protocol) = (numbers.one_of(&["80", "600"]), numbers.one_of(&["tcp", "udp"]));
                let ip = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
                let bound = subject.binds(&format!("{ip}:{port}/{protocol}"));
                let asked = format!("{port}/{protocol} --addr {address}");
                let told = match numbers.below(2) {
                    0 => status(world, subject.user, &format!("{asked} --quiet")),
                    _ => status(world, "root", &format!("{asked} --user {}", subject.user)),
                };
                assert_eq!(told, i32::from(bound.is_err()), "{asked} of {}: {bound:?}", subject.user);
                seen[usize::from(bound.is_ok())] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 20), "of one kind only: {seen:?}");
    }
}

world_test! {
    /// Every file that is looked up is named, in the order of the lookup, with what was found; and an address that
    /// refuses makes it a refusal.
    fn the_files_are_named_in_their_order(world) {
        let lines = |arguments: &str| -> Vec<String> {
            let text = explain(world, "root", arguments).stdout;
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        let absent = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("{RULES}/{name} is not there")).collect()
        };
        let told = lines("80 --user alice");
        assert_eq!(told[0], "alice (user id 4001, groups @alice @web)");
        assert_eq!(told[1], "port 80/tcp of 0.0.0.0");
        let byaddr = ["byaddr/0.0.0.0,80,tcp", "byaddr/0.0.0.0,80", "byaddr/0.0.0.0:80"];
        let files = [&["byport/80,tcp", "byport/80"][..], &byaddr, &["byuid/4001"]].concat();
        assert_eq!(told[2..8], absent(&files));
        let refused = ["refused: there is no rule for it", "to change that, as root: rauthbindctl allow 80 alice"];
        assert_eq!(told[8..10], refused);
        assert_eq!(told[10], "port 80/tcp of ::");
        assert_eq!(told[17..19], [&absent(&["byuid/4001"])[0], refused[0]]);

        world.byuid("4001", "# web\n0.0.0.0/0,80 # \u{1b}[31mred\n");
        let told = lines("80 --user alice");
        assert_eq!(told[7], format!("{RULES}/byuid/4001 line 2: 0.0.0.0/0,80 # \\u{{1b}}[31mred"));
        assert_eq!(told[8], "allowed: byuid/4001 line 2 grants it");
        assert!(told.contains(&"refused: no line of byuid/4001 covers it".to_owned()));
        assert_eq!(status(world, "root", "80 --user alice"), 1);
        assert_eq!(status(world, "root", "80 --user alice --addr 127.0.0.1"), 0);

        world.grant("byport/80", "bob");
        let told = lines("80/udp --user alice --addr 127.0.0.1");
        assert_eq!(told[1], "port 80/udp of 127.0.0.1");
        assert_eq!(told[2..3], absent(&["byport/80,udp"]));
        assert_eq!(told[3], format!("{RULES}/byport/80 owner root, group @bob, mode 0710"));
        // No address is any help here: what byport refuses is refused.
        let refused = [
            "refused: byport/80 is not executable for this user",
            "to change that, as root: rauthbindctl allow 80/udp alice",
        ];
        assert_eq!(told[4..], refused);
        let rule = format!("{RULES}/byport/80");
        let _ = world.command("root", ["setfacl", "-m", "u:alice:x,g:web:0", &rule]).run().successful();
        let told = lines("80/udp --user alice --addr 127.0.0.1");
        assert_eq!(told[3], format!("{RULES}/byport/80 owner root, group @bob, mode 0710, ACL: alice @bob"));
        let _ = world.command("root", ["setfacl", "-b", &rule]).run().successful();
        let told = lines("http --user bob");
        assert_eq!(told[1], "port 80/tcp of 0.0.0.0 and ::", "what is the same is told once");
        let allowed = ["allowed: byport/80 grants it", "to change that, as root: rauthbindctl revoke 80 bob"];
        assert_eq!(told[4..], allowed);
    }
}

world_test! {
    /// The form for programs.
    fn json_has_it_all(world) {
        world.grant("byaddr/127.0.0.1,80", "alice");
        let told = |arguments| -> serde_json::Value {
            serde_json::from_str(&explain(world, "alice", arguments).stdout).expect("JSON")
        };
        assert_eq!(
            told("80 --json --addr 127.0.0.1"),
            serde_json::json!({
                "user": "alice", "uid": 4001, "port": 80, "allowed": true,
                "answers": [{
                    "protocol": "tcp", "address": "127.0.0.1", "allowed": true,
                    "absent": ["byport/80,tcp", "byport/80", "byaddr/127.0.0.1,80,tcp"],
                    "file": "byaddr/127.0.0.1,80", "line": null, "reason": "byaddr/127.0.0.1,80 grants it",
                    "command": "rauthbindctl revoke 80 alice --addr 127.0.0.1",
                }],
            })
        );
        assert_eq!(told("80 --json")["answers"].as_array().unwrap().len(), 2);
        assert_eq!(told("80 --json")["allowed"], false);
    }
}

world_test! {
    /// What anybody may bind is allowed, without a rule.
    fn what_is_not_privileged_is_allowed(world) {
        for (user, asked) in [("alice", "1024"), ("alice", "0"), ("bob", "65535/udp"), ("root", "80"), ("root", "8080 --user bob")] {
            assert_eq!(status(world, user, asked), 0, "{asked} as {user}");
        }
        assert_eq!(status(world, "alice", "80"), 1);
        fs::write(UNPRIVILEGED_PORT_START, "80").unwrap();
        let told = explain(world, "alice", "80");
        assert_eq!(told.status.code(), Some(0));
        assert!(told.stdout.contains("ports from 80 on are not privileged here"), "{}", told.stdout);
        assert_eq!(status(world, "alice", "79"), 1);
    }
}

world_test! {
    /// Rules that are not root's alone refuse, with the mend; and what cannot be told is neither yes nor no.
    fn what_cannot_be_trusted_is_refused_and_what_cannot_be_told_is_neither(world) {
        world.grant("byport/80", "alice");
        assert_eq!(status(world, "alice", "80"), 0);
        let _ = world.command("root", ["chmod", "0777", RULES]).run().successful();
        let told = explain(world, "alice", "80");
        assert_eq!(told.status.code(), Some(1));
        assert!(told.stdout.contains(&format!("as root, run: chown root {RULES} && chmod go-w {RULES}")), "{}", told.stdout);
        for (user, asked, error) in [
            ("alice", "80 --user bob", "only root can ask for other users"),
            ("alice", "80 --user 0", "only root can ask for other users"),
            ("root", "80 --user @web", "\"@web\" is no user"),
            ("root", "80 --user nobody-of-that-name", "there is no user \"nobody-of-that-name\""),
            ("root", "80 --user=-1", "there is no user \"-1\""),
            ("root", "80 --user 4294967295", "there is no user \"4294967295\""),
            ("root", "80 --user 4294967296", "there is no user \"4294967296\""),
            ("root", "80 --user a\u{1b}[31m", "there is no user \"a\\u{1b}[31m\""),
            ("alice", "65536", "neither a port"),
            ("alice", "80/http", "not a protocol"),
            ("alice", "80,443", "neither a port"),
            ("alice", "80 --addr localhost", "invalid"),
        ] {
            let done = explain(world, user, asked);
            assert_eq!((done.status.code(), &*done.stdout), (Some(2), ""), "{asked} as {user}");
            assert!(done.stderr.contains(error), "{asked} as {user}: {}", done.stderr);
        }
        // A number that no database knows has no groups, and asking for oneself is everybody's.
        assert_eq!(status(world, "root", "80 --user 3000000000"), 1);
        assert_eq!(status(world, "alice", "80 --user alice"), 1);
    }
}

world_test! {
    /// The command that it names makes the answer the other one.
    fn what_it_names_changes_the_answer(world) {
        for (rules, asked) in [
            ("", "80"),
            ("", "53/udp --addr 127.0.0.1"),
            ("", "600"),
            ("install -m 0710 -g bob /dev/null byport/80", "80"),
            ("install -m 0710 -g bob /dev/null byport/80", "80/udp"),
            ("install -m 0710 -g bob /dev/null byport/80", "80 --addr 127.0.0.1"),
            ("install -m 0710 -g bob /dev/null byport/80,tcp", "80/tcp"),
            ("install -m 0710 -g bob /dev/null byaddr/127.0.0.1,80", "80 --addr 127.0.0.1"),
            ("install -m 0710 -g alice /dev/null byport/80", "80"),
            ("install -m 0700 /dev/null byport/80; setfacl -m u:alice:x byport/80", "80"),
            ("install -m 0710 -g web /dev/null byport/80", "80"),
            ("install -m 0700 /dev/null byport/80; setfacl -m g:web:x byport/80", "80"),
            ("install -m 0755 /dev/null byport/80", "80"),
            ("echo 127.0.0.1,80 >byuid/4001", "80"),
            ("echo 0.0.0.0/0,80 >byuid/4001; echo ::/0,80 >>byuid/4001", "80"),
            ("install -m 0600 /dev/null byuid/4001; echo 127.0.0.1,80 >byuid/4001", "80 --addr 127.0.0.1"),
            ("mkdir byport/80", "80"),
        ] {
            let root = |script: &str| {
                let _ = world.command("root", ["sh", "-ec", &format!("cd {RULES}; {script}")]).run().successful();
            };
            root("rm -rf byport/* byaddr/* byuid/*");
            root(rules);
            let before = status(world, "alice", asked);
            // Each step of a mend names the next.
            for _ in 0..2 {
                let done = explain(world, "alice", asked);
                let command = done.stdout.lines().find_map(|line| line.trim().strip_prefix("to change that, as root: "));
                let command = command.unwrap_or_else(|| panic!("{rules}, {asked}: {}", done.stdout));
                root(&if asked.starts_with("600") { format!("{command} --yes") } else { command.to_owned() });
                if status(world, "alice", asked) != before {
                    break;
                }
            }
            assert_eq!(status(world, "alice", asked), 1 - before, "{rules}, {asked}");
        }
    }
}

world_test! {
    /// Root executes nothing as the user who is asked about: that user could enter it, and so come to root's terminal.
    fn nothing_runs_as_the_user_who_is_asked_about(world) {
        let seen = "/run/seen";
        fs::write(seen, "").unwrap();
        fs::set_permissions(seen, Permissions::from_mode(0o666)).unwrap();
        let getent = world.script("getent", &format!("#!/bin/sh\nid -ru >>{seen}\nexec /run/bin/real-getent \"$@\"\n"));
        let lay = "cp /usr/bin/getent /run/bin/real-getent && mount --bind \"$0\" /usr/bin/getent";
        let _ = world.command("root", ["sh", "-ec", lay, getent.to_str().unwrap()]).run().successful();
        world.grant("byport/80", "bob");
        assert_eq!(status(world, "root", "80 --user alice"), 1);
        assert_eq!(status(world, "root", "80 --user bob --json"), 0);
        let unfixed = ["setpriv", "--securebits", "+no_setuid_fixup", "rauthbindctl", "explain", "80", "--user", "alice"];
        assert_eq!(world.command("root", unfixed).run().status.code(), Some(1), "by a capability of root's");
        let seen = fs::read_to_string(seen).unwrap();
        assert!(seen.lines().count() > 4 && seen.lines().all(|user| user == "0"), "{seen}");
    }
}
