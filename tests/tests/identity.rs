//! `rauthbind -u USER [-g GROUP]`: who the command runs as, what it may bind, and who may not be become.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use programs::{REPORT, compile, look, words};
use rauthbind_tests::{Finished, World, world_test};

/// The groups that initgroups(3) gives to this user at login, by Python's word.
fn groups_at_login(world: &World, user: &str) -> BTreeSet<u32> {
    let script =
        "import os, pwd, sys; os.initgroups(sys.argv[1], pwd.getpwnam(sys.argv[1]).pw_gid); print(*os.getgroups())";
    let done = world.command("root", ["python3", "-c", script, user]).run().successful();
    done.stdout.split_whitespace().map(|group| group.parse().unwrap()).collect()
}

/// A user whose name is bob's number, and whom initgroups(3) has much to tell about.
fn add_user_with_bobs_number_as_name() {
    let add = |path: &str, lines: &str| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(lines.as_bytes()).unwrap();
    };
    add("/etc/passwd", "4002:x:4009:4003::/:/bin/sh\n");
    add("/etc/group", &(5000..5040).map(|gid| format!("group{gid}:x:{gid}:bob,4002\n")).collect::<String>());
}

world_test! {
    /// Real, effective, saved and file system ids are the user's, the groups are those of a login and `-g`'s; no
    /// capability is left; it is still the same process, with the same environment. Digits are a number, even
    /// where they are a name as well.
    fn the_command_runs_as_the_user(world) {
        world.grant("byport/80", "root");
        compile(world, &["look"]);
        add_user_with_bobs_number_as_name();
        let plain = look(world, "root", words("/run/bin/look"));
        assert_ne!(plain.one("CapPrm"), "0000000000000000");
        let rows: [(&str, Option<&str>, u32, u32); 14] = [
            ("-u alice", Some("alice"), 4001, 4001),
            ("-u 4001", Some("alice"), 4001, 4001),
            ("-u alice -g web", Some("alice"), 4001, 4100),
            ("-g 4100 -u alice", Some("alice"), 4001, 4100),
            ("-u bob", Some("bob"), 4002, 4002),
            ("-u bob -g web", Some("bob"), 4002, 4100),
            ("-u bob -g 4999", Some("bob"), 4002, 4999),
            ("-u 4002", Some("bob"), 4002, 4002),
            ("-ucarol -galice", Some("carol"), 4003, 4001),
            ("-u alice -u carol", Some("carol"), 4003, 4003),
            ("-u root", Some("root"), 0, 0),
            ("-u 77777 -g bob", None, 77777, 4002),
            ("-u 2147483648 -g 2147483649", None, 2_147_483_648, 2_147_483_649),
            ("-u 4294967294 -g 4294967294", None, 4_294_967_294, 4_294_967_294),
        ];
        for (options, name, uid, gid) in rows {
            let mut groups = name.map_or(BTreeSet::new(), |name| groups_at_login(world, name));
            groups.insert(gid);
            let seen = look(world, "root", words(&format!("rauthbind {options} /run/bin/look")));
            assert_eq!(seen.one("pid"), seen.started.to_string(), "{options}");
            assert_eq!(seen.one("Uid"), [uid; 4].map(|id| id.to_string()).join("\t"), "{options}");
            assert_eq!(seen.one("Gid"), [gid; 4].map(|id| id.to_string()).join("\t"), "{options}");
            let found: BTreeSet<u32> =
                seen.one("Groups").split_whitespace().map(|group| group.parse().unwrap()).collect();
            assert_eq!(found, groups, "{options}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"].iter().filter(|_| uid != 0) {
                assert_eq!(seen.one(set), "0000000000000000", "{options}: {set}");
            }
            assert_eq!(seen.one("CapBnd"), plain.one("CapBnd"), "{options}");
            let environment = plain.all("entry");
            assert_eq!(seen.all("entry")[..environment.len()], environment, "{options}");
            assert_eq!(
                seen.one("bind"),
                if uid == 0 { "0" } else { "13" },
                "{options}: a port granted to root's group"
            );
            assert_eq!(seen.one("wait"), "10", "{options}");
            assert_eq!(seen.stderr, "", "{options}");
        }
    }
}

