//! `rauthbind COMMAND`: the command is what it would be without, but for the ports; options and failures; the channel.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use programs::{REPORT, Seen, compile, look, words};
use rauthbind_tests::{Finished, Signal, World, processes_named, wait_until, world_test};
use rauthbind_wire::names::{HELPER, RULES, SHIM};

/// A world with these programs and a port granted to carol: the kernel counts the descriptors that a user sends in all
/// worlds together, by the limits that some of these tests set, and other tests have alice send many.
fn furnish(world: &World, programs: &[&str]) {
    world.grant("byport/80", "carol");
    compile(world, programs);
}

/// `look` with arguments that an option parser could take for its own.
fn look_with_arguments() -> Vec<OsString> {
    let arguments = ["/run/bin/look", "-v", "", "--help", "--", "a b\n"].map(OsString::from);
    arguments.into_iter().chain([OsString::from_vec(vec![0xff])]).collect()
}

/// Runs `look` as carol behind these words, first without rauthbind and then with, and insists that all is the same but
/// for the bind, the channel, and its variable and LD_PRELOAD at the end of the environment.
#[track_caller]
fn nothing_else_changes(world: &World, before: &[OsString]) -> (Seen, Seen) {
    let without = look(world, "carol", [before.to_vec(), look_with_arguments()].concat());
    let with = look(world, "carol", [before.to_vec(), words("rauthbind"), look_with_arguments()].concat());
    // With a shim that was there before, the bind needs no launcher.
    let covered = without.variable("LD_PRELOAD").iter().any(|list| list.contains(SHIM));
    assert_eq!((without.one("bind"), with.one("bind")), (if covered { "0" } else { "13" }, "0"));
    assert_eq!((without.one("pid"), with.one("pid")), (&*without.started.to_string(), &*with.started.to_string()));
    let (descriptor, inode) = with.channel();
    assert_eq!(with.sockets(), [without.sockets(), vec![(descriptor, inode)]].concat());

    let entries = with.all("entry");
    let (entries, ours) = entries.split_last_chunk::<2>().expect("LD_PRELOAD and the channel");
    assert_eq!(ours.map(|entry| entry.split_once('=').unwrap().0), ["LD_PRELOAD", "RAUTHBIND_CHANNEL"]);
    let foreign = |entry: &&str| {
        !["LD_PRELOAD=", "RAUTHBIND_CHANNEL=", "RAUTHBIND_DEPTH="].iter().any(|name| entry.starts_with(name))
    };
    assert_eq!(entries, without.all("entry").into_iter().filter(foreign).collect::<Vec<_>>());

    let channel = format!("fd {descriptor} ");
    let rest = |seen: &Seen| -> Vec<String> {
        let differs = |line: &&String| !["pid ", "bind ", "entry ", &channel].iter().any(|name| line.starts_with(name));
        seen.lines.iter().filter(differs).cloned().collect()
    };
    let (rest_without, rest_with) = (rest(&without), rest(&with));
    for line in rest_with.iter().chain(&rest_without) {
        let count = |lines: &[String]| lines.iter().filter(|other| *other == line).count();
        assert_eq!(count(&rest_with), count(&rest_without), "{line:?}, with and without");
    }
    assert_eq!(with.stderr, without.stderr);
    (without, with)
}

