//! rauthbindctl: who may bind which port, for the people who run it. It has the administrator's own privilege and no other.
//!
//! | module | holds |
//! |---|---|
//! | [`arguments`] | the command line and `--help` |
//! | [`allow`] | `allow` and `revoke` |
//! | [`list`] | `list` |
//! | [`declare`] | `export` and `apply` |
//! | [`explain`] | `explain` |
//! | [`doctor`] | `doctor` |
//! | [`import`] | `import` |
//! | [`rules`] | the rules as they are in the directory, and what they decide |
//! | [`grants`] | the same as grants |
//! | [`access`] | owner, group, mode and ACL of a file |
//! | [`lines`] | the lines of `byuid` files |
//! | [`plan`] | what is to change, so that it changes nothing else |
//! | [`mod@write`] | the change itself |
//! | [`ports`] | ports, protocols and addresses, as they are typed |
//! | [`subject`] | users and groups, as they are typed and printed |
//! | [`output`] | what is printed, with nothing in it that a terminal would act on |
//! | [`error`] | why nothing was done, and the exit status that tells |

pub mod access;
pub mod allow;
pub mod arguments;
pub mod declare;
pub mod doctor;
pub mod error;
pub mod explain;
pub mod grants;
pub mod import;
pub mod lines;
pub mod list;
pub mod output;
pub mod plan;
pub mod ports;
pub mod rules;
pub mod subject;
pub mod write;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::sys;
use arguments::{Arguments, Command};
use error::Error;

/// How a command ended that was carried out. What could not be is an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; allowed; no difference; nothing found. Exit status 0.
    Good,
    /// Not done; refused; a difference; something found. Exit status 1.
    Bad,
    /// Nothing is known to be wrong, but not everything is known. Exit status 2.
    Untold,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run() {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        Ok(Outcome::Untold) => ExitCode::from(2),
        Err(error) => {
            // Nobody is left to be told where this fails.
            let _ = writeln!(io::stderr(), "rauthbindctl: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

fn run() -> Result<Outcome, Error> {
    if sys::is_secure_execution() {
        return Err(Error::Secure);
    }
    match Arguments::parse().command {
        Command::Allow(allow) => allow::allow(&allow),
        Command::Revoke(revoke) => allow::revoke(&revoke),
        Command::List(list) => list::list(&list),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Doctor(doctor) => doctor::doctor(&doctor),
        Command::Import(import) => import::import(&import),
        Command::Export => declare::export(),
        Command::Apply(apply) => declare::apply(&apply),
    }
}
