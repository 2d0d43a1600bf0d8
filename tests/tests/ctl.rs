//! `rauthbindctl allow`, `revoke`, `list`, `export` and `apply`: that they change what was asked for, and nothing else.

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

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use numbers::Numbers;
use random::make_rules;
use rauthbind_policy::{Protocol, Request, Rules};
use rauthbind_tests::{Finished, Running, World, world_test};
use rauthbind_wire::names::RULES;
use subject::Subject;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Runs `rauthbindctl` as root, its arguments separated by blanks.
#[track_caller]
fn ctl(world: &World, arguments: &str) -> Finished {
    ctl_as(world, "root", arguments)
}

#[track_caller]
fn ctl_as(world: &World, user: &str, arguments: &str) -> Finished {
    world.command(user, ["rauthbindctl"].into_iter().chain(arguments.split(' '))).run()
}

/// Runs it, and sees that it succeeds and has changed this, line by line.
#[track_caller]
fn changes(world: &World, arguments: &str, expected: &[&str]) {
    let done = ctl(world, arguments).successful();
    let changed: Vec<&str> = done.stdout.lines().filter_map(|line| line.strip_prefix(&format!("{RULES}/"))).collect();
    assert_eq!(changed, expected, "{arguments}: {}{}", done.stdout, done.stderr);
}

/// Runs it, and sees that it ends with this status, says this, and has changed nothing.
#[track_caller]
fn refuses(world: &World, arguments: &str, status: i32, reason: &str) {
    let before = contents(Path::new(RULES));
    let done = ctl(world, arguments);
    assert_eq!(done.status.code(), Some(status), "{arguments}: {}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains(reason), "{arguments}: {}", done.stderr);
    assert_eq!(contents(Path::new(RULES)), before, "{arguments}");
}

/// All that there is below a directory: owner, group, mode, ACL and text by path. The lock is no rule.
fn contents(directory: &Path) -> BTreeMap<OsString, String> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let status = fs::symlink_metadata(&path).unwrap();
        if status.is_dir() {
            all.extend(contents(&path));
        } else if !path.ends_with(".rauthbindctl.lock") {
            let acl = xattr::get(&path, "system.posix_acl_access").ok().flatten();
            let text = if status.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let what = format!("{} {} {:o} {acl:?} {text:?}", status.uid(), status.gid(), status.mode());
            all.insert(path.into_os_string(), what);
        }
    }
    all
}

/// What each of some users may bind, by the policy's own word, in their order.
fn decisions(world: &World, requests: &[Request]) -> BTreeMap<&'static str, Vec<bool>> {
    let decide = |user| {
        world.as_user(user, || {
            let rules = Rules::open(Path::new(RULES)).unwrap();
            requests.iter().map(|request| rules.decide(request).is_ok()).collect()
        })
    };
    USERS.into_iter().map(|user| (user, decide(user))).collect()
}

/// Everything that random rules and commands could tell apart.
fn all_requests() -> Vec<Request> {
    let mut all = Vec::new();
    for port in [79, 80, 81, 600] {
        for ip in ["0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "ffff::"] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                all.push(Request { protocol, address: SocketAddr::new(ip.parse().unwrap(), port) });
            }
        }
    }
    all
}

/// Whether a command asks for this, an IPv4 address being the same on a socket for both families.
fn is_asked_for(request: &Request, ports: &[u16], protocol: &str, address: &str) -> bool {
    let ip = request.address.ip();
    let spellings = [ip.to_string(), ip.to_canonical().to_string()];
    let at_address = match address {
        "" => true,
        "127.0.0.0/8" => spellings.iter().any(|ip| ip.starts_with("127.")),
        address => spellings.iter().any(|ip| ip == address),
    };
    ports.contains(&request.address.port())
        && (protocol.is_empty() || format!("/{}", request.protocol) == protocol)
        && at_address
}