world_test! {
    /// Process id, arguments, signals, descriptors, directory, limits, session, terminal and all else that a program is
    /// given by whoever runs it are the same, and there is no child; and the granted port can be bound in every case.
    fn the_command_is_given_what_the_launcher_was_given(world) {
        furnish(world, &["arrange", "look"]);
        let arranged = |line: &str| words(&format!("/run/bin/arrange {line} --"));
        let shell =
            |script: &str| [words("sh -c"), vec![format!("{script}; exec \"$@\"").into()], words("sh")].concat();
        let every_signal: String = (1..=64).map(|signal| format!("block {signal} ")).collect();
        for (before, proof) in [
            (words(""), "SigBlk:\t0000000000000000"),
            (arranged("block 17"), "SigBlk:\t0000000000010000"),
            (arranged(&every_signal), "SigBlk:\tfffffffe7ffbfeff"),
            (arranged("ignore 1 ignore 13 ignore 17"), "SigIgn:\t*11001"),
            (arranged("block 10 raise 10"), "ShdPnd:\t0000000000000200"),
            (arranged("block 17 raise 17"), "ShdPnd:\t0000000000010000"),
            (arranged("alarm"), "alarm 1"),
            (arranged("open 3 /run/tmp/a open 5 /run/tmp/b"), "fd 5 /run/tmp/b at 0 flags 0 8002"),
            (arranged("open 1023 /run/tmp/a open 1021 /run/tmp/b"), "fd 1023 /run/tmp/a at 0 flags 0 8002"),
            (arranged("session"), "session own"),
            (arranged("terminal"), "foreground own"),
            (shell("umask 0777"), "Umask:\t0777"),
            (shell("cd /usr/lib"), "cwd /usr/lib"),
            (shell("mkdir gone; cd gone; rmdir ../gone"), r"cwd /run/home/carol/gone\040(deleted)"),
            (shell("echo 500 > /proc/self/oom_score_adj"), "oom 500"),
            (shell("exec > /run/tmp/out; echo begun"), "fd 1 /run/tmp/out at 6 flags 0 8001"),
            (words("nice -n 7"), "nice 7"),
            (words("chrt --batch 0"), "policy 3"),
            (words("taskset 1"), "Cpus_allowed_list:\t0"),
            (
                words("prlimit --fsize=0"),
                "Max file size             0                    0                    bytes     ",
            ),
            (
                words("prlimit --stack=131072"),
                "Max stack size            131072               131072               bytes     ",
            ),
            (
                words("prlimit --nofile=64:100"),
                "Max open files            64                   100                  files     ",
            ),
            (words("setpriv --pdeathsig TERM"), "parent-death-signal 15"),
        ] {
            let before = if proof.starts_with("fd 1 ") {
                [arranged(&format!("open 9 {REPORT}")), before].concat()
            } else {
                before
            };
            let (without, with) = nothing_else_changes(world, &before);
            let (start, end) = proof.split_once('*').unwrap_or((proof, ""));
            let is_proof = |line: &String| line.starts_with(start) && line.ends_with(end);
            assert!(without.lines.iter().any(is_proof), "{before:?} did not bring about {proof:?}");
            assert_eq!(with.one("wait"), "10", "a child, with {before:?}");
        }
    }
}

world_test! {
    /// Whichever of 0, 1 and 2 are closed stay closed, and nothing of rauthbind's takes their place.
    fn closed_standard_descriptors_stay_closed(world) {
        furnish(world, &["arrange", "look"]);
        for closed in 0..8 {
            let close: String = (0..3).filter(|fd| closed & (1 << fd) != 0).map(|fd| format!("close {fd} ")).collect();
            let before = words(&format!("/run/bin/arrange open 9 {REPORT} {close} --"));
            let (_, with) = nothing_else_changes(world, &before);
            let open = |fd: i32| with.all("fd").iter().any(|line| line.starts_with(&format!("{fd} ")));
            assert_eq!([open(0), open(1), open(2)], [0, 1, 2].map(|fd| closed & (1 << fd) == 0));
        }
    }
}

world_test! {
    /// The environment is the same, byte for byte and in order, but for LD_PRELOAD, which gains one item at its end
    /// unless it has it already, and the variables of an outer rauthbind.
    fn the_environment_is_kept(world) {
        furnish(world, &["arrange", "look"]);
        // What only begins with its name is another library.
        fs::copy(SHIM, format!("{SHIM}.old")).unwrap();
        let shim_renamed = format!("LD_PRELOAD={SHIM}.old");
        let [only, first, last] = [SHIM.into(), format!("{SHIM}:libm.so.6"), format!("libm.so.6 {SHIM}")];
        let [own, own_first, own_last] = [&only, &first, &last].map(|value| format!("LD_PRELOAD={value}"));
        let long = format!("LONG={}", "x".repeat(100_000));
        let rows: [(&[&str], String); 11] = [
            (&[], only.clone()),
            (
                &[
                    "A=1",
                    "no equals sign",
                    "A=2",
                    "=",
                    "=x",
                    "",
                    "B=a=b",
                    "C=\n",
                    "LANG=nowhere",
                    "PATH=/nowhere",
                    &long,
                ],
                only.clone(),
            ),
            (
                &[
                    "LD_PRELOAD",
                    "XLD_PRELOAD=1",
                    "LD_PRELOADX=1",
                    "RAUTHBIND=1",
                    "RAUTHBIND_CHANNELS=1",
                    "RAUTHBIND_CHANNEL",
                ],
                only.clone(),
            ),
            (&["A=1", "RAUTHBIND_DEPTH=1", "RAUTHBIND_CHANNEL=1:77:5", "B=2", "RAUTHBIND_CHANNEL=x"], only.clone()),
            (&["LD_PRELOAD="], only.clone()),
            (&["A=1", "LD_PRELOAD=libm.so.6", "B=2"], format!("libm.so.6:{SHIM}")),
            (&["LD_PRELOAD=libm.so.6 libdl.so.2"], format!("libm.so.6\\040libdl.so.2:{SHIM}")),
            (&[&shim_renamed], format!("{SHIM}.old:{SHIM}")),
            (&[&own], only.clone()),
            (&[&own_first], first.clone()),
            (&[&own_last], last.replace(' ', "\\040")),
        ];
        for (entries, preload) in rows {
            let mut before = words("/run/bin/arrange clear");
            before.extend(entries.iter().flat_map(|entry| ["entry".into(), OsString::from(entry)]));
            before.extend([OsString::from("entry"), OsString::from_vec(b"\xff\xfe=\x01".to_vec()), "--".into()]);
            let (_, with) = nothing_else_changes(world, &before);
            assert_eq!(with.variable("LD_PRELOAD"), [preload]);
            assert!(with.variable("RAUTHBIND_DEPTH").is_empty());
            assert!(with.all("entry").contains(&r"\377\376=\001"));
        }
    }
}

