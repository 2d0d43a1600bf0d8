//! rauthbind, the launcher: finds shim and helper, opens the channel, becomes the command. No privilege.
//!
//! | module | holds |
//! |---|---|
//! | [`arguments`] | the command line and `--help` |
//! | [`launch`] | the steps from there to the command, in order |
//! | [`identity`] | `-u` and `-g` |
//! | [`setup`] | what is wrong with the installation, and its mend |
//! | [`error`] | why the command was not run, and the exit status that tells |
//! | [`sys`] | the system calls that need unsafe code |

#![deny(unsafe_code)]

pub mod arguments;
pub mod error;
pub mod identity;
pub mod launch;
pub mod setup;
#[allow(unsafe_code)]
pub mod sys;

use std::ffi::c_int;
use std::fmt;
use std::io::Write as _;

use arguments::Asked;
use error::Error;

/// Runs the program; gives its exit status where it did not become the command.
pub fn main() -> c_int {
    let error = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Asked::Text(text)) => match write!(std::io::stdout(), "{text}") {
            Ok(()) => return 0,
            Err(error) => Error::Output(error),
        },
        Ok(Asked::Run(run)) => match launch::launch(&run) {
            Ok(never) => match never {},
            Err(error) => error,
        },
        Err(error) => Error::Usage(error),
    };
    say(&error);
    error.exit_status()
}

/// The one place that prints for people: one line on standard error, and nothing if that is closed.
fn say(what: &dyn fmt::Display) {
    // A reader that is gone must not be the end of the command.
    sys::without_broken_pipes(|| drop(writeln!(std::io::stderr(), "rauthbind: {what}")));
}
