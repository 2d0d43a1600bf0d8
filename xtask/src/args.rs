//! The command line of `cargo xtask`, and its help.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use crate::error::Error;
use crate::layout::{DEFAULT_PREFIX, Tree};
use crate::package::Format;

/// How often `bench` measures, if it is not told.
const ROUNDS: NonZeroU32 = NonZeroU32::new(15).unwrap();

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print this.
    Help(&'static str),
    /// Show rauthbind at work.
    Demo,
    /// Do what CI does.
    Test {
        /// For the end-to-end tests' own command line.
        filters: Vec<OsString>,
    },
    /// Measure rauthbind beside the others.
    Bench {
        /// How often.
        rounds: NonZeroU32,
    },
    /// Feed the readers of hostile input until they fail.
    Fuzz {
        /// One of the programs in fuzz/targets; each of them in turn where none is named.
        target: Option<String>,
        /// For libFuzzer's own command line.
        options: Vec<OsString>,
    },
    /// Bind very many times.
    Soak,
    /// Put the tree in place.
    Install {
        /// Where.
        tree: Tree,
        /// Whether to build it first.
        build: bool,
    },
    /// Make packages.
    Package {
        /// Of this kind.
        format: Format,
        /// What tells packages of the same version apart.
        revision: String,
    },
    /// Take the tree away, rules excepted.
    Uninstall {
        /// From where.
        tree: Tree,
    },
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// [`Error::Usage`], [`Error::NoCommand`] or [`Error::Prefix`].
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let mut own: Vec<OsString> = args.collect();
    let dashes = own.iter().position(|arg| arg == "--").unwrap_or(own.len());
    let filters: Vec<OsString> = own.drain(dashes..).skip(1).collect();
    let mut parser = Parser::from_args(own);
    let name = match parser.next()? {
        None => return Err(Error::NoCommand),
        Some(Long("help") | Short('h')) => return Ok(Command::Help(HELP)),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let name = name.as_str();
    let (help, allowed): (_, &[&str]) = match name {
        "demo" => (DEMO_HELP, &[]),
        "test" => (TEST_HELP, &[]),
        "bench" => (BENCH_HELP, &["rounds"]),
        "fuzz" => (FUZZ_HELP, &["TARGET"]),
        "soak" => (SOAK_HELP, &[]),
        "install" => (INSTALL_HELP, &["prefix", "destdir", "authbind-compat", "no-build"]),
        "uninstall" => (UNINSTALL_HELP, &["prefix", "destdir", "authbind-compat"]),
        "package" => (PACKAGE_HELP, &["revision"]),
        _ => return Err(Value(name.into()).unexpected().into()),
    };
    let Some(Options { tree, build, rounds, target, format, revision }) = options(&mut parser, allowed)? else {
        return Ok(Command::Help(help));
    };
    match name {
        "test" => Ok(Command::Test { filters }),
        "fuzz" => Ok(Command::Fuzz { target, options: filters }),
        _ if !filters.is_empty() => Err(Error::Usage("only `test` and `fuzz` take arguments after --".into())),
        "demo" => Ok(Command::Demo),
        "bench" => Ok(Command::Bench { rounds }),
        "soak" => Ok(Command::Soak),
        "install" => Ok(Command::Install { tree, build }),
        "uninstall" => Ok(Command::Uninstall { tree }),
        _ => Ok(Command::Package { format: format.ok_or_else(|| Error::Usage("deb or rpm?".into()))?, revision }),
    }
}

/// What may follow a command's name.
struct Options {
    tree: Tree,
    build: bool,
    rounds: NonZeroU32,
    target: Option<String>,
    format: Option<Format>,
    revision: String,
}

/// What follows the command's name; nothing where help is asked for instead.
fn options(parser: &mut Parser, allowed: &[&str]) -> Result<Option<Options>, Error> {
    let mut tree = Tree { prefix: DEFAULT_PREFIX.into(), destdir: PathBuf::from("/"), authbind: false };
    let mut build = true;
    let mut rounds = ROUNDS;
    let mut target = None;
    let mut format = None;
    let mut revision = String::from("1");
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long(name) if !allowed.contains(&name) => return Err(arg.unexpected().into()),
            Long("prefix") => tree.prefix = checked_prefix(parser.value()?.string()?)?,
            Long("destdir") => tree.destdir = absolute(parser.value()?.into())?,
            Long("authbind-compat") => tree.authbind = true,
            Long("no-build") => build = false,
            Long("rounds") => rounds = parser.value()?.parse()?,
            Value(name) if target.is_none() && allowed.contains(&"TARGET") => target = Some(name.string()?),
            Long("revision") => revision = checked_revision(parser.value()?.string()?)?,
            Value(name) if allowed.contains(&"revision") && format.is_none() => {
                format = match name.to_str() {
                    Some("deb") => Some(Format::Deb),
                    Some("rpm") => Some(Format::Rpm),
                    _ => return Err(Value(name).unexpected().into()),
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(Options { tree, build, rounds, target, format, revision }))
}

/// What both kinds of packages take as a revision.
fn checked_revision(revision: String) -> Result<String, Error> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~');
    let starts = revision.starts_with(|c: char| c.is_ascii_digit());
    if starts && revision.chars().all(is_one) { Ok(revision) } else { Err(Error::Revision(revision)) }
}

/// The same rule as in wire's build script, which says why; here so that it is told before anything is built.
fn checked_prefix(prefix: String) -> Result<String, Error> {
    let can_be_built_for = prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains([' ', ':', '$', '\n']);
    if can_be_built_for { Ok(prefix) } else { Err(Error::Prefix(prefix)) }
}

fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path).map_err(Error::file("find", &path))
}