world_test! {
    /// Where LD_PRELOAD is there twice, what stays loaded is what is loaded without rauthbind: ld.so takes the last.
    fn of_two_preloads_the_loaders_is_kept(world) {
        furnish(world, &["arrange"]);
        let loaded = |launcher: &str| {
            let twice = "/run/bin/arrange clear entry LD_PRELOAD=libm.so.6 entry LD_PRELOAD=librt.so.1";
            let done = world
                .command("carol", words(&format!("{twice} -- {launcher} /usr/bin/cat /proc/self/maps")))
                .run()
                .successful();
            ["/libm.so", "/librt.so", SHIM].map(|library| done.stdout.contains(library))
        };
        assert_eq!(loaded(""), [false, true, false]);
        assert_eq!(loaded("rauthbind"), [false, true, true]);
    }
}

world_test! {
    /// Exit status and death by signal are the command's.
    fn the_status_is_the_commands(world) {
        let status = |script: &str| world.command("carol", ["rauthbind", "sh", "-c", script]).run().status;
        for code in [0, 1, 2, 124, 125, 126, 127, 128, 255] {
            assert_eq!(status(&format!("exit {code}")).code(), Some(code));
        }
        for signal in [1, 2, 6, 9, 11, 13, 15, 17 + 17] {
            assert_eq!(status(&format!("kill -{signal} $$")).signal(), Some(signal));
        }
    }
}

world_test! {
    /// The helper is the child of process 1, in a session of its own without a terminal; the command sees no child and
    /// gets no SIGCHLD, neither while the helper runs nor when it ends, as soon as the channel is let go; nor when after
    /// that a bind runs one of its own.
    fn the_helper_is_not_the_commands(world) {
        furnish(world, &["alone", "arrange"]);
        for before in ["", "/run/bin/arrange ignore 1 terminal --"] {
            let done = world.command("carol", words(&format!("{before} rauthbind /run/bin/alone"))).run().successful();
            let expected = "bind 0\nhelper: parent 1, group own, session own, terminal 0\nwait 10, SIGCHLD 0\nended 1\n\
                            wait 10, SIGCHLD 0\nbind 0\nwait 10, SIGCHLD 0\n";
            assert_eq!((&*done.stdout, &*done.stderr), (expected, ""));
        }
    }
}

world_test! {
    /// A child that the launcher had, from the program that it was before, is the command's to wait for.
    fn children_from_before_are_the_commands(world) {
        let wait = r#"my $child = wait; print $child == $ARGV[0] ? $? >> 8 : "not mine", " ", wait, "\n""#;
        let script = r#"(exit 5) & exec rauthbind perl -e "$1" $!"#;
        let done = world.command("carol", ["sh", "-c", script, "sh", wait]).run().successful();
        assert_eq!(done.stdout, "5 -1\n");
    }
}

