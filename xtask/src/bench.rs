//! `cargo xtask bench`: builds, stages, and lets the program of `benches/` measure in the tests' sandbox.

use std::num::NonZeroU32;

use crate::cargo::Workspace;
use crate::error::Error;
use crate::{install, packages, root};

/// Builds, measures, writes `docs/bench.md` and `docs/bench.svg`, and removes the stage again.
///
/// # Errors
/// Something could not be built, or not be measured.
pub fn run(rounds: NonZeroU32) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    root::announce("install missing system packages, lay out the installed tree in target/stage, and make namespaces");
    packages::ensure(packages::FOR_BENCH)?;
    let stage = install::stage(&workspace)?;
    let programs = ["build", "-p", "rauthbind-tests", "-p", "rauthbind-benches", "--bins", "--locked"];
    root::run(&mut workspace.cargo(&programs))?;
    let program = |name: &str| workspace.target.join("debug").join(name);
    let mut sandbox = root::command(program("sandbox"));
    sandbox.env("RAUTHBIND_STAGE", &stage).arg(program("bench"));
    let measured = root::run(sandbox.arg(workspace.root.join("docs")).arg(rounds.to_string()));
    install::remove_tree(&stage)?;
    measured
}