world_test! {
    /// Whatever the rules are, a grant gives the subject all that was asked for, a revocation takes all of it, and no
    /// other decision is another one afterwards. Whatever is refused changes nothing; what is done once is done.
    fn what_is_asked_for_changes_and_nothing_else(world) {
        let requests = all_requests();
        let mut numbers = Numbers(11);
        let mut seen = BTreeMap::new();
        for round in 0..150 {
            if round % 3 == 0 {
                make_rules(world, &mut numbers);
            }
            let verb = numbers.one_of(&["allow", "revoke"]);
            let (ports, meant) = numbers.one_of(&[("80", &[80][..]), ("600", &[600]), ("80-81", &[80, 81]), ("79,80", &[79, 80])]);
            let protocol = numbers.one_of(&["", "", "/tcp", "/udp"]);
            let subject = numbers.one_of(&["alice", "bob", "carol", "@web"]);
            let address = numbers.one_of(&["", "", "127.0.0.1", "::1", "127.0.0.0/8"]);
            let option = if address.is_empty() { String::new() } else { format!(" --addr {address}") };
            let yes = if verb == "allow" { " --yes" } else { "" };
            let command = format!("{verb} {ports}{protocol} {subject}{option}{yes}");

            let before = decisions(world, &requests);
            let (files, done) = (contents(Path::new(RULES)), ctl(world, &command));
            let after = decisions(world, &requests);
            let status = done.status.code().unwrap();
            *seen.entry((verb, status)).or_insert(0) += 1;
            let members = if subject == "@web" { vec!["alice", "carol"] } else { vec![subject] };
            for user in USERS {
                for (at, request) in requests.iter().enumerate() {
                    let (was, is) = (before[user][at], after[user][at]);
                    let why = || format!("{command}: {user}, {request}: {was}, then {is}\n{}{}", done.stdout, done.stderr);
                    let asked_for = members.contains(&user) && is_asked_for(request, meant, protocol, address);
                    match (verb, status) {
                        // A member of a group may be kept out by name, or let in.
                        ("allow", 0) if asked_for => assert!(is || (subject == "@web" && !was), "{}", why()),
                        ("revoke", 0) if asked_for => assert!(!is || (subject == "@web" && was), "{}", why()),
                        ("revoke", 1) if asked_for => assert!(!is || was, "{}", why()),
                        _ => assert_eq!(was, is, "{}", why()),
                    }
                }
            }
            if status == 0 {
                let again = contents(Path::new(RULES));
                let _ = ctl(world, &command).successful();
                assert_eq!(contents(Path::new(RULES)), again, "{command}, again");
            } else if verb == "allow" {
                assert_eq!(contents(Path::new(RULES)), files, "{command}");
            }
        }
        for kind in [("allow", 0), ("allow", 1), ("revoke", 0), ("revoke", 1)] {
            assert!(seen.get(&kind).is_some_and(|count| *count > 5), "hardly any {kind:?}: {seen:?}");
        }
    }
}

world_test! {
    /// Whatever the rules are, what export prints makes rules of the same decisions out of any others, which print the
    /// same; and then there is nothing to be done.
    fn what_is_exported_can_be_applied_anywhere(world) {
        let requests = all_requests();
        let mut numbers = Numbers(3);
        for _ in 0..40 {
            make_rules(world, &mut numbers);
            let _ = ctl(world, numbers.one_of(&["allow 80 alice", "allow 80/udp @web", "revoke 80 bob"]));
            fs::write(format!("{RULES}/byport/81"), "# the shop\nno comment\n").unwrap();
            fs::write(format!("{RULES}/byuid/9999"), "# networks\n10.0.0.0/8,80 # ten\n10.0.0.0/8:81,82\nnonsense\n# end\n").unwrap();
            let before = decisions(world, &requests);
            let text = ctl(world, "export").successful().stdout;
            assert_eq!(ctl(world, "apply --check /run/tmp/grants").status.code(), Some(2), "there is none yet");
            fs::write("/run/tmp/grants", &text).unwrap();
            let check = ctl(world, "apply --check /run/tmp/grants").successful();
            assert_eq!(check.stdout, "", "of what was exported just now:\n{text}");

            make_rules(world, &mut numbers);
            let files = contents(Path::new(RULES));
            let differs = ctl(world, "apply --check /run/tmp/grants");
            assert_eq!((differs.status.code(), differs.stdout.is_empty()), (Some(1), false));
            assert_eq!(contents(Path::new(RULES)), files, "--check has changed something");
            let applied = ctl(world, "apply /run/tmp/grants").successful();
            assert_eq!(applied.stdout, differs.stdout);
            assert_eq!(decisions(world, &requests), before, "{text}");
            assert_eq!(ctl(world, "export").successful().stdout, text);
            let _ = ctl(world, "apply --check /run/tmp/grants").successful();
            for kept in ["# the shop\nallow 81 --nobody", "# networks\nallow 80 --addr 10.0.0.0/8 9999 # ten", "# end\n"] {
                assert!(text.contains(kept), "{text}");
            }
            fs::remove_file("/run/tmp/grants").unwrap();
        }
    }
}

