//! The command line and `--help`.

use std::ffi::OsString;

use lexopt::prelude::*;

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// Print this and be done.
    Text(String),
    /// Run a command.
    Run(Run),
}

/// A command and how to run it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The command and its arguments; never empty.
    pub command: Vec<OsString>,
    /// `-u`
    pub user: Option<String>,
    /// `-g`
    pub group: Option<String>,
    /// `--user-env`
    pub user_environment: bool,
    /// `--mode`
    pub mode: Mode,
    /// `--depth`: how many programs, one started by the other, are covered. `None`: all.
    pub depth: Option<u32>,
    /// `-v`
    pub verbose: bool,
}

/// How the command's binds are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As its program wants it.
    #[default]
    Auto,
    /// By the shim.
    Preload,
    /// From outside.
    Supervise,
}

/// The text of `--help`.
pub const HELP: &str = "\
Usage: rauthbind [-u USER [-g GROUP] [--user-env]] [--mode MODE]
                 [--depth N | --deep] [-v] [--] COMMAND [ARG...]

Runs COMMAND, unchanged, as the user you are, and lets it and all programs that
it starts bind the privileged ports (80, 443, 53/udp and so on) that the
administrator has granted to that user in /etc/rauthbind. All other privileged
ports stay refused.

Options:
  -u USER        become USER first, with all groups of that user (only root can)
  -g GROUP       with -u: and make GROUP the primary group
  --user-env     with -u: set HOME, USER, LOGNAME and SHELL to what the user
                 database says of USER
  --mode MODE    how binds are reached: preload (by a library in COMMAND and
                 all that it starts), supervise (from outside: static, Go and
                 musl programs, and all that they start, under no_new_privs),
                 or auto, the default: as the file of COMMAND calls for
  --depth N      with a preload: cover only COMMAND (N = 1), and the programs
                 that it starts (N = 2), and so on
  --deep         cover every program that COMMAND starts, directly or not; this
                 is the default
  -v, --verbose  say on standard error what is done
  -h, --help     show this and exit
  -V, --version  show the version and exit

Examples:
  Let alice listen on port 80, once, as root; then serve as alice:
    rauthbindctl allow 80 alice
    rauthbind python3 -m http.server 80

  A service that root starts, to run as another user:
    rauthbind -u www-data --user-env node /srv/app/server.js

  Grant UDP port 53 alone:
    rauthbindctl allow 53/udp alice

Exit status: that of COMMAND; 125 if rauthbind itself fails, 126 if COMMAND
cannot be executed, 127 if it is not found.

See rauthbind(1), rauthbind-rules(5), rauthbind-recipes(7), rauthbind-helper(8)
and rauthbindctl(8).
";

/// The text of `authbind --help`.
pub const AUTHBIND_HELP: &str = "\
Usage: authbind [--deep | --depth N] [--] COMMAND [ARG...]

authbind's command line for rauthbind: runs COMMAND, which may bind the
privileged ports that were granted to its user in /etc/rauthbind.

Options:
  --depth N  cover only COMMAND (N = 1, the default), and the programs that it
             starts (N = 2), and so on
  --deep     cover every program that COMMAND starts, directly or not
  --help     show this and exit

Exit status: that of COMMAND; 255 if it is not run.

See authbind(1) and rauthbind(1).
";

/// Reads the command line.
///
/// # Errors
/// lexopt's, whose wording names the argument.
pub fn parse(mut parser: lexopt::Parser) -> Result<Asked, lexopt::Error> {
    let mut run = Run::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('u') => run.user = Some(parser.value()?.string()?),
            Short('g') => run.group = Some(parser.value()?.string()?),
            Long("user-env") => run.user_environment = true,
            Long("mode") => run.mode = mode(&parser.value()?.string()?)?,
            Long("depth") => run.depth = Some(depth(&parser.value()?.string()?)?),
            Long("deep") => run.depth = None,
            Short('v') | Long("verbose") => run.verbose = true,
            Short('h') | Long("help") => return Ok(Asked::Text(HELP.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Asked::Text(concat!("rauthbind ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
            }
            Value(command) => run.command = with_arguments(command, &mut parser)?,
            _ => return Err(argument.unexpected()),
        }
    }
    for (option, given) in [("-g", run.group.is_some()), ("--user-env", run.user_environment)] {
        if given && run.user.is_none() {
            return Err(format!("{option} needs -u USER").into());
        }
    }
    run.asked()
}

/// Reads the command line of the command `authbind`, which has authbind's options.
///
/// # Errors
/// lexopt's, whose wording names the argument.
pub fn parse_authbind(mut parser: lexopt::Parser) -> Result<Asked, lexopt::Error> {
    let mut run = Run { depth: Some(1), ..Run::default() };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("deep") => run.depth = None,
            Long("depth") => run.depth = Some(depth(&parser.value()?.string()?)?),
            Long("help") => return Ok(Asked::Text(AUTHBIND_HELP.to_owned())),
            Value(command) => run.command = with_arguments(command, &mut parser)?,
            _ => return Err(argument.unexpected()),
        }
    }
    run.asked()
}

