//! rauthbind and Debian's authbind 2.1.3 are given the same rules and the same requests, and give the same answers, but
//! for the differences that have a name and a reason here.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

#[path = "twin/cases.rs"]
mod cases;
#[path = "twin/differences.rs"]
mod differences;
#[path = "rules/subject.rs"]
mod subject;
#[path = "twin/tree.rs"]
mod tree;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::mount::{MsFlags, mount};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use rauthbind_tests::sandbox::USERS;
use rauthbind_tests::{World, world_test};
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};

use cases::{EVERYBODYS, LOOP, NOBODYS};
use differences::{Difference, Grants, differences};
use subject::Subject;
use tree::{Tree, lines, rule};

/// A user's program under the one, and the same under the other.
struct Twin<'w> {
    ours: Subject<'w>,
    theirs: Subject<'w>,
}

impl<'w> Twin<'w> {
    fn start(world: &'w World, user: &'static str) -> Self {
        // Its helper has something to say on standard error about half of the refusals.
        let quiet = ["sh", "-c", r#"exec authbind --deep "$0" 2>/dev/null"#];
        let theirs = Subject::start_under(world, user, &quiet);
        Self { ours: Subject::start(world, user), theirs }
    }

    /// Whether both grant it; else who alone does.
    #[track_caller]
    fn both_grant(&self, what: &str) -> Result<bool, Grants> {
        let ours = self.ours.binds(what);
        assert!(ours.is_ok() || ours == Err("EACCES".to_owned()), "{what} under rauthbind: {ours:?}");
        match (ours.is_ok(), self.theirs.binds(what).is_ok()) {
            (true, false) => Err(Grants::Ours),
            (false, true) => Err(Grants::Theirs),
            (both, _) => Ok(both),
        }
    }
}

/// Gives both programs one and the same directory of rules, on a file system where it can be made anew in no time.
fn share_rules() {
    mount(Some("tmpfs"), RULES, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
    fs::remove_dir_all("/etc/authbind").unwrap();
    symlink(RULES, "/etc/authbind").unwrap();
}

world_test! {
    /// All that authbind's man page shows.
    fn the_examples_of_authbinds_man_page(world) {
        share_rules();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        fs::write("/etc/passwd", passwd + "example:x:432:4001::/run/home/alice:/bin/sh\n").unwrap();
        let user = Twin::start(world, "example");
        let what = "[2620:106:e002:f00f::21]:80/tcp";
        let files = ["byport/80", "byaddr/2620:106:e002:f00f::21,80", "byaddr/2620:106:e002:f00f:0:0:0:21,80"];
        let all = || lines("432", "::/0,80\n");
        for (index, file) in files.iter().enumerate() {
            Tree::of([rule(file, true)]).make();
            assert_eq!(user.both_grant(what), Ok(true), "{file}");
            Tree::of([rule(file, false), all()]).make();
            assert_eq!(user.both_grant(what), Ok(false), "{file} before the lines");
            for later in &files[index + 1..] {
                for granted in [false, true] {
                    Tree::of([rule(file, granted), rule(later, !granted)]).make();
                    assert_eq!(user.both_grant(what), Ok(granted), "{file} before {later}");
                }
            }
        }
        for line in ["2620:106:e002:f00f::21,80", "::/0,80"] {
            Tree::of([lines("432", line)]).make();
            assert_eq!(user.both_grant(what), Ok(true), "{line}");
        }
        Tree::of([]).make();
        assert_eq!(user.both_grant(what), Ok(false));
    }
}

world_test! {
    /// The forms of rules that authbind's man page describes, and their nearest neighbours that are none.
    fn the_forms_of_authbinds_man_page(world) {
        share_rules();
        let alice = Twin::start(world, "alice");
        let v4 = "127.0.0.1:80/tcp";
        for (name, what, granted) in [
            ("byport/80", v4, true),
            ("byport/80", "[::1]:80/udp", true),
            ("byport/080", v4, false),
            ("byport/81", v4, false),
            ("byport/!80", v4, false),
            ("byaddr/127.0.0.1,80", v4, true),
            ("byaddr/127.0.0.1:80", v4, true),
            ("byaddr/127.0.0.1:80", "127.0.0.1:80/udp", true),
            ("byaddr/127.0.0.2,80", v4, false),
            ("byaddr/0.0.0.0,80", v4, false),
            ("byaddr/::1,80", "[::1]:80/tcp", true),
            ("byaddr/0:0:0:0:0:0:0:1,80", "[::1]:80/tcp", true),
            ("byaddr/::1:80", "[::1]:80/tcp", false),
            ("byaddr/[::1],80", "[::1]:80/tcp", false),
            ("byaddr/::0001,80", "[::1]:80/tcp", false),
            ("byaddr/::1.2.3.4,80", "[::1.2.3.4]:80/tcp", true),
            ("byaddr/::102:304,80", "[::1.2.3.4]:80/tcp", false),
            ("byaddr/0:0:0:0:0:0:102:304,80", "[::1.2.3.4]:80/tcp", true),
            ("byaddr/::ffff:127.0.0.1,80", "[::ffff:127.0.0.1]:80/tcp", true),
            ("byaddr/::,80", "[::]:80/tcp", true),
            ("byaddr/::,80", "0.0.0.0:80/tcp", false),
            ("byport/!512", "127.0.0.1:512/tcp", true),
            ("byport/!1023", "127.0.0.1:1023/tcp", true),
            ("byport/!511", "127.0.0.1:511/tcp", false),
            ("byaddr/!127.0.0.1,600", "127.0.0.1:600/tcp", true),
            ("byaddr/!127.0.0.1:600", "127.0.0.1:600/tcp", true),
            ("byaddr/!::1,600", "[::1]:600/tcp", true),
            ("byaddr/!0:0:0:0:0:0:0:1,600", "[::1]:600/tcp", true),
        ] {
            Tree::of([rule(name, true)]).make();
            assert_eq!(alice.both_grant(what), Ok(granted), "{what} with {name}");
        }
        for (text, what, granted) in [
            ("127.0.0.0-127.0.0.1,79-80\n", v4, true),
            ("127.0.0.2-127.0.0.9,80\n", v4, false),
            ("127.0.0.1-127.0.0.0,80\n", v4, false),
            ("127.0.0.0/8,80\r\n", v4, true),
            ("127.0.0.1/8,80\n", v4, false),
            ("0.0.0.0/0,1-1023", v4, true),
            ("127.0.0.0/8:80,81\n", v4, true),
            (" 127.0.0.0/ 8: 80, 81 \n", v4, true),
            (" 127.0.0.1,80\n", v4, false),
            ("127.0.0.1 ,80\n", v4, false),
            ("127.0.0.0/8 ,\t80- 80 \n", v4, true),
            ("127.0.0.1,80 -80\n", v4, false),
            ("127.0.0.1,080\n", v4, true),
            ("127.0.0.01,80\n", v4, false),
            ("nonsense\n\n127.0.0.1,80", v4, true),
            ("127.0.0.1,79,80\n", v4, false),
            ("::/0,80\n", v4, false),
            ("::/0:80,80\n", "[::1]:80/tcp", false),
            ("::0001-::000A,80\n", "[::1]:80/tcp", true),
            ("::1.2.3.4/128,80\n", "[::1.2.3.4]:80/tcp", true),
            ("::/129,80\n", "[::]:80/tcp", false),
            ("0.0.0.0/0,1-1023\n", "127.0.0.1:600/tcp", false),
        ] {
            Tree::of([lines("4001", text)]).make();
            assert_eq!(alice.both_grant(what), Ok(granted), "{what} with {text:?}");
        }
        for (name, port, granted) in [("!4001", 600, true), ("!4001", 511, false), ("4002", 80, false)] {
            Tree::of([lines(name, "0.0.0.0/0,1-1023\n")]).make();
            assert_eq!(alice.both_grant(&format!("127.0.0.1:{port}/tcp")), Ok(granted), "{port} with byuid/{name}");
        }
    }
}

world_test! {
    /// Each named difference is still one, and documented.
    fn each_difference_is_still_there(world) {
        share_rules();
        let alice = Twin::start(world, "alice");
        let page = include_str!("../../docs/man/rauthbind-rules.5");
        let (_, documented) = page.split_once(".SH DIFFERENCES FROM AUTHBIND").unwrap();
        // Without the lines' ends and font macros, and a hyphen as it looks.
        let words = documented.split_whitespace().filter(|word| !word.starts_with('.'));
        let documented = words.collect::<Vec<_>>().join(" ").replace("\\-", "-");
        for Difference { name, reason, witnesses, .. } in differences() {
            assert!(documented.contains(name), "rauthbind-rules(5) does not say: {name}");
            for (tree, what, grants) in witnesses {
                tree.make();
                assert_eq!(alice.both_grant(what), Err(grants), "{name} ({reason}): {what} with\n{tree:?}");
            }
        }
    }
}

world_test! {
    /// A refusal has one errno under rauthbind, and several under authbind.
    fn a_refusal_is_always_eacces(world) {
        share_rules();
        let alice = Twin::start(world, "alice");
        for (tree, errno) in [
            (Tree::of([]), "EPERM"),
            (Tree::of([lines("4001", "")]), "ENOENT"),
            (Tree::of([rule("byport/80", false)]), "EACCES"),
        ] {
            tree.make();
            assert_eq!(alice.ours.binds("127.0.0.1:80/tcp"), Err("EACCES".to_owned()), "{tree:?}");
            assert_eq!(alice.theirs.binds("127.0.0.1:80/tcp"), Err(errno.to_owned()), "{tree:?}");
        }
    }
}

world_test! {
    /// Privileged is what the kernel says, where authbind has 1024.
    fn other_ports_may_be_privileged(world) {
        share_rules();
        let alice = Twin::start(world, "alice");
        Tree::of([rule("byport/1500", true), rule("byport/!1500", true)]).make();
        fs::write(UNPRIVILEGED_PORT_START, "2000").unwrap();
        assert_eq!(alice.both_grant("127.0.0.1:1500/tcp"), Err(Grants::Ours));
        assert_eq!(alice.both_grant("127.0.0.1:1501/tcp"), Ok(false));
        fs::write(UNPRIVILEGED_PORT_START, "80").unwrap();
        assert_eq!(alice.both_grant("127.0.0.1:80/tcp"), Err(Grants::Ours));
        assert_eq!(alice.both_grant("127.0.0.1:79/tcp"), Ok(false));
    }
}

world_test! {
    /// Whatever form of address the kernel takes can be granted, where authbind has two.
    fn an_address_may_have_any_form(world) {
        share_rules();
        Tree::of([rule("byport/80", true)]).make();
        fs::write("/run/tmp/bind.h", include_str!("c/bind.h")).unwrap();
        let program = world.compile_c("forms", include_str!("twin/forms.c"));
        let told = |launcher: &[&str]| {
            let argv = launcher.iter().map(OsStr::new).chain([program.as_os_str()]);
            world.command("alice", argv).run().successful().stdout
        };
        let forms = [
            ("IPv4", "ok"),
            ("IPv6", "ok"),
            ("IPv4 in a sockaddr_storage", "EACCES"),
            ("IPv6 in a sockaddr_storage", "EACCES"),
            ("IPv6 with no room for a scope", "EACCES"),
            ("IPv6 with a scope", "EINVAL"),
            ("AF_UNSPEC", "EACCES"),
        ];
        assert_eq!(told(&["rauthbind"]), forms.map(|(form, _)| format!("{form}: ok\n")).concat());
        assert_eq!(told(&["authbind", "--deep"]), forms.map(|(form, theirs)| format!("{form}: {theirs}\n")).concat());
    }
}

/// Cases of a run, those not counted that a named difference has to do with.
const CASES: u32 = 10_000;

/// The same run again where `PROPTEST_RNG_SEED` says which.
fn config() -> Config {
    let defaults = Config::default();
    let seed = match defaults.rng_seed {
        RngSeed::Random => RandomState::new().hash_one(0),
        RngSeed::Fixed(seed) => seed,
    };
    println!("PROPTEST_RNG_SEED={seed} repeats this run");
    let rng_seed = RngSeed::Fixed(seed);
    Config {
        cases: CASES,
        max_global_rejects: CASES,
        max_shrink_iters: 2000,
        rng_seed,
        failure_persistence: None,
        ..defaults
    }
}

world_test! {
    /// Random rules near random requests: the same answer, but for the named differences.
    fn random_rules_get_the_same_answers(world) {
        share_rules();
        fs::create_dir("/run/twin").unwrap();
        for (path, mode) in [(EVERYBODYS, 0o755), (NOBODYS, 0o600)] {
            fs::write(path, "0.0.0.0/0,1-1023\n::/0,1-1023\n").unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        symlink(LOOP, LOOP).unwrap();
        let users = USERS.map(|user| (user.id, Twin::start(world, user.name)));
        let differences = differences();
        let granted = Cell::new(0);
        let outcome = TestRunner::new(config()).run(&cases::case(), |case| {
            case.tree.make();
            let (_, user) = users.iter().find(|(uid, _)| *uid == case.uid).expect("a user of the sandbox");
            let by = |grants| differences.iter().find(|difference| (difference.explains)(&case, grants));
            match user.both_grant(&case.what()) {
                Err(grants) if by(grants).is_none() => Err(TestCaseError::fail(format!("{grants:?} alone grants"))),
                answer => match by(Grants::Ours).or(by(Grants::Theirs)) {
                    Some(difference) => Err(TestCaseError::reject(difference.name)),
                    None => {
                        granted.set(granted.get() + u32::from(answer == Ok(true)));
                        Ok(())
                    }
                },
            }
        });
        if let Err(TestError::Fail(reason, case)) = &outcome {
            panic!("{reason}: {case:?}");
        }
        outcome.unwrap();
        let granted = granted.get();
        println!("{granted} of {CASES} granted");
        assert!(granted > CASES / 5 && granted < CASES / 5 * 4, "{granted} of {CASES} granted");
    }
}