world_test! {
    /// A program that runs gets the port by the next bind, and loses it by the next bind.
    fn a_change_counts_from_the_next_bind_on(world) {
        let [alice, bob] = ["alice", "bob"].map(|user| Subject::start(world, user));
        let binds = |subject: &Subject<'_>, what| subject.binds(what).is_ok();
        assert!(!binds(&alice, "0.0.0.0:80/tcp"));
        changes(world, "allow http,443 alice", &["byport/443: new", "byport/443: + alice", "byport/80: new", "byport/80: + alice"]);
        assert!(binds(&alice, "0.0.0.0:80/tcp") && binds(&alice, "[::]:443/udp") && !binds(&bob, "0.0.0.0:80/tcp"));
        changes(world, "allow 80/tcp bob", &["byport/80,tcp: new", "byport/80,tcp: + alice", "byport/80,tcp: + bob"]);
        assert!(binds(&bob, "0.0.0.0:80/tcp") && !binds(&bob, "0.0.0.0:80/udp") && binds(&alice, "0.0.0.0:80/tcp"));
        changes(world, "revoke 80 alice", &["byport/80: removed", "byport/80: - alice", "byport/80,tcp: - alice"]);
        assert!(binds(&bob, "0.0.0.0:80/tcp") && !binds(&alice, "0.0.0.0:80/tcp") && !binds(&alice, "0.0.0.0:80/udp"));
        changes(world, "allow 25-26 alice", &["byuid/4001: new", "byuid/4001: + 0.0.0.0/0,25-26", "byuid/4001: + ::/0,25-26"]);
        assert!(binds(&alice, "0.0.0.0:26/tcp") && binds(&alice, "[::1]:25/udp"));
        // An IPv4 address is bound by sockets for both families as well.
        world.byuid("4002", "::/0,70\n");
        assert!(binds(&bob, "[::ffff:127.0.0.1]:70/tcp"));
        changes(world, "revoke 70 bob --addr 127.0.0.1", &[
            "byuid/4002: - ::/0,70", "byuid/4002: + ::-::ffff:127.0.0.0,70",
            "byuid/4002: + ::ffff:127.0.0.2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,70",
        ]);
        assert!(!binds(&bob, "[::ffff:127.0.0.1]:70/tcp") && binds(&bob, "[::1]:70/tcp"));
        changes(world, "revoke 25 alice", &[
            "byuid/4001: - 0.0.0.0/0,25-26", "byuid/4001: - ::/0,25-26", "byuid/4001: + 0.0.0.0/0,26", "byuid/4001: + ::/0,26",
        ]);
        assert!(binds(&alice, "0.0.0.0:26/tcp") && !binds(&alice, "[::1]:25/udp"));
        changes(world, "allow 53/udp @web --addr 127.0.0.1", &["byaddr/127.0.0.1,53,udp: new", "byaddr/127.0.0.1,53,udp: + @web"]);
        assert!(binds(&alice, "127.0.0.1:53/udp") && !binds(&bob, "127.0.0.1:53/udp"));
    }
}

world_test! {
    /// Files are root's, for nobody else to write to; who owned one keeps what it gave, and no more.
    fn no_file_is_given_away(world) {
        world.rule("byport/80", "alice", "web", 0o770);
        changes(world, "allow 80 bob", &["byport/80: now writable by root alone", "byport/80: + bob"]);
        changes(world, "allow 81 bob", &["byport/81: new", "byport/81: + bob"]);
        let _ = ctl(world, "allow 90-91 bob").successful();
        for file in ["byport/80", "byport/81", "byuid/4002"] {
            let status = fs::metadata(format!("{RULES}/{file}")).unwrap();
            assert_eq!((status.uid(), status.mode() & 0o6022), (0, 0), "{file}");
        }
        let list = ctl(world, "list").successful().stdout;
        assert!(list.contains("80\tany\tany\talice bob @web\tbyport/80\n"), "{list}");
        let lock = fs::metadata(format!("{RULES}/.rauthbindctl.lock")).unwrap();
        assert_eq!((lock.uid(), lock.mode() & 0o7777), (0, 0o600), "who can open it can hold it");
    }
}