world_test! {
    /// A command that adopts orphans (PR_SET_CHILD_SUBREAPER) does not adopt the helper.
    fn the_helper_is_not_adopted_by_a_subreaper(world) {
        furnish(world, &["arrange", "look"]);
        let (without, with) = nothing_else_changes(world, &words("/run/bin/arrange subreaper --"));
        assert_eq!((without.one("subreaper"), with.one("subreaper")), ("1", "1"));
        assert_eq!(with.one("wait"), "10");
        // Not even now and then: the launcher runs on as soon as the process between it and the helper begins to end,
        // and who adopts that one's children the kernel decides later.
        let rounds = "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); \"$@\" | grep ^wait; done | sort | uniq -c";
        let command = "/run/bin/arrange subreaper -- rauthbind /run/bin/look";
        let argv = [words("sh -c"), vec![rounds.into()], words("sh"), words(command)];
        let done = world.command("carol", argv.concat()).run().successful();
        assert_eq!(done.stdout.trim(), "200 wait 10");
    }
}

/// What `chain` must tell: up to level `depth` the bind succeeds; up to the level before, the variables are handed on.
fn chain_tells(depth: usize, last: usize, limited: bool, other_item: &str) -> Vec<String> {
    let ours = |level: usize| {
        let counter = if limited { vec![format!("RAUTHBIND_DEPTH={}", depth - level)] } else { vec![] };
        [vec![format!("LD_PRELOAD={other_item}{SHIM}"), "RAUTHBIND_CHANNEL=".into()], counter].concat()
    };
    let others = || {
        if other_item.is_empty() { vec![] } else { vec![format!("LD_PRELOAD={}", other_item.trim_end_matches(':'))] }
    };
    let level = |level: usize| {
        let (covered, handed_on) = (level <= depth, level < depth);
        let bind = if covered { 0 } else { 13 };
        let variables = if handed_on { ours(level) } else { others() };
        let lists = ["envp", "environ"]
            .iter()
            .flat_map(|list| variables.iter().map(move |entry| format!("{level} {list} {entry}")))
            .collect();
        [vec![format!("{level} sockets {}", i32::from(covered)), format!("{level} bind {bind}")], lists].concat()
    };
    (1..=last).flat_map(level).collect()
}

world_test! {
    /// `--depth N` covers N programs that start each other, by fork or by exec; what comes after sees neither our
    /// variables, in environ and in main's envp, nor our item of LD_PRELOAD, nor the channel. `--deep` is no limit.
    fn depth_limits_and_deep_does_not(world) {
        furnish(world, &["chain"]);
        for (options, depth, last) in [
            ("", 99, 5),
            ("--deep", 99, 5),
            ("--depth 2 --deep", 99, 4),
            ("--depth 1", 1, 3),
            ("--depth=2", 2, 4),
            ("--depth 3", 3, 5),
            ("--depth 10", 10, 12),
            ("--deep --depth 4294967295", 4_294_967_295, 3),
        ] {
            for (how, other_item) in [("exec", ""), ("fork", ""), ("exec", "libm.so.6:")] {
                let set = format!("env LD_PRELOAD={other_item}");
                let before = if other_item.is_empty() { "" } else { set.trim_end_matches(':') };
                let command = words(&format!("{before} rauthbind {options} /run/bin/chain 1 {last} {how}"));
                let done = world.command("carol", command).run().successful();
                let told: Vec<_> = done
                    .stdout
                    .lines()
                    .map(|line| match line.split_once("RAUTHBIND_CHANNEL=1:") {
                        Some((start, _)) => format!("{start}RAUTHBIND_CHANNEL="),
                        None => line.to_owned(),
                    })
                    .collect();
                assert_eq!(told, chain_tells(depth, last, depth != 99, other_item), "{options}, {how}");
                assert_eq!(done.stderr, "");
            }
        }
    }
}

world_test! {
    /// A shell, a `#!` script, env and xargs are covered, and so is what they start.
    fn interpreters_and_what_they_start_are_covered(world) {
        furnish(world, &["binds"]);
        let script = world
            .script("script", "#!/usr/bin/env sh\n/run/bin/binds 80 81\n(exec sh -c '/run/bin/binds 80; exit 0')\n");
        let done = world.command("carol", ["rauthbind".into(), script]).run().successful();
        assert_eq!(done.stdout, "80 0\n81 13\n80 0\n");
        let script = "echo 80 | xargs env -i RAUTHBIND_CHANNEL=$RAUTHBIND_CHANNEL LD_PRELOAD=$LD_PRELOAD /run/bin/binds
                      env -i /run/bin/binds 80";
        let done = world.command("carol", ["rauthbind", "sh", "-c", script]).run().successful();
        assert_eq!(done.stdout, "80 0\n80 13\n", "the variables are all that it takes");
    }
}