world_test! {
    /// No capability is left to the command, whatever sets root had them in, and whatever the kernel was told to leave.
    fn no_capability_outlives_the_change(world) {
        compile(world, &["look"]);
        for before in [
            "--inh-caps +net_bind_service,+chown",
            "--inh-caps +net_bind_service,+chown --ambient-caps +net_bind_service,+chown",
            "--inh-caps +net_bind_service,+chown --ambient-caps +net_bind_service,+chown --securebits +no_setuid_fixup",
            "--securebits +no_setuid_fixup",
        ] {
            let seen = look(world, "root", words(&format!("setpriv {before} rauthbind -u alice /run/bin/look")));
            assert_eq!(seen.one("Uid"), "4001\t4001\t4001\t4001");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(seen.one(set), "0000000000000000", "{before}: {set}");
            }
            assert_eq!(seen.one("bind"), "13", "{before}");
        }
    }
}

world_test! {
    /// The command binds what this user with these groups may, and not what root may or another user.
    fn the_command_binds_what_the_user_may(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "alice");
        world.grant("byport/81", "bob");
        world.grant("byport/82", "web");
        world.grant("byport/83", "root");
        world.byuid("77777", "127.0.0.1,84\n");
        for (options, granted) in [
            ("", &[80, 81, 82, 83, 84, 85, 8080][..]),
            ("-u alice", &[80, 82, 8080]),
            ("-u 4001", &[80, 82, 8080]),
            ("-u alice -g bob", &[80, 81, 82, 8080]),
            ("-u bob", &[81, 8080]),
            ("-u bob -g web", &[81, 82, 8080]),
            ("-u carol", &[82, 8080]),
            ("-u 77777 -g 77777", &[84, 8080]),
            ("-u 77777 -g bob", &[81, 84, 8080]),
            ("-u 77778 -g 77777", &[8080]),
        ] {
            let ports = [80, 81, 82, 83, 84, 85, 8080];
            let listed = ports.map(|port| port.to_string()).join(" ");
            let done = world
                .command("root", words(&format!("rauthbind {options} /run/bin/binds {listed}")))
                .run()
                .successful();
            let expected: String =
                ports.iter().map(|port| format!("{port} {}\n", if granted.contains(port) { 0 } else { 13 })).collect();
            assert_eq!((&*done.stdout, &*done.stderr), (&*expected, ""), "{options}");
        }
    }
}