world_test! {
    /// What a subject has by another name stays, is told, and is not passed for taken.
    fn what_cannot_be_taken_by_name_is_told(world) {
        world.rule("byport/80", "root", "web", 0o710);
        world.rule("byport/81", "root", "root", 0o755);
        world.grant("byport/82", "alice");
        let _ = ctl(world, "allow 83 alice").successful();
        refuses(world, "revoke 80 alice", 1, "as one of @web; to end that: rauthbindctl revoke 80 @web, or take alice out");
        refuses(world, "revoke 81 alice", 1, &format!("as everybody may; to end that: chmod o-x {RULES}/byport/81"));
        refuses(world, "revoke 83 alice --addr 10.0.0.1", 1, "to end that: rauthbindctl revoke 83 alice");
        changes(world, "revoke 80 @web", &["byport/80: removed", "byport/80: - @web"]);
        changes(world, "revoke 82 alice", &["byport/82: removed", "byport/82: - @alice"]);
        refuses(world, "revoke 80 bob", 0, "");
    }
}

world_test! {
    /// A file that others would be hidden by, or come to light without, is neither made nor removed.
    fn others_keep_what_they_have(world) {
        world.grant("byaddr/10.0.0.1,80", "bob");
        world.grant("byport/443", "bob");
        changes(world, "allow 80 alice", &[
            "byaddr/10.0.0.1,80: + alice", "byuid/4001: new", "byuid/4001: + 0.0.0.0/0,80", "byuid/4001: + ::/0,80",
        ]);
        refuses(world, "allow 80 @web", 1, "that would also take 0.0.0.0:80/tcp from alice, as /etc/rauthbind/byport/80 would decide it");
        refuses(world, "allow 80/tcp carol", 1, "that would also take");
        refuses(world, "allow 443 alice --addr 10.0.0.1", 1, "10.0.0.1:443/tcp would stay refused: /etc/rauthbind/byport/443 is looked up first");
        refuses(world, "allow 443-444 @web", 1, "can be granted to users only");
        refuses(world, "allow 443-444/tcp alice", 1, "for all protocols only");
        // To be read, a file of lines would grant all of them.
        world.byuid("4003", "::/0,100\n");
        fs::set_permissions(format!("{RULES}/byuid/4003"), Permissions::from_mode(0o600)).unwrap();
        refuses(world, "allow 90-100 carol --addr 10.0.0.0/8", 1, "that would also give");
        world.rule("byport/25", "root", "root", 0o600);
        world.grant("byaddr/10.0.0.1,25", "bob");
        let _ = ctl(world, "allow 25 alice").successful();
        changes(world, "revoke 25 alice", &["byport/25: - alice"]);
    }
}

world_test! {
    /// Ports that pass for root's are granted to those who know what they do.
    fn ports_512_to_1023_need_a_yes(world) {
        for ports in ["512", "1023", "80,600", "80-512", "1000-2000"] {
            refuses(world, &format!("allow {ports} alice"), 1, "NFS");
        }
        changes(world, "allow --yes 600 alice", &["byport/!600: new", "byport/!600: + alice"]);
        changes(world, "allow --yes 511-513 bob", &[
            "byuid/!4002: new", "byuid/!4002: + 0.0.0.0/0,512-513", "byuid/!4002: + ::/0,512-513",
            "byuid/4002: new", "byuid/4002: + 0.0.0.0/0,511", "byuid/4002: + ::/0,511",
        ]);
        let _ = ctl(world, "revoke 600 alice").successful();
        let _ = ctl(world, "revoke 1-1023 bob").successful();
        assert_eq!(contents(Path::new(RULES)), BTreeMap::new());
        assert!(ctl(world, "allow 8080 alice").successful().stderr.contains("port 8080 is not privileged"));
    }
}

