//! Who may bind what: each form of rule with its nearest neighbour that is none, asked twice. Once with a real socket,
//! by a program that runs under rauthbind, and once of the policy itself, which also knows the protocols that this
//! kernel has no sockets for.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "rules/subject.rs"]
mod subject;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID};
use rauthbind_policy::{Protocol, Refusal, Request, Rules};
use rauthbind_tests::log::app;
use rauthbind_tests::{World, sys, world_test};
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};
use subject::Subject;

const NONE: &str = "there is no rule for it";
const LINE_1: &str = "by byuid/4001 line 1";
const NOT_COVERED: &str = "no line of byuid/4001 covers it";

impl Subject<'_> {
    /// What the policy says to this user.
    fn verdict(&self, what: &str) -> Result<String, String> {
        self.world.as_user(self.user, || decide(what))
    }

    /// The policy's words, which the bind has borne out.
    #[track_caller]
    fn ask(&self, what: &str) -> String {
        let (verdict, bound) = (self.verdict(what), self.binds(what));
        match (&verdict, bound.as_ref().map_err(String::as_str)) {
            (Ok(_), Ok(())) | (Err(_), Err("EACCES")) => {}
            (_, Err("EPROTONOSUPPORT" | "ESOCKTNOSUPPORT")) => assert!(!kernel_has(what), "{what}: {bound:?}"),
            _ => panic!("{what} as {}: the policy says {verdict:?}, but the bind gave {bound:?}", self.user),
        }
        verdict.unwrap_or_else(|refusal| refusal)
    }
}

/// What the policy says to whoever this thread is: `by` the rule that grants it, or why it is refused.
fn decide(what: &str) -> Result<String, String> {
    let (address, protocol) = what.rsplit_once('/').expect("address and protocol");
    let named = |known: &Protocol| known.name() == protocol || (protocol, *known) == ("mptcp", Protocol::Tcp);
    let protocol = Protocol::ALL.into_iter().find(named).expect("a protocol");
    let request = Request { protocol, address: address.parse().expect("an address") };
    let verdict = Rules::open(Path::new(RULES)).map_err(Refusal::from).and_then(|rules| rules.decide(&request));
    verdict.map(|rule| format!("by {rule}")).map_err(|refusal| refusal.to_string())
}

