//! `rauthbindctl import`: what authbind granted and refused, rauthbind grants and refuses after it, tried with Debian's
//! authbind; and what was dangerous or ineffective is named.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

#[path = "rules/numbers.rs"]
mod numbers;
#[path = "rules/subject.rs"]
mod subject;

use std::fs;

use numbers::Numbers;
use rauthbind_tests::{Finished, World, world_test};
use rauthbind_wire::names::RULES;
use subject::Subject;

const AUTHBINDS: &str = "/etc/authbind";

/// Runs a shell script as root in the directory of authbind's rules, which are none but these.
#[track_caller]
fn only(world: &World, script: &str) {
    for root in [AUTHBINDS, RULES] {
        let _ = fs::remove_dir_all(root);
        for directory in ["byport", "byaddr", "byuid"] {
            fs::create_dir_all(format!("{root}/{directory}")).unwrap();
        }
    }
    // `rule NAME OWNER:GROUP MODE [ACL]`
    let rule = r#"rule() { : >"$1"; chown "$2" "$1"; chmod "$3" "$1"; [ -z "$4" ] || setfacl -m "$4" "$1"; }"#;
    let script = format!("cd {AUTHBINDS}\n{rule}\n{script}");
    let _ = world.command("root", ["sh", "-ec", &script]).run().successful();
}

#[track_caller]
fn import(world: &World, user: &str, arguments: &str) -> Finished {
    world.command(user, ["rauthbindctl", "import"].into_iter().chain(arguments.split_whitespace())).run()
}

/// What is said beside the change.
fn findings(done: &Finished) -> Vec<&str> {
    done.stdout.lines().filter(|line| !line.starts_with(RULES)).collect()
}

const ADDRESSES: [&str; 4] = ["0.0.0.0", "127.0.0.1", "::", "::1"];

/// Some rules, as lines of a script.
fn some_rules(numbers: &mut Numbers) -> String {
    let mut script = String::new();
    for _ in 0..2 + numbers.below(6) {
        let (bang, port) = numbers.one_of(&[("", "80"), ("!", "600"), ("", "600"), ("", "0600"), ("", "8080")]);
        let address = numbers.one_of(&ADDRESSES);
        let name = match numbers.below(6) {
            0 | 1 => format!("byport/{bang}{port}"),
            2 => format!("byport/{port},tcp"),
            3 => format!("byaddr/{bang}{address},{port}"),
            4 => format!("byaddr/{bang}{address}:{port}"),
            _ => {
                let line = |from: &str| match numbers.0 % 5 {
                    0 => format!("{from},{port}"),
                    1 => format!("{from},{port} # comment"),
                    2 => format!("{from}/1,{port}"),
                    3 => format!("{from}/0,1-1023"),
                    _ => format!("{from}-{from}, {port} "),
                };
                let lines = line(address);
                let uid = numbers.one_of(&["4001", "4002", "4003"]);
                script += &format!("echo '{lines}' >>'byuid/{bang}{uid}'; chmod 600 'byuid/{bang}{uid}'\n");
                continue;
            }
        };
        let owner = numbers.one_of(&["root", "root", "alice", "bob"]);
        let group = numbers.one_of(&["root", "alice", "web"]);
        let mode = numbers.one_of(&["0710", "0710", "0010", "0701", "0600", "0100", "0711"]);
        let acl = numbers.one_of(&[
            "",
            "",
            "u:bob:x",
            "g:web:x",
            "u:alice:-",
            "u:carol:x,m::-",
            "g:web:-,o::x",
            "g:web:-,m::r,o::x",
        ]);
        script += &format!("rule '{name}' {owner}:{group} {mode} '{acl}'\n");
    }
    script
}