world_test! {
    /// Lines count for a user who can read them as one of a group, and do not for one whom a group keeps from them.
    fn lines_are_read_with_the_groups_of_their_user(world) {
        let file = format!("{RULES}/byuid/4002");
        world.byuid("4002", "0.0.0.0/0,80\n::/0,80\n");
        chown(&file, Some(0), Some(4002)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let request = Request { protocol: Protocol::Tcp, address: "0.0.0.0:80".parse().unwrap() };
        let may = |user| decisions(world, &[request])[user][0];
        let list = ctl(world, "list").successful().stdout;
        assert!(list.contains("80\tany\t::/0\tbob\tbyuid/4002:2\n") && !list.contains("grants nothing"), "{list}");
        refuses(world, "allow 80 @web", 1, "that would also take 0.0.0.0:80/tcp from bob");
        let _ = ctl(world, "allow 80 alice").successful();
        fs::write("/run/tmp/grants", ctl(world, "export").successful().stdout).unwrap();
        changes(world, "apply /run/tmp/grants", &[]);
        assert!(may("alice") && may("bob"));

        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        assert!(!may("bob"));
        let list = ctl(world, "list").successful().stdout;
        assert!(!list.contains("bob") && list.contains("byuid/4002: grants nothing: its user cannot read it"), "{list}");
    }
}

world_test! {
    /// What is not understood, or nobody's, changes nothing.
    fn what_is_not_understood_changes_nothing(world) {
        for (arguments, reason) in [
            ("allow 80", "required"), ("allow", "required"), ("allow 80 nosuchuser", "there is no user \"nosuchuser\""),
            ("allow 80 @nosuchgroup", "there is no group \"nosuchgroup\""), ("allow 80 alice nosuchuser", "nosuchuser"),
            ("allow 80 @", "there is no group \"\""), ("allow 80 -- -x", "there is no user \"-x\""),
            ("allow 80 alice --frobnicate", "--frobnicate"), ("allow 80 4294967295", "there is no user"),
            ("allow 80 4294967296", "there is no user"), ("allow 80 18446744073709551617", "there is no user"),
            ("allow 80 a\nb", "there is no user \"a\\nb\""), ("allow 80 \u{1b}[31m", "there is no user \"\\u{1b}[31m\""),
            ("allow 80 ../../etc/passwd", "there is no user"), ("allow 0 alice", "\"0\" is neither"),
            ("allow 65536 alice", "\"65536\" is neither"), ("allow 80, alice", "\"\" is neither"), ("allow -1 alice", "-1"),
            ("allow 80/icmp alice", "\"icmp\" is not a protocol"), ("allow 90-80 alice", "ends before it begins"),
            ("allow nosuchservice alice", "services(5)"), ("allow 80 alice --addr 10.0.0.1/8", "no bits set beyond"),
            ("allow 80 alice --addr localhost", "neither an address"), ("allow 80 alice --addr ../x", "neither an address"),
            ("allow 80 alice --addr 10.0.0.1,10.0.0.2", "neither an address"), ("revoke 80 alice --yes", "--yes"),
            ("apply /nonexistent", "cannot read /nonexistent"), ("frobnicate", "frobnicate"), ("list --user @web", "\"@web\" is no user"),
        ] {
            refuses(world, arguments, 2, reason);
        }
        refuses(world, "allow 80 root", 1, "root needs no rule");
        refuses(world, "revoke 80 root", 1, "root needs no rule");
        fs::write("/run/tmp/grants", "allow 80 alice\nallow 81 nosuchuser\n").unwrap();
        refuses(world, "apply /run/tmp/grants", 2, "/run/tmp/grants, line 2: there is no user \"nosuchuser\"");
        // A number may be anybody's, up to the last one that is one.
        changes(world, "allow 80 3000000000 4294967294", &["byport/80: new", "byport/80: + 3000000000", "byport/80: + 4294967294"]);
    }
}

world_test! {
    /// Only root changes rules, and only where nobody else can; everybody can look.
    fn only_root_changes_rules_and_only_roots_own(world) {
        let _ = ctl(world, "allow 80 alice").successful();
        let done = ctl_as(world, "alice", "allow 81 alice");
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stderr.contains("only root can change rules"), "{}", done.stderr);
        let list = ctl_as(world, "bob", "list").successful().stdout;
        assert!(list.contains("alice\tbyport/80"), "{list}");
        assert_eq!(ctl_as(world, "bob", "list --user bob").successful().stdout.lines().count(), 1);
        fs::set_permissions(format!("{RULES}/byaddr"), Permissions::from_mode(0o777)).unwrap();
        refuses(world, "allow 81 alice", 1, "chmod go-w /etc/rauthbind/byaddr");
        assert!(ctl(world, "list").successful().stdout.contains("chmod go-w /etc/rauthbind/byaddr"));
        fs::set_permissions(format!("{RULES}/byaddr"), Permissions::from_mode(0o755)).unwrap();
        symlink("80", format!("{RULES}/byport/81")).unwrap();
        fs::create_dir(format!("{RULES}/byport/82")).unwrap();
        refuses(world, "allow 81 bob", 1, "byport/81 is not a file to be changed");
        refuses(world, "allow 82 bob", 1, "byport/82 is not a file to be changed");
    }
}

world_test! {
    /// Where the rule is right and something else is not, a grant says so.
    fn a_grant_that_is_none_is_told(world) {
        fs::set_permissions(RULES, Permissions::from_mode(0o700)).unwrap();
        let done = ctl(world, "allow 80/udp alice --addr ::1");
        assert_eq!(done.status.code(), Some(1));
        let told = "something else keeps it refused; see: rauthbindctl explain 80/udp --user 4001 --addr=::1";
        assert!(done.stderr.contains(told), "{}", done.stderr);
        fs::set_permissions(RULES, Permissions::from_mode(0o755)).unwrap();
        changes(world, "allow 80/udp alice --addr ::1", &[]);
    }
}

