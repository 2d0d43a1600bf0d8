//! The C programs of these tests, each described at its top, to be found in `/run/bin`; and what one of them, `look`,
//! is given at its start.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::ffi::OsString;
use std::fs;

use rauthbind_tests::{Finished, Running, World};

/// Compiles programs by their names.
pub(crate) fn compile(world: &World, names: &[&str]) {
    fs::write("/run/tmp/try_bind.h", include_str!("try_bind.h")).unwrap();
    for name in names {
        let source = match *name {
            "alone" => include_str!("alone.c"),
            "arrange" => include_str!("arrange.c"),
            "binds" => include_str!("binds.c"),
            "chain" => include_str!("chain.c"),
            "connect" => include_str!("connect.c"),
            "look" => include_str!("look.c"),
            other => panic!("no program {other}"),
        };
        let _ = world.compile_c(name, source);
    }
}

/// The words of a command line in which blanks separate words and nothing else means anything.
pub(crate) fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// What the program `look` was given, line by line.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The process that was started, before it became `look`.
    pub(crate) started: i32,
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
}

/// Where `look` reports if standard output is not open: `arrange open 9 REPORT`.
pub(crate) const REPORT: &str = "/run/tmp/report";

/// Runs a command that becomes `look`.
#[track_caller]
pub(crate) fn look(world: &World, user: &str, argv: impl IntoIterator<Item = OsString>) -> Seen {
    seen_by(world.command(user, argv).start())
}

/// What one that was started is given.
#[track_caller]
pub(crate) fn seen_by(running: Running) -> Seen {
    let started = running.pid.as_raw();
    let Finished { status, stdout, stderr } = running.wait();
    let report = fs::read_to_string(REPORT).unwrap_or_default();
    let _ = fs::remove_file(REPORT);
    let lines: Vec<_> = format!("{stdout}{report}").lines().map(str::to_owned).collect();
    assert!(status.success() && !lines.is_empty(), "{status}");
    Seen { started, lines, stderr }
}

impl Seen {
    /// What follows this at the beginning of a line.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t', ':'])).collect()
    }

    /// What follows this at the beginning of the one line that has it.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let [one] = self.all(name)[..] else { panic!("not one {name}: {:#?}", self.lines) };
        one.trim()
    }

    /// The values of a variable, one for each entry.
    pub(crate) fn variable(&self, name: &str) -> Vec<&str> {
        self.all("entry").into_iter().filter_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')).collect()
    }

    /// Descriptor and inode of the channel, by the environment.
    #[track_caller]
    pub(crate) fn channel(&self) -> (i32, &str) {
        let [channel] = self.variable("RAUTHBIND_CHANNEL")[..] else { panic!("not one channel: {:#?}", self.lines) };
        let fields: Vec<_> = channel.split(':').collect();
        let ["1", descriptor, inode] = fields[..] else { panic!("not a channel: {channel}") };
        (descriptor.parse().unwrap(), inode)
    }

    /// The open descriptors that are sockets: number and inode.
    pub(crate) fn sockets(&self) -> Vec<(i32, &str)> {
        let sockets = self.all("fd").into_iter().filter_map(|line| {
            let (descriptor, rest) = line.split_once(" socket:[")?;
            Some((descriptor.parse().unwrap(), rest.split_once(']')?.0))
        });
        sockets.collect()
    }
}
