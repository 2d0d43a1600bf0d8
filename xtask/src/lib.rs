//! Builds, installs, tests, measures and shows rauthbind: the program behind `cargo xtask`.
//!
//! | module | holds |
//! |---|---|
//! | [`args`] | the command line and its help |
//! | [`layout`] | the one table of what is installed where |
//! | [`install`] | `install` and `uninstall` |
//! | [`package`] | `package`: for dpkg and rpm |
//! | [`ci`] | `test`: everything that CI runs |
//! | [`demo`] | `demo` |
//! | [`mod@bench`] | `bench` |
//! | [`fuzz`] | `fuzz` |
//! | [`soak`] | `soak` |
//! | [`supply`] | where the crates come from, and whether what is built of them is the same everywhere |
//! | [`cargo`] | the workspace, and cargo's part of each command |
//! | [`packages`] | the system packages that tests, demo and benchmark need |
//! | [`kernels`] | the kernels that the tests boot |
//! | [`root`] | being root, or sudo |
//! | [`error`] | what can go wrong, in words |

pub mod args;
pub mod bench;
pub mod cargo;
pub mod ci;
pub mod demo;
pub mod error;
pub mod fuzz;
pub mod install;
pub mod kernels;
pub mod layout;
pub mod package;
pub mod packages;
pub mod root;
pub mod soak;
pub mod supply;

use std::env;
use std::process::ExitCode;

use crate::args::Command;
use crate::error::Error;

/// The program: reads the command line, does what it says, and prints what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    match args::parse(env::args_os().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            error.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Help(text) => {
            print!("{text}");
            Ok(())
        }
        Command::Demo => demo::run(),
        Command::Bench { rounds } => bench::run(rounds),
        Command::Test { filters } => ci::run(&filters),
        Command::Fuzz { target, options } => fuzz::run(target.as_deref(), &options),
        Command::Soak => soak::run(),
        Command::Install { tree, build: true } => install::build_and_install(&tree),
        Command::Install { tree, build: false } => install::install_built(&tree),
        Command::Package { format, revision } => package::build(format, &revision),
        Command::Uninstall { tree } => install::uninstall(&tree),
    }
}