const HELP: &str = "\
rauthbind lets an ordinary user's unmodified server bind the privileged ports that the administrator has granted.

Usage: cargo xtask COMMAND [OPTION...]

  demo        build it and see it at work; leaves nothing behind
  test        everything that CI runs
  bench       measure it beside authbind and privbind
  fuzz        feed hostile input to all that reads it, until something fails
  soak        bind very many times, with kills in between
  install     build it and put it in place
  uninstall   take it away again; your rules stay
  package     make a package for dpkg or rpm

`cargo xtask COMMAND --help` says what each one does. All of them work as root, and as an ordinary user with sudo.
";

const DEMO_HELP: &str = "\
Shows rauthbind at work, from the administrator's grant to a page fetched from port 80, and what a refusal looks like.

Usage: cargo xtask demo

Builds rauthbind, then makes a network, mount and pid namespace in which it is installed and two users, alice and bob,
exist. There the administrator grants port 80 to alice; alice runs python3's own web server on it; bob tries the same.
Where node and perl are installed for everyone, alice runs a server of each as well. When it ends, the namespaces are
gone with all that was in them: no user, no rule, no process and no installed file stays on your machine.

Needs root (or sudo) for the namespaces, and python3; where python3 is missing and apt-get is there, it is installed.
Exit status: 0 where everything happened as told, else 1.
";

const TEST_HELP: &str = "\
Does everything that CI does, and stops at the first step that fails.

Usage: cargo xtask test [-- FILTER...]

  1  system packages that the tests need: names them, and installs with apt-get those that are missing;
     kernels that the tests boot: downloads them into target/tmp, 100 MB
  2  cargo fmt --check
  3  cargo clippy, warnings denied
  4  cargo doc, warnings denied
  5  cargo-deny: licences and sources of all crates; installs it into target/tools, for which Rust 1.88 is needed
  6  unit tests of every package
  7  release build, installed into target/stage
  8  the same build from a copy in target/elsewhere: it must have the same bytes
  9  packages for dpkg and rpm, in target/packages
 10  end-to-end tests: real servers, each test in namespaces of its own, against target/stage and target/packages

Arguments after -- go to the test programs of step 10, as in `cargo xtask test -- --exact shim_exports_bind_alone`.
Needs root (or sudo) for missing packages, for the root-owned files of target/stage, and for namespaces.
`sudo rm -r target/stage` removes what step 7 leaves.
Exit status: 0 where everything passed, else 1.
";

const BENCH_HELP: &str = "\
Measures what rauthbind costs, beside native root, authbind and, where it is on the PATH, privbind.