world_test! {
    /// Whatever authbind's rules are: who could bind what under authbind can under rauthbind, and nobody else.
    fn what_authbind_grants_is_granted(world) {
        let users = ["alice", "bob", "carol"];
        let ours = users.map(|user| Subject::start(world, user));
        let theirs = users.map(|user| Subject::start_under(world, user, &["authbind"]));
        let mut numbers = Numbers(7);
        let mut seen = [0, 0];
        for _ in 0..40 {
            let script = some_rules(&mut numbers);
            only(world, &script);
            let done = import(world, "root", "--apply").successful();
            for (theirs, ours) in theirs.iter().zip(&ours) {
                for address in ADDRESSES {
                    for port in ["80", "600"] {
                        let ip = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
                        let what = format!("{ip}:{port}/{}", numbers.one_of(&["tcp", "udp"]));
                        let (was, is) = (theirs.binds(&what), ours.binds(&what));
                        assert_eq!(was.is_ok(), is.is_ok(), "{what} of {}: {was:?}, {is:?}\n{script}{}", ours.user, done.stdout);
                        seen[usize::from(was.is_ok())] += 1;
                    }
                }
            }
            for directory in ["byport", "byaddr", "byuid"] {
                let foreign = format!("find {RULES}/{directory} -type f ( ! -user root -o -perm /022 )");
                let found = world.command("root", foreign.split(' ')).run().successful();
                assert_eq!(found.stdout, "", "only root can change a rule");
            }
            let again = import(world, "root", "--apply").successful();
            assert!(again.stdout.ends_with("there is nothing to change\n"), "{}", again.stdout);
        }
        assert!(seen.iter().all(|count| *count > 50), "of one kind only: {seen:?}");
    }
}

world_test! {
    /// Each rule that was dangerous or ineffective is named, and without `--apply` nothing changes.
    fn what_was_dangerous_or_ineffective_is_named(world) {
        for (rules, status, told) in [
            ("rule byport/80 root:alice 0710", 0, &[][..]),
            ("rule byport/80 alice:root 0700", 0, &["dangerous: byport/80 belonged to alice, who could grant it to anybody"]),
            ("rule byport/80 root:root 0777", 0, &["dangerous: byport/80 could be executed by everybody"]),
            ("rule byport/600 root:alice 0710", 0, &["ineffective: authbind looks for byport/600 with an exclamation mark"]),
            ("rule byport/80,tcp root:alice 0710", 0, &["ineffective: authbind looks for no file byport/80,tcp"]),
            ("rule byport/http root:alice 0710", 0, &["ineffective: authbind looks for no file byport/http"]),
            ("rule byport/8080 root:alice 0710", 0, &["ineffective: the port of byport/8080 is not privileged"]),
            ("rule byaddr/localhost,80 root:alice 0710", 0, &["ineffective: authbind looks for no file byaddr/localhost,80"]),
            ("rule byaddr/10.0.0.1,80 root:bob 0710; rule byaddr/10.0.0.1:80 root:alice 0710", 0, &[
                "ineffective: authbind looks for byaddr/10.0.0.1:80 before byaddr/10.0.0.1,80",
            ]),
            ("ln -s /nowhere byport/80", 0, &["ineffective: byport/80 is a link to something that is not there"]),
            ("mkdir byport/80", 1, &["differs: byport/80 is no regular file"]),
            ("chmod 775 byport; chown alice byaddr", 0, &[
                "dangerous: /etc/authbind/byaddr could be changed by others than root",
                "dangerous: /etc/authbind/byport could be changed by others than root",
            ]),
            ("echo 127.0.0.1,80 >byuid/4001; chown alice byuid/4001", 0, &["dangerous: byuid/4001 could be changed by others"]),
            ("echo 127.0.0.1,80 >byuid/alice", 0, &["ineffective: authbind looks for no file byuid/alice"]),
            ("printf '# web\\n127.0.0.1,80 # web\\n127.0.0.1/8,80\\n0.0.0.0/0,80\\n' >byuid/4001", 0, &[
                "ineffective: byuid/4001 line 2 granted nothing, for the # in it",
                "ineffective: byuid/4001 line 3 has none of the forms in authbind(1)",
            ]),
            ("yes '# x' | head -c 70000 >byuid/4001", 1, &["differs: byuid/4001 is too long or cannot be read"]),
            ("rule \"$(printf 'byport/\\033[31m')\" root:alice 0710", 0, &["ineffective: authbind looks for no file byport/\\u{1b}[31m"]),
        ] {
            only(world, rules);
            let done = import(world, "root", "");
            assert_eq!((done.status.code(), &*done.stderr), (Some(status), ""), "{rules}: {}", done.stdout);
            let said = findings(&done);
            let (last, said) = said.split_last().unwrap();
            assert!(last.starts_with("nothing has been changed") || last.starts_with("there is nothing to change"));
            assert_eq!(said.len(), told.len(), "{rules}: {said:?}");
            said.iter().zip(told).for_each(|(said, told)| assert!(said.starts_with(told), "{said:?}, {told:?}"));
            for directory in ["byport", "byaddr", "byuid"] {
                let left = fs::read_dir(format!("{RULES}/{directory}")).unwrap().count();
                assert_eq!(left, 0, "{rules}");
            }
        }
        only(world, "printf '# web\\n127.0.0.1,80 # web\\n127.0.0.1/8,80\\n0.0.0.0/0,80\\n' >byuid/4001");
        let _ = import(world, "root", "--apply").successful();
        let text = fs::read_to_string(format!("{RULES}/byuid/4001")).unwrap();
        assert_eq!(text, "# web\n# 127.0.0.1,80 # web\n0.0.0.0/0,80\n");
    }
}