world_test! {
    /// What nobody looks for, what is never reached, and what others can change is listed with the reason; no name does
    /// anything to a terminal.
    fn what_is_no_effective_rule_is_listed_with_the_reason(world) {
        for name in ["byport/443", "byport/0443", "byport/https", "byport/a\u{1b}[31m\nb", "byaddr/10.0.0.1,443", "byaddr/10.0.0.1:25",
            "byaddr/10.0.0.1,25", "byuid/alice"]
        {
            world.grant(name, "alice");
        }
        world.rule("byport/22", "alice", "root", 0o700);
        world.rule("byport/80", "root", "root", 0o600);
        world.byuid("4001", "0.0.0.0/0,80\n 0.0.0.0/0,80\n0.0.0.0/0,500-600\n");
        world.byuid("4002", "::/0,80\n");
        fs::set_permissions(format!("{RULES}/byuid/4002"), Permissions::from_mode(0o600)).unwrap();
        let list = ctl(world, "list").successful().stdout;
        for finding in [
            "byport/0443: no rule:", "byport/https: no rule:", "byport/a\\u{1b}[31m\\nb: no rule:", "byuid/alice: no rule:",
            "byaddr/10.0.0.1,443: never reached: byport/443 is looked up first",
            "byaddr/10.0.0.1:25: never reached: byaddr/10.0.0.1,25 is looked up first", "byport/22: others than root can change it",
            "byuid/4001: line 2 grants nothing", "byuid/4001: line 3 does not grant ports 512 to 1023",
            "byuid/4002: grants nothing: its user cannot read it", "byuid/4001: line 1 does not decide port 80: byport/80 is looked up first",
        ] {
            assert!(list.contains(finding), "no {finding} in\n{list}");
        }
        assert!(!list.contains('\u{1b}') && !list.contains("\n80\tany\t::/0\tbob"), "{list}");
        let json: serde_json::Value = serde_json::from_str(&ctl(world, "list --json").successful().stdout).unwrap();
        assert_eq!(
            json["grants"][0],
            serde_json::json!({
                "first_port": 22, "last_port": 22, "protocol": null, "addresses": null, "everybody": false,
                "subjects": ["alice"], "except": [], "file": "byport/22", "line": null,
            })
        );
        assert_eq!(json["findings"].as_array().unwrap().len(), 12);
        assert!(json["findings"].as_array().unwrap().iter().all(|finding| finding["reason"].is_string()));
    }
}

world_test! {
    /// Columns and colours are for terminals, and colours not for those who want none.
    fn columns_and_colours_are_for_terminals(world) {
        world.grant("byport/80", "alice");
        let on_terminal = |environment: &str| {
            let list = format!("env -u NO_COLOR {environment} TERM=xterm rauthbindctl list");
            world.command("root", ["script", "-qec", &list, "/dev/null"]).run().successful().stdout
        };
        let coloured = on_terminal("");
        assert!(coloured.contains("\u{1b}[1mPORT  PROTOCOL"), "{coloured:?}");
        let plain = on_terminal("NO_COLOR=1");
        assert!(plain.starts_with("PORT  PROTOCOL  ADDRESS  WHO") && !plain.contains('\u{1b}'), "{plain:?}");
        let piped = ctl(world, "list").successful().stdout;
        assert_eq!(piped, "PORT\tPROTOCOL\tADDRESS\tWHO\tRULE\n80\tany\tany\t@alice\tbyport/80\n");
    }
}