Usage: cargo xtask bench [--rounds N]

  --rounds N   how often everything is measured [default: 15]

Builds rauthbind and runs all of it in a network, mount and pid namespace of its own, nothing of which stays. Prints the
figures, and writes them to docs/bench.md and docs/bench.svg. A round takes about a minute, on a machine that has nothing
else to do: leave it alone meanwhile.

Needs root (or sudo) for the namespaces, and the servers and tools that it measures (authbind, nginx, node, wrk and so on),
which it installs with apt-get where they are missing.
Exit status: 0 where everything could be measured, whatever the figures, else 1.
";

const FUZZ_HELP: &str = "\
Feeds hostile input to one of the programs in fuzz/targets with libFuzzer, until it fails or you stop it.

Usage: cargo xtask fuzz [TARGET] [-- OPTION...]

Without a TARGET, each has ten minutes, one after the other, over and over. fuzz/src/lib.rs says what each one checks.
What it finds stays in target/fuzzing/TARGET: in corpus/ the inputs that reach new code, from which the next run goes on
as well as from fuzz/corpus/TARGET; and beside that the input that failed. OPTIONs are libFuzzer's: -runs=1000000, say;
or, as the one OPTION, such an input, to try it again.
Needs g++, which apt-get installs where it is missing, and root (or sudo) for namespaces, in which the targets may bind
any port; for them the installed tree is laid out in target/stage. Any toolchain will do.
Exit status: 0 where libFuzzer ended as it was told to, else 1.
";

const SOAK_HELP: &str = "\
Binds a million times over the channel, a hundred thousand times by helpers run once, and as often under supervision, from
8 threads; every tenth bind is of a port that is not granted. Meanwhile helpers, the supervisor and the app are killed.

Usage: cargo xtask soak

Builds rauthbind and does all of it in a network, mount and pid namespace of its own, nothing of which stays. Prints how
many binds there were and how many were lost, which is neither bound nor rightly refused, and what the helper, the
supervisor and the app hold, in descriptors and in memory of their own. Takes a few minutes.

Needs root (or sudo) for the namespaces, and gcc, which it installs with apt-get where it is missing.
Exit status: 0 where nothing was lost, nothing has grown and nothing was left behind, else 1.
";

const INSTALL_HELP: &str = "\
Builds rauthbind and puts it in place: programs, library, man pages, completions, and the directories for the rules.

Usage: cargo xtask install [--prefix DIR] [--destdir DIR] [--authbind-compat] [--no-build]

  --prefix DIR       where the programs will be at run time; fixed in them when they are built [default: /usr/local]
  --destdir DIR      put the tree below DIR instead of /, to make a package of it
  --authbind-compat  and the command authbind, for scripts that call it; see authbind(1), which comes with it
  --no-build         install what the last `cargo xtask install` with the same --prefix has built

Nothing is setuid. The helper alone gets a capability, cap_net_bind_service=p, so the file system must keep extended
attributes. The rules are in /etc/rauthbind, whatever the prefix; rules that are there already stay as they are.
Every file is replaced in one step, so that you can install while servers run; they keep what they have started.
Needs root (or sudo), because everything belongs to root.
";

const UNINSTALL_HELP: &str = "\
Takes away what `cargo xtask install` with the same options has put in place. The rules in /etc/rauthbind stay.

Usage: cargo xtask uninstall [--prefix DIR] [--destdir DIR] [--authbind-compat]

  --prefix DIR       as it was for install [default: /usr/local]
  --destdir DIR      as it was for install
  --authbind-compat  as it was for install

Servers that run keep their helper and their ports; programs that they start are no longer covered. Needs root (or sudo).
";

const PACKAGE_HELP: &str = "\
Builds rauthbind for the prefix /usr and makes two packages of it in target/packages: rauthbind, and rauthbind-authbind,
which is the command authbind for scripts that call it.

Usage: cargo xtask package deb|rpm [--revision N]

  deb           for Debian and its kin, by cargo-deb
  rpm           for Fedora and its kin, by cargo-generate-rpm
  --revision N  what tells packages of the same version apart; begins with a digit [default: 1]