/// Whether the kernel makes sockets of this protocol.
fn kernel_has(what: &str) -> bool {
    let (kind, protocol) = match what.rsplit('/').next() {
        Some("sctp") => (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        Some("dccp") => (libc::SOCK_DCCP, libc::IPPROTO_DCCP),
        Some("udplite") => (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        Some("mptcp") => (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
        _ => return true,
    };
    sys::socket(libc::AF_INET, kind, protocol).is_ok()
}

fn path(rule: &str) -> PathBuf {
    // Joined with nothing, the path would end with a slash, which leads through symbolic links.
    if rule.is_empty() { RULES.into() } else { Path::new(RULES).join(rule) }
}

/// Makes these and no other rules, each written as in [`check`].
fn only(world: &World, rules: &[&str]) {
    for directory in [BYPORT, BYADDR, BYUID] {
        fs::remove_dir_all(path(directory)).unwrap();
        fs::create_dir(path(directory)).unwrap();
    }
    rules.iter().for_each(|rule| add(world, rule));
}

fn add(world: &World, rule: &str) {
    match rule.split_at(1) {
        ("+", name) => world.grant(name, "alice"),
        ("-", name) => world.rule(name, "root", "alice", 0o640),
        _ => {
            let (name, text) = rule.strip_prefix("byuid/").and_then(|rule| rule.split_once(": ")).expect("a rule");
            world.byuid(name, text);
        }
    }
}

/// Sees that these rules and no others give these answers.
///
/// A rule is `+NAME`, a file that alice may execute; `-NAME`, one that she may not; or `byuid/NAME: TEXT`. An answer is
/// `by` a rule, or the reason of a refusal.
#[track_caller]
fn check(alice: &Subject<'_>, rules: &[&str], answers: &[(&str, &str)]) {
    only(alice.world, rules);
    for (what, answer) in answers {
        assert_eq!(alice.ask(what), *answer, "{what} with {rules:?}");
    }
}

/// Sees that this rule grants the first ones and has nothing to say of the others.
#[track_caller]
fn check_grants(alice: &Subject<'_>, rule: &str, granted: &[&str], others: &[&str]) {
    let by = format!("by {rule}");
    let grant = format!("+{rule}");
    let answers: Vec<_> =
        granted.iter().map(|what| (*what, &*by)).chain(others.iter().map(|what| (*what, NONE))).collect();
    check(alice, &[&grant], &answers);
}

fn not_executable(file: &str) -> String {
    format!("{file} is not executable for this user")
}

fn unexaminable(file: &str, errno: Errno) -> String {
    format!("{file} cannot be examined as this user: {}", errno.desc())
}

world_test! {
    /// `byport/N` grants port N of every address and protocol, and no other port; no other spelling grants it.
    fn byport_grants_its_port(world) {
        let alice = Subject::start(world, "alice");
        let granted = [
            "127.0.0.1:443/tcp", "127.0.0.1:443/udp", "127.0.0.1:443/udplite", "127.0.0.1:443/mptcp", "0.0.0.0:443/tcp",
            "10.1.2.3:443/tcp", "[::1]:443/tcp", "[::]:443/udp", "[2001:db8::1]:443/tcp", "[::ffff:127.0.0.1]:443/tcp",
        ];
        let others =
            ["127.0.0.1:442/tcp", "127.0.0.1:444/udp", "127.0.0.1:44/tcp", "127.0.0.1:43/tcp", "[::1]:442/tcp"];
        check_grants(&alice, "byport/443", &granted, &others);
        check_grants(&alice, "byport/1", &["127.0.0.1:1/tcp"], &["127.0.0.1:2/tcp", "127.0.0.1:11/tcp"]);
        for name in ["0443", "443,", "443,TCP", "443,tcp,udp", "443,6", ",443", "443 ", "!443", "tcp,443", "https"] {
            check_grants(&alice, &format!("byport/{name}"), &[], &granted);
        }
    }
}

world_test! {
    /// A protocol at the end of the name restricts the rule to it; MPTCP is TCP.
    fn each_protocol_has_its_name(world) {
        let alice = Subject::start(world, "alice");
        for directory in ["byport/80", "byaddr/127.0.0.1,80"] {
            for protocol in Protocol::ALL {
                let what = |protocol| format!("127.0.0.1:80/{protocol}");
                let others = Protocol::ALL.into_iter().filter(|other| *other != protocol).map(what).collect::<Vec<_>>();
                let others: Vec<_> = others.iter().map(String::as_str).collect();
                check_grants(&alice, &format!("{directory},{protocol}"), &[&what(protocol)], &others);
            }
            check_grants(&alice, &format!("{directory},tcp"), &["127.0.0.1:80/mptcp"], &["127.0.0.1:80/udp"]);
            check_grants(&alice, &format!("{directory},mptcp"), &[], &["127.0.0.1:80/mptcp", "127.0.0.1:80/tcp"]);
        }
    }
}

world_test! {
    /// The name with the protocol decides before the name without, either way.
    fn the_protocols_own_name_decides_first(world) {
        let alice = Subject::start(world, "alice");
        let (tcp, udp) = ("127.0.0.1:443/tcp", "127.0.0.1:443/udp");
        let no = not_executable;
        for name in ["byport/443", "byaddr/127.0.0.1,443", "byaddr/127.0.0.1:443"] {
            // With a protocol there is no spelling with a colon.
            let with_udp = format!("{},udp", name.replace(':', ","));
            let by = |name: &str| format!("by {name}");
            check(&alice, &[&format!("-{with_udp}"), &format!("+{name}")], &[(udp, &no(&with_udp)), (tcp, &by(name))]);
            check(&alice, &[&format!("+{with_udp}"), &format!("-{name}")], &[(udp, &by(&with_udp)), (tcp, &no(name))]);
            check(&alice, &[&format!("+{with_udp}"), &format!("+{name}")], &[(udp, &by(&with_udp)), (tcp, &by(name))]);
        }
        check_grants(&alice, "byaddr/127.0.0.1:443,udp", &[], &[tcp, udp]);
    }
}

world_test! {
    /// `byaddr` knows each spelling that authbind knows, and no other.
    fn byaddr_grants_its_address_in_every_spelling(world) {
        let alice = Subject::start(world, "alice");
        let v4 = ["127.0.0.1:80/tcp", "127.0.0.1:80/udp"];
        let not_v4 = ["127.0.0.2:80/tcp", "127.0.0.1:81/tcp", "0.0.0.0:80/tcp", "[::1]:80/tcp", "[::127.0.0.1]:80/tcp"];
        for name in ["127.0.0.1,80", "127.0.0.1:80"] {
            check_grants(&alice, &format!("byaddr/{name}"), &v4, &not_v4);
        }
        let v6 = ["[::1]:80/tcp", "[::1]:80/udp"];
        let not_v6 = ["[::2]:80/tcp", "[::1]:81/tcp", "[::]:80/tcp", "0.0.0.1:80/tcp", "127.0.0.1:80/tcp"];
        for name in ["::1,80", "0:0:0:0:0:0:0:1,80"] {
            check_grants(&alice, &format!("byaddr/{name}"), &v6, &not_v6);
            check_grants(&alice, &format!("byaddr/{name},udp"), &v6[1..], &v6[..1]);
        }
        for (name, what) in [
            ("0.0.0.0,80", "0.0.0.0:80/tcp"),
            ("::,80", "[::]:80/tcp"),
            ("0:0:0:0:0:0:0:0,80", "[::]:80/tcp"),
            ("2001:db8::a:b,80", "[2001:db8::a:b]:80/tcp"),
            ("2001:db8:0:0:0:0:a:b,80", "[2001:db8::a:b]:80/tcp"),
            ("::1.2.3.4,80", "[::1.2.3.4]:80/tcp"),
            ("0:0:0:0:0:0:102:304,80", "[::1.2.3.4]:80/tcp"),
        ] {
            check_grants(&alice, &format!("byaddr/{name}"), &[what], &["127.0.0.1:80/tcp", "[::1]:80/tcp"]);
        }
        let all: Vec<_> = v4.iter().chain(&v6).copied().collect();
        for name in [
            "127.0.0.1", "127.0.0.1,", "127.0.0.1,080", "127.0.0.01,80", "127.1,80", "127.0.0.1, 80", "!127.0.0.1,80",
            "localhost,80", "::1:80", "[::1]:80", "[::1],80", "::0001,80", "0::1,80", "::127.0.0.1,80", "*,80", "80",
        ] {
            check_grants(&alice, &format!("byaddr/{name}"), &[], &all);
        }
    }
}

world_test! {
    /// An IPv4-mapped address is looked up as the IPv6 address that it is, and then as the IPv4 address in it.
    fn mapped_addresses_are_looked_up_twice(world) {
        let alice = Subject::start(world, "alice");
        let (mapped, v4) = ("[::ffff:127.0.0.1]:80/tcp", "127.0.0.1:80/tcp");
        let neighbours =
            ["[::ffff:127.0.0.2]:80/tcp", "[::ffff:127.0.0.1]:81/tcp", "[::fffe:7f00:1]:80/tcp", "[::1]:80/tcp"];
        for name in ["::ffff:127.0.0.1,80", "0:0:0:0:0:ffff:7f00:1,80", "::ffff:127.0.0.1,80,tcp"] {
            let others: Vec<_> = neighbours.into_iter().chain([v4]).collect();
            check_grants(&alice, &format!("byaddr/{name}"), &[mapped], &others);
        }
        for name in ["127.0.0.1,80", "127.0.0.1:80", "127.0.0.1,80,tcp"] {
            check_grants(&alice, &format!("byaddr/{name}"), &[mapped, v4], &neighbours);
        }
        let (long, short) = ("byaddr/::ffff:127.0.0.1,80", "byaddr/127.0.0.1,80,tcp");
        let (no, by) = (not_executable, |name| format!("by {name}"));
        check(&alice, &[&format!("-{long}"), &format!("+{short}")], &[(mapped, &no(long)), (v4, &by(short))]);
        check(&alice, &[&format!("+{long}"), &format!("-{short}")], &[(mapped, &by(long)), (v4, &no(short))]);
        for (line, v4_answer) in [
            ("127.0.0.1,80", LINE_1),
            ("0.0.0.0/0,80", LINE_1),
            ("::ffff:127.0.0.1,80", NOT_COVERED),
            ("::ffff:0:0/96,80", NOT_COVERED),
            ("::/0,80", NOT_COVERED),
        ] {
            check(&alice, &[&format!("byuid/4001: {line}")], &[(mapped, LINE_1), (v4, v4_answer)]);
        }
    }
}

world_test! {
    /// Each form of line with what it grants and the nearest that it does not.
    fn byuid_lines_grant_what_they_say(world) {
        let alice = Subject::start(world, "alice");
        let table: &[(&str, &[&str], &[&str])] = &[
            ("127.0.0.1,80", &["127.0.0.1:80"], &["127.0.0.0:80", "127.0.0.2:80", "127.0.0.1:79", "127.0.0.1:81"]),
            ("127.0.0.1,80-82", &["127.0.0.1:80", "127.0.0.1:81", "127.0.0.1:82"], &["127.0.0.1:79", "127.0.0.1:83"]),
            ("10.0.0.5-10.0.0.9,80", &["10.0.0.5:80", "10.0.0.7:80", "10.0.0.9:80"], &["10.0.0.4:80", "10.0.0.10:80"]),
            ("10.0.0.5-10.0.0.9,1-511", &["10.0.0.5:1", "10.0.0.9:511"], &["10.0.0.4:1", "10.0.0.10:511"]),
            ("10.0.0.0/8,80", &["10.0.0.0:80", "10.255.255.255:80"], &["9.255.255.255:80", "11.0.0.0:80"]),
            ("10.0.0.128/25,80-90", &["10.0.0.128:80", "10.0.0.255:90"], &["10.0.0.127:80", "10.0.1.0:80"]),
            ("10.0.0.1/32,80", &["10.0.0.1:80"], &["10.0.0.0:80", "10.0.0.2:80"]),
            ("0.0.0.0/0,80", &["0.0.0.0:80", "127.0.0.1:80", "255.255.255.255:80"], &["[::]:80", "0.0.0.0:81"]),
            ("10.0.0.0/8:80,90", &["10.1.2.3:80", "10.1.2.3:90"], &["10.1.2.3:79", "10.1.2.3:91", "11.0.0.0:80"]),
            ("::1,80", &["[::1]:80"], &["[::2]:80", "[::]:80", "[::1]:81", "0.0.0.1:80"]),
            ("2001:db8::5-2001:db8::9,80", &["[2001:db8::5]:80", "[2001:db8::9]:80"], &["[2001:db8::4]:80"]),
            ("::5-::9,80-90", &["[::5]:80", "[::9]:90"], &["[::4]:80", "[::a]:90", "[::9]:91"]),
            ("2001:db8::/127,80", &["[2001:db8::]:80", "[2001:db8::1]:80"], &["[2001:db8::2]:80"]),
            ("2001:db8::1/128,80", &["[2001:db8::1]:80"], &["[2001:db8::]:80", "[2001:db8::2]:80"]),
            ("::/0,80", &["[::]:80", "[::1]:80", "[2001:db8::1]:80"], &["0.0.0.0:80", "[::]:81"]),
            ("127.0.0.1, 80 # web", &["127.0.0.1:80"], &["127.0.0.1:81"]),
            ("127.0.0.1,80#", &["127.0.0.1:80"], &["127.0.0.1:81"]),
            ("127.0.0.1,080", &["127.0.0.1:80"], &["127.0.0.1:8"]),
            ("127.0.0.1,80\r", &["127.0.0.1:80"], &["127.0.0.1:81"]),
        ];
        for (line, granted, refused) in table {
            // The line's number, from 1, is told too.
            only(world, &[&format!("byuid/4001: # web\n\n{line}\n10.9.9.9,9\n")]);
            for (addresses, answer) in [(granted, "by byuid/4001 line 3"), (refused, NOT_COVERED)] {
                for address in *addresses {
                    assert_eq!(alice.ask(&format!("{address}/tcp")), answer, "{address} with {line:?}");
                    assert_eq!(alice.ask(&format!("{address}/udp")), answer, "{address} with {line:?}");
                }
            }
        }
        let two = "byuid/4001: 127.0.0.1,80\n0.0.0.0/0,80\n";
        check(&alice, &[two], &[("127.0.0.1:80/tcp", LINE_1), ("127.0.0.2:80/tcp", "by byuid/4001 line 2")]);
    }
}

world_test! {
    /// A line of none of these forms grants nothing, and the next line is read all the same.
    fn other_byuid_lines_grant_nothing(world) {
        let alice = Subject::start(world, "alice");
        for line in [
            "", "#127.0.0.1,80", "# 127.0.0.1,80", "127.0.0.1", "127.0.0.1#,80", "127.0.0.1,", ",80", "127.0.0.1:80",
            "80", "*", "127.0.0.1,80,tcp", "127.0.0.1,http", "127.0.0.1,+80", "127.0.0.1,-80", "127.0.0.1,80-",
            "127.0.0.1,81-79", "127.0.0.1,65616", "127.0.0.1,4294967376", "127.0.0.2-127.0.0.0,80", "127.0.0.0-::,80",
            "::-127.0.0.9,80", "127.0.0.0-127.0.0.2/32,80", "127.0.0.1/8,80", "127.0.0.1/33,80", "127.0.0.1/-1,80",
            "127.0.0.1/,80", "127.0.0.1/0,80", "127.0.0.0/8:80", "127.0.0.0/8:80-90", "127.1,80", "127.0.0.01,80",
            "127.0.0.1,0x50", "localhost,80", "*,80", "127.0.0.1,80 x", "::1/129,80", "::/0:80,80", "[::1],80",
            "127.0.0.1 80", "127.0.0.1;80", "127.0.0.1,80\0", "\x00127.0.0.1,80", "127.0.0.1,80\r\0", "!127.0.0.1,80",
            "byuid/4001: 127.0.0.1,80",
        ] {
            let rules = format!("byuid/4001: {line}\n10.0.0.1,80\n");
            check(&alice, &[&rules], &[("127.0.0.1:80/tcp", NOT_COVERED), ("10.0.0.1:80/tcp", "by byuid/4001 line 2")]);
        }
    }
}

world_test! {
    /// A `byuid` file is the user's whose number it has, and nobody else's; numbers above 2^31 are numbers too.
    fn byuid_files_are_by_user_number(world) {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let user = |name, uid: u32| format!("{name}:x:{uid}:4001::/run/home/alice:/bin/sh\n");
        fs::write("/etc/passwd", passwd + &user("half", 1 << 31) + &user("giant", u32::MAX - 1)).unwrap();
        let what = "127.0.0.1:80/tcp";
        let [alice, bob, half, giant] = ["alice", "bob", "half", "giant"].map(|user| Subject::start(world, user));
        for (name, owner) in [("4001", &alice), ("4002", &bob), ("2147483648", &half), ("4294967294", &giant)] {
            only(world, &[&format!("byuid/{name}: 127.0.0.1,80")]);
            for subject in [&alice, &bob, &half, &giant] {
                let by = format!("by byuid/{name} line 1");
                let answer = if subject.user == owner.user { &by } else { NONE };
                assert_eq!(subject.ask(what), answer, "{} with byuid/{name}", subject.user);
            }
        }
        for name in ["alice", "04001", "+4001", "4001 ", "4001,tcp", "!4001", "-2", "-2147483648", "*"] {
            only(world, &[&format!("byuid/{name}: 127.0.0.1,80")]);
            for subject in [&alice, &half, &giant] {
                assert_eq!(subject.ask(what), NONE, "{} with byuid/{name}", subject.user);
            }
        }
    }
}

world_test! {
    /// Ports 512 to 1023 are granted with or without authbind's `!` by `byport` and `byaddr`, and only with it by
    /// `byuid`; other ports never with it.
    fn the_bang_is_for_512_to_1023(world) {
        fs::write(UNPRIVILEGED_PORT_START, "2000").unwrap();
        let alice = Subject::start(world, "alice");
        for (port, bang) in [(511, false), (512, true), (600, true), (1023, true), (1024, false), (1999, false)] {
            let (what, udp) = (format!("127.0.0.1:{port}/tcp"), format!("127.0.0.1:{port}/udp"));
            let neighbours = [format!("127.0.0.1:{}/tcp", port - 1), format!("127.0.0.2:{}/tcp", port - 1)];
            let neighbours = neighbours.each_ref().map(String::as_str);
            check(&alice, &[], &[(&what, NONE)]);
            for name in ["byport/@{port}", "byaddr/@127.0.0.1,{port}", "byaddr/@127.0.0.1:{port}"] {
                let name = name.replace("{port}", &port.to_string());
                let both = [&*what, &udp];
                check_grants(&alice, &name.replace('@', ""), &both, &neighbours);
                let (granted, others) = both.split_at(if bang { 2 } else { 0 });
                check_grants(&alice, &name.replace('@', "!"), granted, others);
                // With a protocol there is no spelling with a colon.
                let (granted, others) = both.split_at(if bang { 1 } else { 0 });
                check_grants(&alice, &format!("{},tcp", name.replace('@', "!").replace(':', ",")), granted, others);
            }
            check_grants(&alice, &format!("byport/{port}!"), &[], &[&what]);
            for (name, counts) in [("!4001", bang), ("4001", !bang)] {
                let by = format!("by byuid/{name} line 1");
                let answer = if counts { &by } else { NONE };
                check(&alice, &[&format!("byuid/{name}: 0.0.0.0/0,1-65535")], &[(&what, answer)]);
            }
        }
        check_grants(&alice, "byaddr/!::1,600", &["[::1]:600/tcp"], &["[::1]:60/tcp"]);
        check_grants(&alice, "byaddr/!0:0:0:0:0:0:0:1,600,udp", &["[::1]:600/udp"], &["[::1]:600/tcp"]);
        assert_eq!(alice.binds("127.0.0.1:2000/tcp"), Ok(()), "a port that is not privileged needs no rule");
    }
}

world_test! {
    /// Where a rule exists in both spellings, the one with the `!` decides; the protocol's comes before all others.
    fn the_bang_decides_first(world) {
        let alice = Subject::start(world, "alice");
        let what = "127.0.0.1:600/tcp";
        let names = [
            "byport/!600,tcp", "byport/600,tcp", "byport/!600", "byport/600",
            "byaddr/!127.0.0.1,600,tcp", "byaddr/127.0.0.1,600,tcp", "byaddr/!127.0.0.1,600", "byaddr/127.0.0.1,600",
            "byaddr/!127.0.0.1:600", "byaddr/127.0.0.1:600",
        ];
        decides_first(&alice, what, &names);
        let (all, none, finger) = (": 0.0.0.0/0,1-1023", ": ", "127.0.0.1:79/tcp");
        for (with, without, answer, fingers) in [
            (all, none, "by byuid/!4001 line 1", NOT_COVERED),
            (none, all, "no line of byuid/!4001 covers it", LINE_1),
        ] {
            let rules = [format!("byuid/!4001{with}"), format!("byuid/4001{without}")];
            check(&alice, &rules.each_ref().map(String::as_str), &[(what, answer), (finger, fingers)]);
        }
    }
}

/// Sees that each of these files decides over all that stand behind it, whatever it says.
#[track_caller]
fn decides_first(alice: &Subject<'_>, what: &str, names: &[&str]) {
    for (first, later) in names.iter().enumerate().map(|(index, name)| (*name, names.iter().skip(index + 1))) {
        let rules = |own: char, others: char| -> Vec<String> {
            let later = later.clone().map(|name| format!("{others}{name}"));
            later.chain([format!("{own}{first}")]).collect()
        };
        let [refusing, granting] = [rules('-', '+'), rules('+', '-')];
        for (rules, answer) in [(refusing, not_executable(first)), (granting, format!("by {first}"))] {
            let rules: Vec<_> = rules.iter().map(String::as_str).collect();
            check(alice, &rules, &[(what, &answer)]);
        }
    }
}

world_test! {
    /// The first key that exists decides: `byport`, then `byaddr`, then `byuid`.
    fn the_first_key_that_exists_decides(world) {
        let alice = Subject::start(world, "alice");
        let names = [
            "byport/80,tcp", "byport/80", "byaddr/127.0.0.1,80,tcp", "byaddr/127.0.0.1,80", "byaddr/127.0.0.1:80",
        ];
        decides_first(&alice, "127.0.0.1:80/tcp", &names);
        let names = [
            "byport/80", "byaddr/::1,80,tcp", "byaddr/0:0:0:0:0:0:0:1,80,tcp", "byaddr/::1,80",
            "byaddr/0:0:0:0:0:0:0:1,80",
        ];
        decides_first(&alice, "[::1]:80/tcp", &names);
        let names = [
            "byaddr/::ffff:127.0.0.1,80,tcp", "byaddr/0:0:0:0:0:ffff:7f00:1,80,tcp", "byaddr/::ffff:127.0.0.1,80",
            "byaddr/0:0:0:0:0:ffff:7f00:1,80", "byaddr/127.0.0.1,80,tcp", "byaddr/127.0.0.1,80", "byaddr/127.0.0.1:80",
        ];
        decides_first(&alice, "[::ffff:127.0.0.1]:80/tcp", &names);
        let (what, all) = ("127.0.0.1:80/tcp", "byuid/4001: 0.0.0.0/0,80");
        for name in ["byport/80", "byaddr/127.0.0.1,80"] {
            check(&alice, &[&format!("-{name}"), all], &[(what, &not_executable(name))]);
            check(&alice, &[&format!("+{name}"), "byuid/4001: "], &[(what, &format!("by {name}"))]);
        }
        check(&alice, &[all], &[(what, LINE_1)]);
        check(&alice, &["-byport/81", "-byaddr/127.0.0.2,80", "-byport/80,udp", all], &[(what, LINE_1)]);
        check(&alice, &[], &[(what, NONE)]);
    }
}

world_test! {
    /// Only a file that does not exist leaves the decision to the next key; every other error refuses.
    fn only_absence_goes_on(world) {
        let alice = Subject::start(world, "alice");
        let what = "127.0.0.1:80/tcp";
        let next = "byuid/4001: 0.0.0.0/0,80";
        let by_next = LINE_1;
        for name in ["byport/80", "byaddr/127.0.0.1,80"] {
            let link = |to: &str| {
                only(world, &[next]);
                symlink(to, path(name)).unwrap();
                alice.ask(what)
            };
            assert_eq!(link("nowhere"), by_next, "a dangling symbolic link");
            assert_eq!(link("/etc/rauthbind/nowhere/80"), by_next, "a dangling symbolic link");
            let own_name = name.split_once('/').unwrap().1;
            assert_eq!(link(own_name), unexaminable(name, Errno::ELOOP), "a symbolic link to itself");
            assert_eq!(link("/etc/passwd/80"), unexaminable(name, Errno::ENOTDIR), "a symbolic link beyond a file");
            assert_eq!(link(&"x".repeat(256)), unexaminable(name, Errno::ENAMETOOLONG), "a symbolic link to no name");
            assert_eq!(link("/etc/passwd"), not_executable(name), "a symbolic link to a file that she may only read");
            assert_eq!(link("/root/80"), not_executable(name), "a symbolic link to where she may not look");
            let _ = world.script("executable", "");
            assert_eq!(link("/run/bin/executable"), format!("by {name}"), "a symbolic link to what she may execute");
            for mode in [0o000, 0o600, 0o644, 0o666, 0o700, 0o706] {
                only(world, &[next]);
                world.rule(name, "root", "alice", mode);
                assert_eq!(alice.ask(what), not_executable(name), "mode {mode:04o}");
            }
        }
        for name in ["byport", "byaddr"] {
            only(world, &[next]);
            assert_eq!(alice.ask(what), by_next);
            set_mode(name, 0o700);
            assert_eq!(alice.ask(what), unopened(name, Errno::EACCES), "{name} that she may not search");
            fs::remove_dir(path(name)).unwrap();
            assert_eq!(alice.ask(what), by_next, "no {name}");
            fs::write(path(name), "").unwrap();
            assert_eq!(alice.ask(what), unopened(name, Errno::ENOTDIR), "{name} is a file");
            fs::remove_file(path(name)).unwrap();
            fs::create_dir(path(name)).unwrap();
        }
        set_mode("", 0o700);
        assert_eq!(alice.ask(what), unopened("", Errno::EACCES).replace("/ ", " "), "rules that she may not search");
    }
}

fn set_mode(rule: &str, mode: u32) {
    fs::set_permissions(path(rule), Permissions::from_mode(mode)).unwrap();
}

fn unopened(directory: &str, errno: Errno) -> String {
    format!("{} cannot be opened as a directory: {}", path(directory).display(), errno.desc())
}

/// What is at this path, with every permission bit, and is no regular file.
fn make_odd(kind: &str, at: &Path) {
    match kind {
        "directory" => fs::create_dir(at).unwrap(),
        "FIFO" => mkfifo(at, Mode::empty()).unwrap(),
        "socket" => drop(UnixListener::bind(at).unwrap()),
        "device" => mknod(at, SFlag::S_IFCHR, Mode::empty(), makedev(1, 3)).unwrap(),
        _ => panic!("no such kind: {kind}"),
    }
    fs::set_permissions(at, Permissions::from_mode(0o777)).unwrap();
}

world_test! {
    /// What is no regular file is no rule, whatever its permissions are, and keeps the rules behind it from deciding.
    fn directories_fifos_sockets_and_devices_are_no_rules(world) {
        let alice = Subject::start(world, "alice");
        let what = "127.0.0.1:80/tcp";
        for kind in ["directory", "FIFO", "socket", "device"] {
            for name in ["byport/80", "byaddr/127.0.0.1,80", "byuid/4001"] {
                let answer = match (kind, name) {
                    // Whoever waited for a writer would hold up this test too: see the next.
                    ("FIFO", "byuid/4001") => continue,
                    // open(2) does not open it in the first place.
                    ("socket", "byuid/4001") => unexaminable(name, Errno::ENXIO),
                    _ => format!("{name} is not a regular file"),
                };
                only(world, &[]);
                if name != "byuid/4001" {
                    add(world, "byuid/4001: 0.0.0.0/0,80");
                }
                make_odd(kind, &path(name));
                assert_eq!(alice.ask(what), answer, "{name} is a {kind}");
                fs::rename(path(name), "/etc/rauthbind/odd").unwrap();
                symlink("../odd", path(name)).unwrap();
                assert_eq!(alice.ask(what), answer, "{name} is a symbolic link to a {kind}");
                match kind {
                    "directory" => fs::remove_dir("/etc/rauthbind/odd").unwrap(),
                    _ => fs::remove_file("/etc/rauthbind/odd").unwrap(),
                }
            }
        }
    }
}

world_test! {
    /// A FIFO in the place of a `byuid` file is refused at once, and the helper goes on.
    fn a_fifo_holds_nobody_up(world) {
        world.log();
        let alice = Subject::start(world, "alice");
        only(world, &["+byport/81"]);
        make_odd("FIFO", &path("byuid/4001"));
        for what in ["127.0.0.1:80/tcp", "127.0.0.1:80/udp"] {
            assert_eq!(alice.binds(what), Err("EACCES".to_owned()));
            let _ = world.log().line(&format!("{}: {what}: byuid/4001 is not a regular file", app(alice.program.pid)));
            assert_eq!(alice.binds("127.0.0.1:81/tcp"), Ok(()));
        }
    }
}

world_test! {
    /// A `byuid` file counts as far as the user may read it and no longer than 64 KiB, whatever else is in it.
    fn byuid_files_are_read_as_the_user_and_with_care(world) {
        const LONGEST: usize = 64 * 1024;
        let alice = Subject::start(world, "alice");
        let (what, grant) = ("127.0.0.1:80/tcp", "127.0.0.1,80");
        let (line_1, line_2) = (LINE_1, "by byuid/4001 line 2");
        let too_long = "byuid/4001 is longer than 65536 bytes";
        let padded = |before: &str, after: &str, length: usize| {
            format!("{before}{}{after}", "x".repeat(length - before.len() - after.len()))
        };
        let long_comment = padded(&format!("{grant} #"), "", LONGEST);
        for (text, answer) in [
            (String::new(), NOT_COVERED),
            (grant.to_owned(), line_1),
            (format!("\n{grant}"), line_2),
            (format!("10.0.0.1,80\r\n{grant}\r\n"), line_2),
            (format!("10.0.0.1,80\r{grant}"), NOT_COVERED),
            (format!("\0\0\0\n{grant}\n\0"), line_2),
            (format!("\0{grant}\n"), NOT_COVERED),
            (format!("{grant}\0\n"), NOT_COVERED),
            (format!("{grant} # \0\n"), line_1),
            (padded(&format!("{grant}\n"), "", LONGEST), line_1),
            (padded(&format!("{grant}\n"), "", LONGEST + 1), too_long),
            (padded("", &format!("\n{grant}"), LONGEST), line_2),
            (padded("", &format!("\n{grant}"), LONGEST + 1), too_long),
            (long_comment.clone(), line_1),
            (long_comment + "x", too_long),
            (padded(&format!("{grant}\n"), "", 10 * LONGEST), too_long),
            (padded(grant, "", LONGEST), NOT_COVERED),
            (format!("127.0.0.1,{}80\n", "0".repeat(LONGEST - 100)), line_1),
            (format!("{}\n", "1".repeat(LONGEST - 100)), NOT_COVERED),
            ("\n".repeat(LONGEST), NOT_COVERED),
        ] {
            check(&alice, &[&format!("byuid/4001: {text}")], &[(what, answer)]);
        }
        fs::write(path("byuid/4001"), b"\xff,80\n127.0.0.1,80 # caf\xe9\n127.0.0.1,80").unwrap();
        assert_eq!(alice.ask(what), "by byuid/4001 line 2", "bytes that are no UTF-8 only spoil their line");

        only(world, &[&format!("byuid/4001: {grant}")]);
        for (owner, group, mode, readable) in [
            (0, 0, 0o644, true), (0, 0, 0o640, false), (0, 0, 0o755, true), (0, 0, 0o711, false), (0, 0, 0o000, false),
            (0, 4001, 0o640, true), (0, 4100, 0o640, true), (0, 4002, 0o640, false), (0, 4100, 0o604, false),
            (4001, 0, 0o400, true), (4001, 4001, 0o044, false),
        ] {
            chown(path("byuid/4001"), Some(owner), Some(group)).unwrap();
            set_mode("byuid/4001", mode);
            let answer = if readable { line_1.to_owned() } else { unexaminable("byuid/4001", Errno::EACCES) };
            assert_eq!(alice.ask(what), answer, "{owner}:{group} {mode:04o}");
        }
        for (to, answer) in [
            ("4001", unexaminable("byuid/4001", Errno::ELOOP)),
            ("nowhere", NONE.to_owned()),
            ("../shared", line_1.to_owned()),
        ] {
            only(world, &[]);
            fs::write("/etc/rauthbind/shared", grant).unwrap();
            symlink(to, path("byuid/4001")).unwrap();
            assert_eq!(alice.ask(what), answer, "a symbolic link to {to}");
        }
        only(world, &[]);
        set_mode(BYUID, 0o700);
        assert_eq!(alice.ask(what), unexaminable("byuid/4001", Errno::EACCES));
    }
}

/// Who of these may bind port 80.
#[track_caller]
fn granted_to(subjects: &[Subject<'_>]) -> Vec<&'static str> {
    let granted = |subject: &&Subject<'_>| match subject.ask("127.0.0.1:80/tcp") {
        answer if answer == "by byport/80" => true,
        answer if answer == not_executable("byport/80") => false,
        other => panic!("{}: {other}", subject.user),
    };
    subjects.iter().filter(granted).map(|subject| subject.user).collect()
}

world_test! {
    /// The one class of a file's mode that is the user's decides: owner, then group, then other.
    fn the_mode_says_who_may(world) {
        let users = ["alice", "bob", "carol"].map(|user| Subject::start(world, user));
        for (owner, group, mode, granted) in [
            ("root", "root", 0o700, &[][..]),
            ("root", "root", 0o777, &["alice", "bob", "carol"]),
            ("root", "root", 0o001, &["alice", "bob", "carol"]),
            ("root", "root", 0o776, &[]),
            ("root", "root", 0o666, &[]),
            ("root", "alice", 0o710, &["alice"]),
            ("root", "alice", 0o010, &["alice"]),
            ("root", "bob", 0o710, &["bob"]),
            ("root", "root", 0o710, &[]),
            ("root", "web", 0o710, &["alice", "carol"]),
            ("root", "web", 0o760, &[]),
            ("root", "web", 0o701, &["bob"]),
            ("root", "alice", 0o701, &["bob", "carol"]),
            ("alice", "root", 0o100, &["alice"]),
            ("alice", "root", 0o600, &[]),
            ("alice", "alice", 0o011, &["bob", "carol"]),
            ("alice", "web", 0o110, &["alice", "carol"]),
            ("bob", "web", 0o011, &["alice", "carol"]),
        ] {
            only(world, &[]);
            world.rule("byport/80", owner, group, mode);
            assert_eq!(granted_to(&users), granted, "{owner}:{group} {mode:04o}");
        }
    }
}

fn set_acl(world: &World, entries: &str, rule: &str) {
    let argv = ["setfacl".into(), "-m".into(), entries.into(), path(rule).into_os_string()];
    world.command("root", argv).run().successful();
}

world_test! {
    /// The kernel reads POSIX ACLs: named users and groups, and the mask that takes away.
    fn access_control_lists_say_who_may(world) {
        let users = ["alice", "bob", "carol"].map(|user| Subject::start(world, user));
        for (group, mode, entries, granted) in [
            ("root", 0o700, "u:alice:x", &["alice"][..]),
            ("root", 0o700, "u:alice:rw", &[]),
            ("root", 0o700, "u:alice:x,u:bob:x", &["alice", "bob"]),
            ("root", 0o700, "u:alice:x,m::rw", &[]),
            ("root", 0o700, "u:alice:x,m::x", &["alice"]),
            ("root", 0o700, "g:web:x", &["alice", "carol"]),
            ("root", 0o700, "g:web:x,m::-", &[]),
            ("root", 0o700, "g:web:x,u:carol:-", &["alice"]),
            ("root", 0o701, "u:bob:r", &["alice", "carol"]),
            ("root", 0o701, "u:alice:-,m::x", &["bob", "carol"]),
            ("root", 0o701, "g:web:r", &["bob"]),
            ("web", 0o710, "m::r", &[]),
            ("web", 0o710, "u:alice:-", &["carol"]),
            ("web", 0o710, "u:bob:x", &["alice", "bob", "carol"]),
        ] {
            only(world, &[]);
            world.rule("byport/80", "root", group, mode);
            set_acl(world, entries, "byport/80");
            assert_eq!(granted_to(&users), granted, "root:{group} {mode:04o} {entries}");
        }
        only(world, &["byuid/4001: 0.0.0.0/0,80"]);
        set_mode("byuid/4001", 0o600);
        let [alice, ..] = &users;
        assert_eq!(alice.ask("127.0.0.1:80/tcp"), unexaminable("byuid/4001", Errno::EACCES));
        set_acl(world, "u:alice:r", "byuid/4001");
        assert_eq!(alice.ask("127.0.0.1:80/tcp"), LINE_1);
    }
}

/// The directories, each with a rule in it, which alice may use.
const DIRECTORIES: [(&str, &str); 4] =
    [("", "+byport/80"), (BYPORT, "+byport/80"), (BYADDR, "+byaddr/127.0.0.1,80"), (BYUID, "byuid/4001: 127.0.0.1,80")];

world_test! {
    /// A hard link is a rule of its own name with the permissions of all its names, those outside included.
    fn hard_links_are_rules_by_each_name(world) {
        let alice = Subject::start(world, "alice");
        only(world, &["+byport/80", "-byport/82"]);
        for (rule, link) in [("byport/80", "byport/81"), ("byport/82", "byport/83")] {
            fs::hard_link(path(rule), path(link)).unwrap();
        }
        assert_eq!(alice.ask("127.0.0.1:81/tcp"), "by byport/81");
        assert_eq!(alice.ask("127.0.0.1:83/tcp"), not_executable("byport/83"));
        set_mode("byport/81", 0o600);
        assert_eq!(alice.ask("127.0.0.1:80/tcp"), not_executable("byport/80"));
        world.remove_rule("byport/81");
        assert_eq!(alice.ask("127.0.0.1:81/tcp"), NONE);
        // Nor does a name of alice's for it, which the kernel denies her where fs.protected_hardlinks is set.
        fs::hard_link(path("byport/82"), "/etc/link").unwrap();
        let taken = world.command("alice", ["chmod", "777", "/etc/link"]).run();
        assert!(!taken.status.success());
        assert_eq!(alice.ask("127.0.0.1:82/tcp"), not_executable("byport/82"));
    }
}

world_test! {
    /// A directory of rules that others than root can change, or that is none, refuses all that it would decide, and
    /// the log says why.
    fn directories_that_are_not_roots_alone_are_not_trusted(world) {
        let what = "127.0.0.1:80/tcp";
        world.log();
        for (directory, rule) in DIRECTORIES {
            let name = path(directory).display().to_string();
            type Change<'c> = &'c dyn Fn(&Path);
            let mode = |mode: u32| move |at: &Path| fs::set_permissions(at, Permissions::from_mode(mode)).unwrap();
            let writable = |mode: u32| format!("{name} can be written to by others than root (mode {mode:04o})");
            let owner = |uid: u32| format!("{name} belongs to user id {uid}, not to root");
            let (aside, no_directory) = (Path::new("/etc/aside"), unopened(directory, Errno::ENOTDIR));
            let changes: [(Change<'_>, String); 9] = [
                (&mode(0o775), writable(0o775)),
                (&mode(0o757), writable(0o757)),
                (&mode(0o1777), writable(0o1777)),
                (&mode(0o722), writable(0o722)),
                (&|at| set_acl(world, "u:bob:rwx", at.to_str().unwrap()), writable(0o775)),
                (&|at| chown(at, Some(4001), None).unwrap(), owner(4001)),
                (&|at| chown(at, Some(4002), None).unwrap(), owner(4002)),
                (&|at| fs::rename(at, aside).and_then(|()| symlink(aside, at)).unwrap(), no_directory.clone()),
                (&|at| fs::rename(at, aside).and_then(|()| fs::write(at, "")).unwrap(), no_directory),
            ];
            for (change, reason) in changes {
                anew();
                let alice = Subject::start(world, "alice");
                add(world, rule);
                assert!(alice.ask(what).starts_with("by "), "{name} as it should be");
                change(&path(directory));
                assert_eq!(alice.ask(what), reason);
                let line = format!("refused uid 4001, {}: {what}: {reason}", app(alice.program.pid));
                assert!(world.log().line(&line).ends_with(&line));
            }
            let harmless: [Change<'_>; 5] = [
                &mode(0o555),
                &mode(0o711),
                &|at| chown(at, None, Some(4001)).unwrap(),
                &|at| set_acl(world, "u:bob:rx", at.to_str().unwrap()),
                &|at| set_acl(world, "d:u:bob:rwx", at.to_str().unwrap()),
            ];
            for change in harmless {
                anew();
                let alice = Subject::start(world, "alice");
                add(world, rule);
                change(&path(directory));
                assert!(alice.ask(what).starts_with("by "), "{name} with what changes nothing");
            }
        }
    }
}

/// Makes the directories as `cargo xtask install` does, with nothing in them.
fn anew() {
    for path in [Path::new(RULES), Path::new("/etc/aside")] {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
    fs::create_dir(RULES).unwrap();
    [BYPORT, BYADDR, BYUID].iter().for_each(|directory| fs::create_dir(path(directory)).unwrap());
}

world_test! {
    /// Without /etc/rauthbind all is refused; without one of the directories in it, the others decide.
    fn missing_directories_hold_no_rules(world) {
        let alice = Subject::start(world, "alice");
        let what = "127.0.0.1:80/tcp";
        for (directory, rule) in DIRECTORIES.iter().skip(1) {
            anew();
            for other in [BYPORT, BYADDR, BYUID].into_iter().filter(|other| other != directory) {
                fs::remove_dir(path(other)).unwrap();
            }
            assert_eq!(alice.ask(what), NONE);
            add(world, rule);
            assert!(alice.ask(what).starts_with("by "), "{directory} alone");
            fs::remove_dir_all(path(directory)).unwrap();
            assert_eq!(alice.ask(what), NONE, "an empty directory");
        }
        fs::remove_dir(RULES).unwrap();
        assert_eq!(alice.ask(what), unopened("", Errno::ENOENT));
        fs::create_dir(RULES).unwrap();
        assert_eq!(alice.ask(what), NONE);
    }
}

world_test! {
    /// Every change of the rules takes effect at the next bind of a program that runs.
    fn changes_take_effect_at_the_next_bind(world) {
        let alice = Subject::start(world, "alice");
        let what = "127.0.0.1:80/tcp";
        anew();
        for _ in 0..20 {
            for rule in ["byport/80", "byport/80,tcp", "byaddr/127.0.0.1,80", "byaddr/127.0.0.1:80"] {
                let by = format!("by {rule}");
                assert_eq!(alice.ask(what), NONE);
                add(world, &format!("+{rule}"));
                assert_eq!(alice.ask(what), by, "a new rule");
                set_mode(rule, 0o700);
                assert_eq!(alice.ask(what), not_executable(rule), "without its permission");
                set_mode(rule, 0o710);
                assert_eq!(alice.ask(what), by, "and with it again");
                chown(path(rule), None, Some(4002)).unwrap();
                assert_eq!(alice.ask(what), not_executable(rule), "given to bob");
                world.remove_rule(rule);
            }
            world.byuid("4001", "127.0.0.1,80");
            assert_eq!(alice.ask(what), LINE_1);
            world.byuid("4001", "127.0.0.1,81");
            assert_eq!(alice.ask(what), NOT_COVERED);
            world.remove_rule("byuid/4001");
        }
        let (kept, prepared) = (Path::new("/etc/kept"), Path::new("/etc/prepared"));
        fs::create_dir_all(prepared.join(BYPORT)).unwrap();
        add(world, "+byport/80");
        fs::rename(path("byport/80"), prepared.join("byport/80")).unwrap();
        assert_eq!(alice.ask(what), NONE);
        fs::rename(RULES, kept).and_then(|()| fs::rename(prepared, RULES)).unwrap();
        assert_eq!(alice.ask(what), "by byport/80", "another directory in the place of the old one");
        fs::rename(RULES, prepared).and_then(|()| fs::rename(kept, RULES)).unwrap();
        assert_eq!(alice.ask(what), NONE, "and the old one again");
    }
}

world_test! {
    /// A rule that is exchanged for another while it is looked up, again and again, decides as the one or the other.
    fn rules_may_be_exchanged_while_they_are_looked_up(world) {
        const DECISIONS: u32 = 20_000;
        let (byport, byaddr) = ("byport/80", "byaddr/127.0.0.1,80");
        let aside = Path::new("/etc/rauthbind/aside");
        let file = |group: &str, mode: u32| world.rule("aside", "root", group, mode);
        let lines = |text: &str| world.byuid("../aside", text);
        type Make<'m> = &'m dyn Fn();
        let cases: [(&str, Make<'_>, Make<'_>, &[&str]); 6] = [
            (byport, &|| file("alice", 0o710), &|| file("root", 0o755), &["by byport/80"]),
            (byport, &|| file("alice", 0o600), &|| file("bob", 0o710), &[&not_executable(byport)]),
            (
                byport,
                &|| file("root", 0o600),
                &|| make_odd("directory", aside),
                &[&not_executable(byport), "byport/80 is not a regular file"],
            ),
            (byaddr, &|| file("root", 0o600), &|| symlink("/etc/passwd", aside).unwrap(), &[&not_executable(byaddr)]),
            (
                "byuid/4001",
                &|| lines("127.0.0.1,80"),
                &|| lines("# all\n0.0.0.0/0,1-511"),
                &[LINE_1, "by byuid/4001 line 2"],
            ),
            ("byuid/4001", &|| lines("127.0.0.1,81"), &|| lines("127.0.0.2,80"), &[NOT_COVERED]),
        ];
        for (name, one, other, expected) in cases {
            only(world, &[]);
            one();
            fs::rename(aside, path(name)).unwrap();
            other();
            let done = AtomicBool::new(false);
            let exchange = || {
                while !done.load(Ordering::Relaxed) {
                    renameat2(AT_FDCWD, aside, AT_FDCWD, &path(name), RenameFlags::RENAME_EXCHANGE).unwrap();
                }
            };
            let decide_once = |_| decide("127.0.0.1:80/tcp").unwrap_or_else(|refusal| refusal);
            let decide_often = || (0..DECISIONS).map(decide_once).collect::<BTreeSet<_>>();
            let decided = thread::scope(|scope| {
                let exchanging = scope.spawn(exchange);
                let decided = world.as_user("alice", decide_often);
                done.store(true, Ordering::Relaxed);
                exchanging.join().map(|()| decided).unwrap()
            });
            assert_eq!(decided, expected.iter().map(ToString::to_string).collect(), "{name}");
            fs::remove_dir(aside).or_else(|_| fs::remove_file(aside)).unwrap();
        }
    }
}

world_test! {
    /// Each refusal is logged with its reason and the rule that decided; of an address's grants only the first is.
    fn the_log_says_what_was_decided_and_why(world) {
        world.log();
        let (tcp, next) = ("127.0.0.1:80/tcp", "127.0.0.2:80/tcp");
        let long = format!("byuid/4001: {}", "x".repeat(65537));
        let nothing: &dyn Fn() = &|| ();
        for (rules, change, reason) in [
            (&[][..], nothing, NONE.to_owned()),
            (&["-byport/80"], nothing, not_executable("byport/80")),
            (&["-byport/80,tcp", "+byport/80"], nothing, not_executable("byport/80,tcp")),
            (&["-byaddr/127.0.0.1:80"], nothing, not_executable("byaddr/127.0.0.1:80")),
            (&["byuid/4001: 127.0.0.1,81"], nothing, NOT_COVERED.to_owned()),
            (&[&long], nothing, "byuid/4001 is longer than 65536 bytes".to_owned()),
            (&[], &|| fs::create_dir(path("byport/80")).unwrap(), "byport/80 is not a regular file".to_owned()),
            (&[], &|| symlink("80", path("byport/80")).unwrap(), unexaminable("byport/80", Errno::ELOOP)),
            (&["byuid/4001: "], &|| set_mode("byuid/4001", 0o600), unexaminable("byuid/4001", Errno::EACCES)),
            (&[], &|| symlink("4001", path("byuid/4001")).unwrap(), unexaminable("byuid/4001", Errno::ELOOP)),
            (&[], &|| fs::remove_dir_all(RULES).unwrap(), unopened("", Errno::ENOENT)),
        ] {
            anew();
            let alice = Subject::start(world, "alice");
            rules.iter().for_each(|rule| add(world, rule));
            change();
            assert_eq!(alice.ask(tcp), reason);
            let line = format!("refused uid 4001, {}: {tcp}: {reason}", app(alice.program.pid));
            let line = world.log().line(&line);
            assert!(line.starts_with("<37>rauthbind-helper[") && line.ends_with(&reason), "{line}");
        }
        for (rule, by) in [
            ("+byport/80", "byport/80"),
            ("+byaddr/127.0.0.1,80,tcp", "byaddr/127.0.0.1,80,tcp"),
            ("byuid/4001: #\n\n0.0.0.0/0,80", "byuid/4001 line 3"),
        ] {
            anew();
            add(world, rule);
            let alice = Subject::start(world, "alice");
            let bob = Subject::start(world, "bob");
            (0..3).for_each(|_| assert_eq!(alice.ask(tcp), format!("by {by}")));
            let refused = "127.0.0.1:81/tcp";
            assert!(!alice.ask(refused).starts_with("by "));
            assert!(!bob.ask(tcp).starts_with("by "));
            // The helper's lines come in their order: after the refusal's, there is none of the grants left to come.
            let _ = world.log().line(&format!("refused uid 4001, {}: {refused}: ", app(alice.program.pid)));
            let _ = world.log().line(&format!("refused uid 4002, {}: {tcp}: ", app(bob.program.pid)));
            let grants = |what: &str| {
                let text = format!("granted {what} to uid 4001, {}, by {by}", app(alice.program.pid));
                let lines = world.log().lines();
                lines.iter().filter(|line| line.starts_with("<38>rauthbind-helper[") && line.ends_with(&text)).count()
            };
            assert_eq!(grants(tcp), 1, "{tcp} by {by}");
            assert!(!world.log().lines().iter().any(|line| line.contains("granted") && line.contains("uid 4002")));
            if rule.starts_with("byuid") {
                assert_eq!(alice.ask(next), format!("by {by}"));
                let _ = world.log().line(&format!("granted {next} to uid 4001"));
                assert_eq!((grants(tcp), grants(next)), (1, 1), "another address is another grant");
            }
        }
    }
}