world_test! {
    /// Who is nobody cannot be become, and only root can become anybody: status 125, one line, and nothing is run.
    fn who_cannot_be_become_is_refused(world) {
        let ran = Path::new("/run/tmp/ran");
        let run = |user: &str, before: &str, options: &[&[u8]]| -> Finished {
            let options = options.iter().map(|option| OsString::from_vec(option.to_vec()));
            let command = ["rauthbind".into()].into_iter().chain(options).chain(words("touch /run/tmp/ran"));
            world.command(user, words(before).into_iter().chain(command)).run()
        };
        let only_root = "only root can use -u and -g";
        for (user, before, options, told) in [
            ("root", "", &[&b"-u"[..], b"nobodyhere"][..], "\"nobodyhere\""),
            ("root", "", &[b"-u", b"-1"], "\"-1\""),
            ("root", "", &[b"-u", b"4294967295"], "\"4294967295\""),
            ("root", "", &[b"-u", b"4294967296"], "\"4294967296\""),
            ("root", "", &[b"-u", b"+0"], "\"+0\""),
            ("root", "", &[b"-u", b"0x0"], "\"0x0\""),
            ("root", "", &[b"-u", b" 0"], "\" 0\""),
            ("root", "", &[b"-u", b"4294971297"], "\"4294971297\""),
            ("root", "", &[b"-u", b"18446744073709551616"], "\"18446744073709551616\""),
            ("root", "", &[b"-u", b"alice:x"], "\"alice:x\""),
            ("root", "", &[b"-u", b"--help"], "\"--help\""),
            ("root", "", &[b"-u", b""], "\"\""),
            ("root", "", &[b"-u", b"../alice"], "\"../alice\""),
            ("root", "", &[b"-u", b"ali\nce\x1b"], "\"ali\\nce\\u{1b}\""),
            ("root", "", &[b"-u", b"alice\xff"], "alice"),
            ("root", "", &[b"-u", b"77777"], "add -g GROUP"),
            ("root", "", &[b"-u", b"77777", b"-g", b"nobodyhere"], "\"nobodyhere\""),
            ("root", "", &[b"-u", b"alice", b"-g", b"nobodyhere"], "\"nobodyhere\""),
            ("root", "", &[b"-u", b"alice", b"-g", b"-1"], "\"-1\""),
            ("root", "", &[b"-u", b"alice", b"-g", b"4294967296"], "\"4294967296\""),
            ("root", "", &[b"-u", b"alice", b"-g", b"+0"], "\"+0\""),
            ("root", "", &[b"-u", b"alice", b"-g", b"4294967295"], "\"4294967295\""),
            ("root", "", &[b"-u", b"alice", b"-g", b""], "\"\""),
            ("root", "", &[b"-g", b"alice"], "-g needs -u"),
            ("root", "setpriv --bounding-set -setuid", &[b"-u", b"alice"], only_root),
            ("root", "setpriv --bounding-set -setgid", &[b"-u", b"alice"], only_root),
            ("root", "setpriv --bounding-set -setgid", &[b"-u", b"77777", b"-g", b"5"], only_root),
            ("alice", "", &[b"-u", b"bob"], only_root),
            ("alice", "", &[b"-u", b"alice"], only_root),
            ("alice", "", &[b"-u", b"alice", b"-g", b"alice"], only_root),
            ("alice", "", &[b"-u", b"4001", b"-g", b"web"], only_root),
            ("alice", "", &[b"-u", b"root"], only_root),
            ("alice", "", &[b"-u", b"0"], only_root),
            ("alice", "", &[b"-u", b"77777", b"-g", b"4001"], only_root),
        ] {
            let Finished { status, stdout, stderr } = run(user, before, options);
            assert_eq!((status.code(), &*stdout), (Some(125), ""));
            assert!(stderr.starts_with("rauthbind: ") && stderr.contains(told), "no {told:?}");
            assert_eq!(stderr.lines().count(), 1);
            assert!(!ran.exists());
        }
        let _ = run("root", "", &[b"-u", b"alice"]).successful();
        fs::remove_file(ran).expect("the command was run");
    }
}

world_test! {
    /// Looking the user up leaves no trace either: no signal, no child, no descriptor, whatever the launcher was given.
    fn becoming_a_user_leaves_no_trace(world) {
        world.grant("byport/80", "alice");
        compile(world, &["arrange", "look"]);
        let mut arrangements =
            ["block 17", "block 17 raise 17", "ignore 17", "ignore 13 block 13 block 15", "subreaper"]
                .map(str::to_owned)
                .to_vec();
        arrangements.extend(
            (0..8).map(|closed| (0..3).filter(|fd| closed & (1 << fd) != 0).map(|fd| format!("close {fd} ")).collect()),
        );
        for arrangement in &arrangements {
            let before = words(&format!("/run/bin/arrange open 9 {REPORT} {arrangement} --"));
            let plain = look(world, "root", [before.clone(), words("/run/bin/look")].concat());
            let seen = look(world, "root", [before, words("rauthbind -u alice /run/bin/look")].concat());
            assert_eq!((seen.one("bind"), &*seen.stderr), ("0", ""), "{arrangement}");
            for name in ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "wait", "cwd", "parent", "group", "session"]
            {
                assert_eq!(seen.one(name), plain.one(name), "{arrangement}: {name}");
            }
            let channel = format!("{} ", seen.channel().0);
            let descriptors: Vec<_> = seen.all("fd").into_iter().filter(|line| !line.starts_with(&channel)).collect();
            assert_eq!(descriptors, plain.all("fd"), "{arrangement}");
        }
    }
}