The tool is built into target/tools the first time, in a pinned version, which takes a few minutes. Needs no root.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn rounds(count: u32) -> Command {
        Command::Bench { rounds: NonZeroU32::new(count).unwrap() }
    }

    fn tree(prefix: &str, destdir: &str) -> Tree {
        Tree { prefix: prefix.into(), destdir: destdir.into(), authbind: false }
    }

    #[test]
    fn each_command_with_its_options() {
        let both = "--prefix /opt/r --destdir /d";
        assert_eq!(parsed("demo").unwrap(), Command::Demo);
        assert_eq!(parsed("soak").unwrap(), Command::Soak);
        assert_eq!(parsed("bench").unwrap(), rounds(15));
        assert_eq!(parsed("bench --rounds 3").unwrap(), rounds(3));
        assert_eq!(parsed("install").unwrap(), Command::Install { tree: tree("/usr/local", "/"), build: true });
        assert_eq!(
            parsed(&format!("install --no-build {both}")).unwrap(),
            Command::Install { tree: tree("/opt/r", "/d"), build: false }
        );
        assert_eq!(parsed(&format!("uninstall {both}")).unwrap(), Command::Uninstall { tree: tree("/opt/r", "/d") });
        let tree = Tree { authbind: true, ..tree("/usr/local", "/") };
        assert_eq!(parsed("uninstall --authbind-compat").unwrap(), Command::Uninstall { tree });
    }

    #[test]
    fn packages_of_both_kinds() {
        let package = |format, revision: &str| Command::Package { format, revision: revision.into() };
        assert_eq!(parsed("package deb").unwrap(), package(Format::Deb, "1"));
        assert_eq!(parsed("package rpm --revision 2~rc1").unwrap(), package(Format::Rpm, "2~rc1"));
    }

    #[test]
    fn what_follows_the_dashes_goes_to_the_tests() {
        let filters = vec!["--exact".into(), "a".into(), "--".into(), "b".into()];
        assert_eq!(parsed("test -- --exact a -- b").unwrap(), Command::Test { filters });
        assert_eq!(parsed("test").unwrap(), Command::Test { filters: vec![] });
        let target = Some("byuid".into());
        assert_eq!(parsed("fuzz byuid -- -runs=1").unwrap(), Command::Fuzz { target, options: vec!["-runs=1".into()] });
        assert_eq!(parsed("fuzz").unwrap(), Command::Fuzz { target: None, options: vec![] });
    }

    #[test]
    fn every_command_has_help() {
        for (line, help) in [
            ("--help", HELP),
            ("demo -h", DEMO_HELP),
            ("test --help", TEST_HELP),
            ("bench --help", BENCH_HELP),
            ("fuzz byuid --help", FUZZ_HELP),
            ("soak --help", SOAK_HELP),
            ("install --prefix /x --help", INSTALL_HELP),
            ("uninstall --help", UNINSTALL_HELP),
            ("package deb -h", PACKAGE_HELP),
        ] {
            assert_eq!(parsed(line).unwrap(), Command::Help(help), "{line}");
        }
    }

    #[test]
    fn what_is_unknown_is_an_error() {
        for line in [
            "",
            "deploy",
            "--frobnicate",
            "demo now",
            "demo --prefix /x",
            "test --no-build",
            "bench --rounds 0",
            "bench --rounds",
            "demo --rounds 1",
            "test byuid",
            "soak 1000",
            "fuzz byuid elf",
            "uninstall --no-build",
            "install --prefix",
            "install -- x",
            "install --no-build=yes",
            "install deb",
            "package",
            "package dmg",
            "package deb rpm",
            "package deb --prefix /opt",
            "package deb --revision x-1",
        ] {
            assert!(parsed(line).is_err(), "{line:?} was taken");
        }
    }

    #[test]
    fn prefixes_that_the_loader_could_not_take() {
        for prefix in ["usr", "/usr/", "/", "/a:b", "/$LIB"] {
            assert!(matches!(parsed(&format!("install --prefix {prefix}")), Err(Error::Prefix(_))), "{prefix}");
        }
    }
}