world_test! {
    /// Of many who change the same rule at once, nobody's change is lost.
    fn nobodys_change_is_lost(world) {
        let users: Vec<String> = (5001..5025).map(|user| user.to_string()).collect();
        let started: Vec<Running> =
            users.iter().map(|user| world.command("root", ["rauthbindctl", "allow", "80,81", user]).start()).collect();
        for one in started {
            let _ = one.wait().successful();
        }
        let json: serde_json::Value = serde_json::from_str(&ctl(world, "list --json").successful().stdout).unwrap();
        for grant in json["grants"].as_array().unwrap() {
            let subjects: BTreeSet<&str> = grant["subjects"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(subjects, users.iter().map(String::as_str).collect());
        }
    }
}

world_test! {
    /// Killed at any of its system calls that touch a file, it leaves the old rule or the new one; and the next one finds
    /// nothing in its way.
    fn a_crash_leaves_the_old_rule_or_the_new_one(world) {
        let requests = [Request { protocol: Protocol::Tcp, address: "0.0.0.0:80".parse().unwrap() }];
        let calls = ["openat", "flock", "statx", "getxattr", "read", "getdents64", "write", "fchown", "fsetxattr", "fsync", "rename", "close"];
        let mut left: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        for call in calls {
            for time in 1.. {
                assert!(time < 1000, "it never comes to its end");
                let _ = ctl(world, "revoke 80 alice").successful();
                let _ = ctl(world, "allow 80 bob").successful();
                let inject = format!("inject={call}:signal=KILL:when={time}");
                let strace = ["strace", "-o/dev/null", "-e", &inject, "rauthbindctl", "allow", "80", "alice"];
                let done = world.command("root", strace).run();
                if done.status.success() {
                    break;
                }
                let at = format!("killed at {call} {time}");
                let decided = decisions(world, &requests);
                assert!(decided["bob"][0] && !decided["carol"][0], "{at}");
                left.entry(decided["alice"][0]).or_default().push(at.clone());
                let _ = ctl(world, "allow 80 alice").successful();
                let names = fs::read_dir(format!("{RULES}/byport")).unwrap().map(|entry| entry.unwrap().file_name());
                assert_eq!(names.collect::<Vec<_>>(), ["80"], "{at}");
            }
        }
        assert!(left[&false].contains(&"killed at rename 1".to_owned()), "{left:?}");
        assert!(left[&false].len() > 20 && left[&true].len() > 2, "{left:?}");
    }
}

world_test! {
    /// Wherever a change of many files is cut short, each decision is the old one or the new one.
    fn each_decision_is_the_old_one_or_the_new_one(world) {
        let requests = all_requests();
        let texts = [
            "allow 80 --nobody\nallow 80-81 --addr 0.0.0.0/0 alice\n",
            "allow 80 --everybody\nallow 80/tcp alice\n",
            "allow 80 --addr ::ffff:127.0.0.1 --nobody\nallow 80 --addr 127.0.0.1 --everybody\nallow 80 --addr 0.0.0.0/0 bob\n",
            "# nothing\n",
        ];
        let make = |text| {
            fs::write("/run/tmp/grants", text).unwrap();
            let _ = ctl(world, "apply /run/tmp/grants").successful();
            decisions(world, &requests)
        };
        let mut cuts = 0;
        for (old, new) in texts.into_iter().flat_map(|old| texts.map(|new| (old, new))) {
            let will = make(new);
            for (call, time) in ["rename", "unlink"].into_iter().flat_map(|call| [1, 2, 3].map(|time| (call, time))) {
                let was = make(old);
                fs::write("/run/tmp/grants", new).unwrap();
                let inject = format!("inject={call}:signal=KILL:when={time}");
                let strace = ["strace", "-o/dev/null", "-e", &inject, "rauthbindctl", "apply", "/run/tmp/grants"];
                if world.command("root", strace).run().status.success() {
                    continue;
                }
                cuts += 1;
                for (user, is) in decisions(world, &requests) {
                    let all = requests.iter().zip(is).zip(was[user].iter().zip(&will[user]));
                    let odd: Vec<_> = all.filter(|((_, is), (was, will))| is != *was && is != *will).collect();
                    assert_eq!(odd, [], "{user}, killed at {call} {time} between\n{old}and\n{new}");
                }
            }
        }
        assert!(cuts > 20, "hardly ever killed: {cuts}");
    }
}

world_test! {
    /// By a name that is printed the same subject is found again, and nothing else is done; else it is a number.
    fn a_name_is_nobody_elses(world) {
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        passwd += "alice:x:5001:5001::/:/bin/sh\nx;id:x:5002:5002::/:/bin/sh\n4001:x:5003:5003::/:/bin/sh\nx 4100:x:5004:5004::/:/bin/sh\n";
        fs::write("/etc/passwd", passwd).unwrap();
        let _ = ctl(world, "allow 80 5001 5002 5003 5004").successful();
        let _ = ctl(world, "allow 81 nobody").successful();
        world.rule("byport/82", "root", "root", 0o600);
        let list = ctl(world, "list").successful().stdout;
        assert!(list.contains("80\tany\tany\t5001 5002 5003 5004\t"), "{list}");
        assert!(list.contains("\tnobody\tbyport/81\n") && list.contains("\t-\tbyport/82\n"), "{list}");
        fs::write("/run/tmp/grants", ctl(world, "export").successful().stdout).unwrap();
        changes(world, "apply /run/tmp/grants", &[]);
        let explained = ctl(world, "explain 80 --user 5002").successful().stdout;
        assert!(!explained.contains("x;id"), "{explained}");
        let explained = ctl(world, "explain 80 --user 5004").successful().stdout;
        assert!(!explained.contains("@web"), "by a number in the name: {explained}");
    }
}

world_test! {
    /// A link that cannot be followed, as those in whose directory it ends can bring about, is told and keeps nobody from
    /// the other rules; nothing that it may grant passes for revoked.
    fn a_link_that_cannot_be_followed_is_one_rule(world) {
        let _ = ctl(world, "allow 81 bob").successful();
        symlink("/run/tmp/loop", "/run/tmp/loop").unwrap();
        symlink("/run/tmp/loop", format!("{RULES}/byport/80")).unwrap();
        symlink("/run/tmp/loop", format!("{RULES}/byuid/4001")).unwrap();
        for user in ["root", "bob"] {
            let list = ctl_as(world, user, "list").successful().stdout;
            let told = ["byport/80", "byuid/4001"].map(|file| format!("{file}: a symbolic link that cannot be followed"));
            assert!(told.iter().all(|told| list.contains(told)) && list.contains("bob\tbyport/81"), "{list}");
        }
        refuses(world, "revoke 80 alice", 1, "byuid/4001 is not a file to be changed");
        refuses(world, "allow 80 bob", 1, "byport/80 is not a file to be changed");
        changes(world, "revoke 81 bob", &["byport/81: removed", "byport/81: - bob"]);
    }
}

world_test! {
    /// Whoever can write a file of lines cannot make a change of others' rules take for ever.
    fn many_lines_hold_nobody_up(world) {
        let lines: String = (1..4000).map(|number| format!("::{number:x},{}\n", number % 500 + 1)).collect();
        world.byuid("4001", &lines);
        let _ = ctl(world, "allow 1-511 bob").successful();
    }
}

world_test! {
    /// A directory that is made can be searched, whatever root's umask is: others have rules in the next one.
    fn the_umask_is_not_the_rules(world) {
        world.byuid("4002", "0.0.0.0/0,80\n");
        fs::remove_dir(format!("{RULES}/byport")).unwrap();
        let script = "umask 077; exec rauthbindctl allow 81 alice";
        let _ = world.command("root", ["sh", "-c", script]).run().successful();
        let request = Request { protocol: Protocol::Tcp, address: "0.0.0.0:80".parse().unwrap() };
        assert!(decisions(world, &[request])["bob"][0]);
    }
}

world_test! {
    /// Whoever owns a file of lines cannot keep them by making them unreadable for a while.
    fn what_cannot_be_read_is_not_passed_for_revoked(world) {
        world.byuid("4001", &format!("0.0.0.0/0,80\n{}", "#".repeat(70_000)));
        chown(format!("{RULES}/byuid/4001"), Some(4001), None).unwrap();
        refuses(world, "revoke 80 alice", 1, "byuid/4001 is not a file to be changed");
        fs::write("/run/tmp/grants", "# nothing").unwrap();
        changes(world, "apply /run/tmp/grants", &["byuid/4001: removed"]);
    }
}

world_test! {
    /// Where the file system keeps no ACLs, one group can have a port, or one user by a group of their own; more cannot,
    /// and no file is given away for it.
    fn without_acls_a_rule_is_one_groups(world) {
        let byport = format!("{RULES}/byport");
        let _ = world.command("root", ["mount", "-t", "ramfs", "-o", "mode=0755", "ramfs", &byport]).run().successful();
        let requests = [Request { protocol: Protocol::Tcp, address: "0.0.0.0:80".parse().unwrap() }];
        let may = |user| decisions(world, &requests)[user][0];
        changes(world, "allow 80 alice", &["byport/80: new", "byport/80: + @alice"]);
        assert!(may("alice") && !may("bob"));
        changes(world, "allow 80 alice", &[]);
        refuses(world, "allow 80 bob", 1, "keeps no ACLs");
        refuses(world, "allow 80 @web", 1, "keeps no ACLs");
        refuses(world, "allow 81 alice bob", 1, "keeps no ACLs");
        changes(world, "revoke 80 alice", &["byport/80: removed", "byport/80: - @alice"]);
        changes(world, "allow 80 @web", &["byport/80: new", "byport/80: + @web"]);
        assert!(may("alice") && may("carol") && !may("bob"));
        assert_eq!(fs::metadata(format!("{byport}/80")).unwrap().uid(), 0);
    }
}