/// Options as the parser's source has them.
fn options_of_parser() -> BTreeSet<String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/src/arguments.rs")).unwrap();
    let (code, _) = source.split_once("#[cfg(test)]").unwrap();
    let named = |start: &str, end: &str, dashes: &str| -> Vec<String> {
        code.split(start).skip(1).map(|rest| format!("{dashes}{}", rest.split_once(end).unwrap().0)).collect()
    };
    [named("Short('", "')", "-"), named("Long(\"", "\")", "--")].concat().into_iter().collect()
}

world_test! {
    /// `--help` and `--version` go to standard output with status 0; the help names every option that there is.
    fn help_and_version_teach(world) {
        let stdout = |option: &str| {
            let done = world.command("carol", ["rauthbind", option, "nonsense"]).run().successful();
            assert_eq!(done.stderr, "");
            done.stdout
        };
        let help = stdout("--help");
        assert_eq!(stdout("-h"), help);
        let listed: BTreeSet<_> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with('-')))
            .flat_map(|line| line.split_once("  ").unwrap_or((line, "")).0.split(", "))
            .map(|option| option.split(' ').next().unwrap().to_owned())
            .collect();
        assert!(listed.contains("--depth"), "{listed:?}");
        assert_eq!(listed, options_of_parser());
        for taught in [
            "Usage: rauthbind ",
            "Examples:",
            "rauthbind python3 -m http.server 80",
            "rauthbindctl allow 80 alice",
            "125",
            "126",
            "127",
        ] {
            assert!(help.contains(taught), "{taught}");
        }
        assert!(help.lines().all(|line| line.len() <= 80));
        assert_eq!(stdout("--version"), concat!("rauthbind ", env!("CARGO_PKG_VERSION"), "\n"));
        assert_eq!(stdout("-V"), stdout("--version"));
        for option in ["--help", "--version"] {
            let full = format!("rauthbind {option} > /dev/full");
            assert_eq!(world.command("carol", ["sh", "-c", &full]).run().status.code(), Some(125), "{full}");
        }
    }
}

world_test! {
    /// The example of `--help` is true: what it says is done, and then the port can be bound.
    fn the_example_of_the_help_works(world) {
        compile(world, &["binds"]);
        let help = world.command("alice", ["rauthbind", "--help"]).run().successful().stdout;
        let grants: Vec<_> = help.lines().map(str::trim).filter(|line| line.starts_with("rauthbindctl ")).collect();
        assert_eq!(grants.len(), 2, "{help}");
        let binds = || world.command("alice", words("rauthbind /run/bin/binds 80")).run().successful().stdout;
        assert_eq!(binds(), "80 13\n");
        for grant in grants {
            let _ = world.command("root", words(grant)).run().successful();
        }
        assert_eq!(binds(), "80 0\n");
        assert!(Path::new("/etc/rauthbind/byport/53,udp").exists());
    }
}

world_test! {
    /// What makes no sense on the command line is an error with status 125 that names it, and nothing is run; `--` and
    /// the first word that is no option end the options.
    fn options_that_make_no_sense_are_named(world) {
        for (line, named) in [
            ("--frobnicate touch ran", "--frobnicate"),
            ("--deeper touch ran", "--deeper"),
            ("--dept 1 touch ran", "--dept"),
            ("--no-deep touch ran", "--no-deep"),
            ("-x touch ran", "-x"),
            ("-vx touch ran", "-x"),
            ("-deep touch ran", "-d"),
            ("--deep=1 touch ran", "--deep"),
            ("--depth 0 touch ran", "--depth"),
            ("--depth=-1 touch ran", "--depth"),
            ("--depth one touch ran", "--depth"),
            ("--depth", "--depth"),
            ("-u", "-u"),
            ("-g carol touch ran", "-u"),
            ("", "command"),
            ("-v", "command"),
            ("--deep --", "command"),
        ] {
            let Finished { status, stdout, stderr } = world.command("carol", words(&format!("rauthbind {line}"))).run();
            assert_eq!((status.code(), &*stdout), (Some(125), ""), "{line}");
            assert!(stderr.starts_with("rauthbind: ") && stderr.contains(named) && stderr.contains("--help"), "{line}");
            assert_eq!(stderr.lines().count(), 1, "{line}");
        }
        assert!(!world.user("carol").home.join("ran").exists());
        for line in ["-- echo -v --help", "echo -v --help", "-v -- echo -v --help", "--deep --depth 3 echo -v --help"] {
            let done = world.command("carol", words(&format!("rauthbind {line}"))).run().successful();
            assert_eq!(done.stdout, "-v --help\n", "{line}");
        }
        let done = world.command("carol", words("rauthbind -- -v")).run();
        assert_eq!(done.status.code(), Some(127), "a command of the name -v is looked for");
    }
}

