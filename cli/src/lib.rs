//! rauthbind, the launcher: finds shim and helper, opens the channel, becomes the command. No privilege. And rauthbindctl,
//! by which the administrator manages the rules, in [`ctl`].
//!
//! | module | holds |
//! |---|---|
//! | [`arguments`] | the command line and `--help` |
//! | [`launch`] | the steps from there to the command, in order |
//! | [`program`] | what the command is: whether a preloaded library reaches it |
//! | [`supervise`] | the processes of a command whose binds are answered from outside |
//! | [`notify`] | the kernel's side of that |
//! | [`accounts`] | who the users and groups are |
//! | [`identity`] | `-u` and `-g` |
//! | [`setup`] | what is wrong with the installation, and its mend |
//! | [`error`] | why the command was not run, and the exit status that tells |
//! | [`sys`] | the system calls that need unsafe code |
//! | [`ctl`] | rauthbindctl |

#![deny(unsafe_code)]

pub mod accounts;
pub mod arguments;
pub mod ctl;
pub mod error;
pub mod identity;
pub mod launch;
#[allow(unsafe_code)]
pub mod notify;
pub mod program;
pub mod setup;
pub mod supervise;
#[allow(unsafe_code)]
pub mod sys;

use std::ffi::c_int;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use arguments::Asked;
use error::Error;

/// What authbind ends with where it has not become the command.
const AUTHBIND_FAILED: c_int = 255;

/// Runs rauthbind; gives its exit status where it did not become the command.
pub fn main() -> c_int {
    run("rauthbind", arguments::parse(lexopt::Parser::from_env())).unwrap_or_else(|error| error.exit_status())
}

/// Runs the command `authbind`, which is rauthbind with authbind's command line and exit status.
pub fn authbind_main() -> c_int {
    run("authbind", arguments::parse_authbind(lexopt::Parser::from_env())).unwrap_or(AUTHBIND_FAILED)
}

fn run(program: &'static str, asked: Result<Asked, lexopt::Error>) -> Result<c_int, Error> {
    let done = match asked {
        Ok(Asked::Text(text)) => print(&text).map(|()| 0).map_err(Error::Output),
        Ok(Asked::Run(run)) => launch::launch(&run),
        Err(error) => Err(Error::Usage { program, error }),
    };
    done.inspect_err(|error| say(error))
}

/// Prints what was asked for. Past std's standard output, to which a closed one is as good as any.
fn print(text: &str) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(text.as_bytes())
}

/// The one place that prints for people: one line on standard error, and nothing if that is closed.
fn say(what: &dyn fmt::Display) {
    // A reader that is gone must not be the end of the command.
    sys::without_broken_pipes(|| drop(writeln!(io::stderr(), "rauthbind: {what}")));
}