world_test! {
    /// A rule that is here already stays as it is; what it keeps from being granted, and what is kept from it, is told.
    fn what_is_here_stays_and_what_it_hides_is_told(world) {
        let only_here = |script: &str, rules: &[(&str, &str)]| {
            only(world, script);
            rules.iter().for_each(|(file, user)| world.grant(file, user));
        };
        only_here("rule byport/80 root:alice 0710", &[("byport/80", "alice")]);
        let done = import(world, "root", "--apply").successful();
        assert_eq!(done.stdout, "there is nothing to change\n");

        only_here("rule byport/80 root:alice 0710", &[("byport/80", "bob")]);
        let done = import(world, "root", "--apply");
        assert_eq!(done.status.code(), Some(1));
        let by = "would be refused by /etc/rauthbind/byport/80; change that rule";
        let told = [
            format!("differs: 0.0.0.0:80/tcp was granted to @alice and {by}"),
            format!("differs: [::]:80/tcp was granted to @alice and {by}"),
            "differs: /etc/rauthbind/byport/80 is here already and says something else; it is left as it is".into(),
            "there is nothing to change".into(),
        ];
        assert_eq!(findings(&done), told);
        assert_eq!(Subject::start(world, "bob").binds("0.0.0.0:80/tcp"), Ok(()));

        only_here("rule byport/80 root:root 0755", &[("byport/80", "bob")]);
        let told = [
            format!("differs: 0.0.0.0:80/tcp was granted to everybody and {by}"),
            format!("differs: [::]:80/tcp was granted to everybody and {by}"),
            "differs: /etc/rauthbind/byport/80 is here already and says something else; it is left as it is".into(),
            "there is nothing to change".into(),
        ];
        assert_eq!(findings(&import(world, "root", "--apply")), told, "and nothing of a rule that is not taken over");

        only_here("rule byport/80 root:alice 0710", &[("byaddr/127.0.0.1,80", "bob")]);
        let done = import(world, "root", "");
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stdout.contains("127.0.0.1:80/tcp is granted to @bob here and would be refused by"), "{}", done.stdout);
    }
}

world_test! {
    /// Only root changes rules; what is no directory of rules is an error; and a link gives nothing away.
    fn only_root_applies_and_links_give_nothing_away(world) {
        only(world, "rule byport/80 root:alice 0710; ln -s /etc/shadow byuid/4001; echo 127.0.0.1,80 >byuid/4002
            echo '# secret' >/etc/secret; ln -s /etc/secret byuid/4003
            echo '# secret' >byuid/4004; echo '127.0.0.1,80 # secret' >>byuid/4004; chmod 640 byuid/4004");
        let done = import(world, "alice", "");
        assert!(done.stdout.contains("byport/80"), "{}", done.stdout);
        let done = import(world, "alice", "--apply");
        assert_eq!((done.status.code(), &*done.stdout), (Some(1), ""));
        assert!(done.stderr.contains("only root"), "{}", done.stderr);
        let _ = import(world, "root", "--apply").successful();
        let text = fs::read_to_string(format!("{RULES}/byuid/4001")).unwrap();
        assert!(!text.contains("root:"), "{text}");
        for file in ["4003", "4004"] {
            assert_eq!(fs::read_to_string(format!("{RULES}/byuid/{file}")).unwrap(), "");
        }
        for nowhere in ["/nowhere", "/etc/hosts"] {
            let done = import(world, "root", nowhere);
            assert_eq!((done.status.code(), &*done.stdout), (Some(2), ""), "{}", done.stderr);
            assert!(done.stderr.contains(nowhere), "{}", done.stderr);
        }
    }
}