world_test! {
    /// A command that is not found, or cannot be executed, ends as it does with env(1), and so does one that can: found
    /// by the same PATH, run by the shell if it is text without `#!`.
    fn what_can_be_executed_is_what_env_can_execute(world) {
        let home = world.user("carol").home;
        for directory in ["first", "second", "first/directory"] {
            fs::create_dir(home.join(directory)).unwrap();
        }
        let file = |name: &str, mode, text: &str| {
            fs::write(home.join(name), text).unwrap();
            fs::set_permissions(home.join(name), Permissions::from_mode(mode)).unwrap();
        };
        let say = |what: &str| format!("#!/bin/sh\necho {what} \"$0\" \"$@\"\nexit 3\n");
        file("here", 0o755, &say("here"));
        file("first/not-executable", 0o644, &say("wrong"));
        file("first/shadowed", 0o644, &say("wrong"));
        file("second/shadowed", 0o755, &say("second"));
        file("first/both", 0o755, &say("first"));
        file("second/both", 0o755, &say("second"));
        file("second/directory", 0o755, &say("second"));
        file("first/no-interpreter", 0o755, "#!/no/such/interpreter\n");
        file("first/interpreter-not-executable", 0o755, "#!/etc/passwd\n");
        file("first/no-hash-bang", 0o755, "echo by sh \"$0\" \"$@\"; exit 4\n");
        file("first/empty", 0o755, "");
        file("first/only-root", 0o700, &say("wrong"));
        symlink("loop", home.join("first/loop")).unwrap();
        symlink("nowhere", home.join("first/dangling")).unwrap();
        symlink("../here", home.join("first/linked")).unwrap();
        let mut statuses = BTreeSet::new();
        for path in ["PATH=first:second", "PATH=", "PATH=:second", "PATH=/nowhere:/etc/passwd:first", "-uPATH"] {
            for command in [
                "",
                "nope",
                "/nope",
                "./nope",
                "here",
                "./here",
                "both",
                "shadowed",
                "first/shadowed",
                "directory",
                "first",
                "/etc",
                ".",
                "first/directory/",
                "not-executable",
                "first/not-executable",
                "no-interpreter",
                "first/no-interpreter",
                "first/interpreter-not-executable",
                "no-hash-bang",
                "first/no-hash-bang",
                "first/empty",
                "only-root",
                "first/only-root",
                "first/loop",
                "first/dangling",
                "linked",
                "here/below",
                "true",
                "a=b",
                "new\nline",
                &"x".repeat(300),
            ] {
                let run =
                    |by: &str| world.command("carol", ["/usr/bin/env", path, by, "--", command, "argument", ""]).run();
                let (by_env, by_us) = (run("/usr/bin/env"), run("/usr/local/bin/rauthbind"));
                // What env(1) itself would take for an assignment.
                let expected = if command.contains('=') { Some(127) } else { by_env.status.code() };
                assert_eq!(by_us.status.code(), expected, "{path} {command:?}");
                assert_eq!(by_us.stdout, if command.contains('=') { "" } else { &by_env.stdout }, "{path} {command:?}");
                if matches!(expected, Some(126 | 127)) {
                    let name = command.escape_debug().to_string();
                    assert!(by_us.stderr.starts_with(&format!("rauthbind: {name}: ")), "{path} {command:?}");
                    assert_eq!(by_us.stderr.lines().count(), 1, "{path} {command:?}");
                }
                statuses.insert(expected);
            }
        }
        assert_eq!(statuses, [0, 3, 4, 126, 127].map(Some).into());
    }
}

