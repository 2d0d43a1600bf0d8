//! The ways to run a program that wants port 80.

use std::fs;

use rauthbind_tests::process::Running;
use rauthbind_tests::{World, wait_until};
use rauthbind_wire::names::{BROKER, BROKER_ARGUMENT, CHANNEL, HELPER};
use xtask::packages;

use crate::measure::Case;

/// A way to run it.
#[derive(Clone, Debug)]
pub struct Way {
    /// What the reader is told.
    pub name: &'static str,
    pub(crate) user: &'static str,
    /// What comes before the program, in words.
    pub(crate) before: String,
}

/// Which processors the program, and what it starts, may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processors {
    /// The first alone.
    One,
    /// All there are.
    All,
}

/// Root, on whom nobody looks.
pub const ROOT: &str = "root, without anything";
/// An ordinary user, for what everybody may do.
pub const USER: &str = "without anything";
/// Ours, as it is meant to be used.
pub const RAUTHBIND: &str = "rauthbind";
/// Ours, where the program has closed what it does not know.
pub const ONCE: &str = "rauthbind, channel closed";
/// Ours, under no_new_privs.
pub const BY_BROKER: &str = "rauthbind, by the broker";
/// Ours, from outside.
pub const SUPERVISE: &str = "rauthbind --mode supervise";
/// The shortest filter there is.
pub const ANY_FILTER: &str = "a filter that allows everything";
/// The one that ours takes the place of.
pub const AUTHBIND: &str = "authbind";
const PRIVBIND: &str = "privbind";
const STANDIN: &str = "privbind's pattern (stand-in)";

/// The name of privbind's row, or of the stand-in's where privbind is not to be had.
#[must_use]
pub fn privbind() -> &'static str {
    if packages::find(PRIVBIND).is_some() { PRIVBIND } else { STANDIN }
}

/// A world in which all of them work.
#[derive(Debug)]
pub struct Ways<'w> {
    pub(crate) world: &'w World,
    _broker: Running,
}

impl<'w> Ways<'w> {
    /// Compiles the programs, grants port 80 to alice, and starts a broker.
    ///
    /// # Panics
    /// Something of it does not work.
    #[must_use]
    pub fn prepare(world: &'w World) -> Self {
        for (name, text) in
            [("clock.h", include_str!("../programs/clock.h")), ("standin.h", include_str!("../programs/standin.h"))]
        {
            fs::write(format!("/run/tmp/{name}"), text).expect("the sandbox's own directory");
        }
        for (name, source) in [
            ("any_filter", include_str!("../programs/any_filter.c")),
            ("binds", include_str!("../programs/binds.c")),
            ("calls", include_str!("../programs/calls.c")),
            ("standin", include_str!("../programs/standin.c")),
            ("starts", include_str!("../programs/starts.c")),
        ] {
            let _ = world.compile_c(name, source);
        }
        let library = ["-shared", "-fPIC"];
        let _ = world.compile_c_with(&library, "standin_library.so", include_str!("../programs/standin_library.c"));
        world.grant("byport/80", "alice");
        let rule = ["install", "-D", "-g", "alice", "-m", "0710", "/dev/null", "/etc/authbind/byport/80"];
        let _ = world.command("root", rule).run().successful();
        fs::create_dir_all("/run/rauthbind").expect("the sandbox's own directory");
        let argument = BROKER_ARGUMENT.to_str().expect("plain text");
        let broker = world.command("root", ["s6-ipcserver", "-a", "0666", BROKER, HELPER, argument]).start();
        wait_until("the broker's socket", || fs::exists(BROKER).expect("the sandbox's own directory"));
        Self { world, _broker: broker }
    }

    /// A way, by its name.
    ///
    /// # Panics
    /// There is none of that name.
    #[must_use]
    pub fn way(&self, name: &'static str) -> Way {
        let (user, before) = match name {
            ROOT => ("root", String::new()),
            USER => ("alice", String::new()),
            RAUTHBIND => ("alice", "rauthbind".into()),
            ONCE => ("alice", format!("rauthbind env -u {CHANNEL}")),
            BY_BROKER => ("alice", "setpriv --no-new-privs rauthbind".into()),
            SUPERVISE => ("alice", "rauthbind --mode supervise".into()),
            ANY_FILTER => ("alice", "/run/bin/any_filter".into()),
            AUTHBIND => ("alice", "authbind --deep".into()),
            PRIVBIND => ("root", "privbind -u alice".into()),
            STANDIN => {
                let uid = self.world.user("alice").uid;
                ("root", format!("/run/bin/standin /run/bin/standin_library.so {uid}"))
            }
            _ => panic!("no way {name}"),
        };
        Way { name, user, before }
    }

    /// A case: what a program of `programs/` prints that is run this way.
    #[must_use]
    pub fn case(&self, name: &'static str, processors: Processors, program: &str) -> Case<'w> {
        let way = self.way(name);
        self.figure(&way, processors, &format!("{} /run/bin/{program}", way.before))
    }

    /// A case: what a program of `programs/` prints that runs a command this way.
    #[must_use]
    pub fn case_around(&self, name: &'static str, processors: Processors, program: &str, command: &str) -> Case<'w> {
        let way = self.way(name);
        self.figure(&way, processors, &format!("/run/bin/{program} {} {command}", way.before))
    }

    fn figure(&self, way: &Way, processors: Processors, line: &str) -> Case<'w> {
        let pin = if processors == Processors::One { "taskset -c 0" } else { "" };
        let (line, user, world) = (format!("{pin} {line}"), way.user, self.world);
        Case::new(way.name, move || {
            let done = world.command(user, line.split_whitespace()).run().successful();
            done.stdout.trim().parse().unwrap_or_else(|_| panic!("no figure: {}{}", done.stdout, done.stderr))
        })
    }
}