impl Run {
    fn asked(self) -> Result<Asked, lexopt::Error> {
        if self.command.is_empty() { Err("no command was given".into()) } else { Ok(Asked::Run(self)) }
    }
}

/// The command and all that follows it: options end where it begins.
fn with_arguments(command: OsString, parser: &mut lexopt::Parser) -> Result<Vec<OsString>, lexopt::Error> {
    Ok(std::iter::once(command).chain(parser.raw_args()?).collect())
}

fn mode(text: &str) -> Result<Mode, lexopt::Error> {
    match text {
        "auto" => Ok(Mode::Auto),
        "preload" => Ok(Mode::Preload),
        "supervise" => Ok(Mode::Supervise),
        _ => Err(format!("--mode {text:?} is not auto, preload or supervise").into()),
    }
}

fn depth(text: &str) -> Result<u32, lexopt::Error> {
    let levels = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    levels.filter(|levels| *levels > 0).ok_or_else(|| format!("--depth {text:?} is not a number from 1 on").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(asked: Result<Asked, lexopt::Error>) -> Result<Run, String> {
        match asked {
            Ok(Asked::Run(run)) => Ok(run),
            Ok(Asked::Text(text)) => panic!("asked for {text}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn run(arguments: &[&str]) -> Result<Run, String> {
        run_of(parse(lexopt::Parser::from_args(arguments)))
    }

    fn run_authbind(arguments: &[&str]) -> Result<Run, String> {
        run_of(parse_authbind(lexopt::Parser::from_args(arguments)))
    }

    #[test]
    fn everything_behind_the_command_is_its_own() {
        for arguments in [&["ls", "-v", "--help", "--", "x"][..], &["--", "ls", "-v", "--help", "--", "x"]] {
            let run = run(arguments).unwrap();
            assert_eq!(run.command, ["ls", "-v", "--help", "--", "x"]);
            assert!(!run.verbose);
        }
        assert_eq!(run(&["--", "-v"]).unwrap().command, ["-v"]);
    }

    #[test]
    fn the_last_of_deep_and_depth_counts() {
        assert_eq!(run(&["true"]).unwrap().depth, None);
        assert_eq!(run(&["--deep", "--depth", "2", "true"]).unwrap().depth, Some(2));
        assert_eq!(run(&["--depth=3", "true"]).unwrap().depth, Some(3));
        assert_eq!(run(&["--depth", "2", "--deep", "true"]).unwrap().depth, None);
        for wrong in ["0", "-1", "+1", "", "x", "4294967296"] {
            let error = run(&[&format!("--depth={wrong}"), "true"]).unwrap_err();
            assert!(error.contains("--depth") && error.contains("is not a number from 1 on"), "{error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (arguments, named) in [
            (&["--frobnicate", "true"][..], "--frobnicate"),
            (&["-x", "true"], "-x"),
            (&["--deep=1", "true"], "--deep"),
            (&["-u"], "-u"),
            (&["-g", "web", "true"], "-g needs -u"),
            (&["--user-env", "true"], "--user-env needs -u"),
            (&[], "no command"),
            (&["-v"], "no command"),
            (&["--"], "no command"),
        ] {
            let error = run(arguments).unwrap_err();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }
    #[test]
    fn authbind_covers_one_level_unless_told_otherwise() {
        for (options, depth) in [
            (&[][..], Some(1)),
            (&["--deep"], None),
            (&["--depth", "3"], Some(3)),
            (&["--deep", "--depth", "2"], Some(2)),
            (&["--depth", "2", "--deep"], None),
        ] {
            let run = run_authbind(&[options, &["ls", "--deep", "-u"]].concat()).unwrap();
            assert_eq!(
                run,
                Run { command: ["ls", "--deep", "-u"].map(OsString::from).into(), depth, ..Run::default() }
            );
        }
        for wrong in
            [&["--depth", "0", "ls"][..], &["--depth"], &["--frobnicate", "ls"], &["-u", "bob", "ls"], &["--deep"]]
        {
            assert!(run_authbind(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