world_test! {
    /// The channel's descriptor is high but below 1024 and below the limit, and never one of LISTEN_FDS'.
    fn the_channel_keeps_out_of_the_way(world) {
        furnish(world, &["arrange", "look"]);
        for (before, descriptor) in [
            ("", 1023),
            ("prlimit --nofile=4096", 1023),
            ("prlimit --nofile=1024", 1023),
            ("prlimit --nofile=64:1024", 63),
            ("/run/bin/arrange open 63 /dev/null -- prlimit --nofile=64", 62),
            ("env LISTEN_FDS=3", 1023),
            ("env LISTEN_FDS=3 prlimit --nofile=64", 63),
            (
                "/run/bin/arrange open 3 /dev/null open 4 /dev/null open 5 /dev/null open 15 /dev/null -- \
                 env LISTEN_FDS=3 prlimit --nofile=16",
                14,
            ),
            ("env LISTEN_FDS=60 prlimit --nofile=64", 63),
            ("env LISTEN_FDS=-3", 1023),
            ("env LISTEN_FDS=three", 1023),
            ("env LISTEN_FDS=", 1023),
            ("/run/bin/arrange open 1023 /dev/null open 1022 /dev/null --", 1021),
        ] {
            let (_, with) = nothing_else_changes(world, &words(before));
            assert_eq!(with.channel().0, descriptor, "{before}");
        }
    }
}

world_test! {
    /// Where no number is left, there is no channel, rather than one in the place of a socket that the command is to
    /// adopt; that is told in one line, and the command runs.
    fn no_number_for_the_channel_is_told(world) {
        furnish(world, &["look"]);
        for before in ["env LISTEN_FDS=60 prlimit --nofile=63", "env LISTEN_FDS=1021", "prlimit --nofile=5"] {
            let seen = look(world, "carol", words(&format!("{before} rauthbind /run/bin/look")));
            assert!(seen.stderr.starts_with("rauthbind: the helper cannot be reached: "), "{before}: {}", seen.stderr);
            assert_eq!(seen.stderr.lines().count(), 1, "{before}");
            assert!(seen.sockets().is_empty() && seen.variable("RAUTHBIND_CHANNEL").is_empty(), "{before}");
        }
    }
}

world_test! {
    /// rauthbind under rauthbind: one channel, one helper, one item in LD_PRELOAD; and the innermost `--depth` counts.
    fn nested_launchers_leave_one_channel(world) {
        furnish(world, &["look", "binds"]);
        for nested in [
            "rauthbind rauthbind",
            "rauthbind rauthbind -v rauthbind",
            "rauthbind --depth 1 rauthbind",
            "rauthbind --depth 1 rauthbind --depth 1 rauthbind",
        ] {
            let seen = look(world, "carol", words(&format!("{nested} /run/bin/look")));
            assert_eq!(seen.one("bind"), "0", "{nested}");
            assert_eq!(seen.sockets(), [seen.channel()], "{nested}");
            assert_eq!(seen.variable("LD_PRELOAD"), [SHIM], "{nested}");
            assert!(seen.variable("RAUTHBIND_DEPTH").is_empty(), "{nested}");
            assert_eq!(seen.one("wait"), "10", "{nested}");
        }
        let script = "/run/bin/binds 80; echo ready; exec sleep 1000000";
        let running = world.command("carol", ["rauthbind", "rauthbind", "sh", "-c", script]).start();
        let _ = running.stdout_line("ready");
        wait_until("the outer helper's end", || processes_named("rauthbind-helper").len() == 1);
        running.kill(Signal::SIGKILL);
        assert_eq!(running.wait().stdout, "80 0\nready\n");
        wait_until("the inner helper's end", || processes_named("rauthbind-helper").is_empty());
    }
}

world_test! {
    /// `-v` says on standard error who is served, by which helper, over which descriptor, by which rules, through which
    /// library, how deep; without it nothing is said.
    fn verbose_says_what_is_done(world) {
        furnish(world, &["look"]);
        let quiet = look(world, "carol", words("rauthbind /run/bin/look"));
        assert_eq!(quiet.stderr, "");
        for (options, reach) in
            [("-v", "every program"), ("--verbose --depth 2", "programs 2 deep"), ("-v --deep", "every program")]
        {
            let seen = look(world, "carol", words(&format!("rauthbind {options} /run/bin/look")));
            let descriptor = format!("descriptor {}", seen.channel().0);
            for part in ["4003", HELPER, &descriptor, RULES, SHIM, reach] {
                assert!(seen.stderr.contains(part), "{options}: no {part:?} in {}", seen.stderr);
            }
            let (helpers, ours): (Vec<_>, Vec<_>) = seen.stderr.lines().partition(|line| !line.starts_with("rauthbind: "));
            assert!(helpers.len() == 1 && !ours.is_empty(), "{}", seen.stderr);
            // Without its name, where it has ended before the helper looks.
            let granted = format!(
                "rauthbind-helper: granted 127.0.0.1:80/tcp to uid 4003, pid {}, by byport/80",
                seen.one("pid")
            );
            assert_eq!(helpers[0].replace(" \"look\"", ""), granted);
            assert_eq!((seen.one("bind"), seen.one("SigIgn")), ("0", quiet.one("SigIgn")));
        }
    }
}

world_test! {
    /// Standard error that nobody reads holds nobody up, though `-v` has the helper write to it.
    fn nobody_has_to_read_what_verbose_says(world) {
        world.grant("byport/80", "alice");
        let server = world.script("server", include_str!("launcher/full.py"));
        let reader = world.script("reader", include_str!("launcher/unread.py"));
        let done = world.command("alice", ["python3".into(), reader, "rauthbind".into(), "-v".into(), "python3".into(), server]);
        assert_eq!(done.run().successful().stdout, "full\nbound\n");
    }
}

world_test! {
    /// On a terminal, a refusal is followed by one line that says what to do, whichever way the bind was reached; where
    /// standard error is none, or nobody refused but the kernel, there is no line; and a stopped terminal holds nobody up.
    fn a_refusal_on_a_terminal_comes_with_a_hint(world) {
        world.grant("byport/80", "alice");
        let terminal = world.script("terminal", include_str!("launcher/terminal.py"));
        let script = "import socket\nfor port in 81, 82, 80:\n  try: print(socket.socket().bind(('127.0.0.1', port)))\n  \
                      except OSError as error: print(error.errno)";
        let hint = "rauthbind: port 81 is refused to user id 4001; as root, 'rauthbindctl explain 81 --user 4001' says why, \
                    'rauthbindctl allow 81 4001' grants it\r\n";
        for mode in ["preload", "supervise"] {
            let on_terminal = |state: &str, words: &[&str]| {
                let python = ["python3", terminal.to_str().unwrap(), state];
                let words = python.into_iter().chain(words.iter().copied()).chain(["python3", "-c", script]);
                world.command("alice", words).run().successful().stdout
            };
            let command = ["rauthbind", "--mode", mode];
            assert_eq!(on_terminal("moving", &command), format!("13\n13\nNone\n{hint}"), "{mode}");
            assert_eq!(on_terminal("stopped", &command), "13\n13\nNone\n", "{mode}");
            assert_eq!(on_terminal("moving", &[]), "13\n13\n13\n", "{mode}");
            let plain = world.command("alice", command.into_iter().chain(["python3", "-c", script])).run().successful();
            assert_eq!((&*plain.stdout, &*plain.stderr), ("13\n13\nNone\n", ""));
        }
    }
}

world_test! {
    /// Of a script whose interpreter is missing it is not said that it is missing itself.
    fn a_missing_interpreter_is_told_from_a_missing_command(world) {
        let script = world.script("script", "#!/no/such/interpreter\n").into_os_string();
        for (command, said) in [(script, "/run/bin/script: its interpreter"), ("/run/bin/none".into(), "none: No such file")] {
            let done = world.command("alice", [OsString::from("rauthbind"), command]).run();
            assert_eq!(done.status.code(), Some(127));
            assert!(done.stderr.contains(said), "{}", done.stderr);
        }
    }
}

world_test! {
    /// With argc 0, each program says what it misses and ends.
    fn an_empty_argument_list_is_a_clean_error(world) {
        compile(world, &["arrange"]);
        for (stdin, program, code, told) in [
            ("", "rauthbind", 125, "no command"),
            ("", "rauthbindctl", 2, "Usage: rauthbindctl "),
            ("", HELPER, 1, "not a channel"),
            ("channel", HELPER, 0, ""),
        ] {
            for user in ["carol", "root"] {
                let line = format!("/run/bin/arrange {stdin} nameless -- {program}");
                let done = world.command(user, words(&line)).run();
                assert_eq!((done.status.code(), &*done.stdout), (Some(code), ""), "{line}");
                assert!(done.stderr.contains(told) && done.stderr.is_empty() == told.is_empty(), "{line}");
            }
        }
    }
}
