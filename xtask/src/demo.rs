//! `cargo xtask demo`: builds, stages, and lets the tests' own demo program show it all in their sandbox.

use crate::cargo::Workspace;
use crate::error::Error;
use crate::packages::Package;
use crate::{install, packages, root};

/// Builds, shows, and removes the stage again.
///
/// # Errors
/// Something could not be built, or did not happen as told.
pub fn run() -> Result<(), Error> {
    run_in_sandbox("demo", packages::FOR_DEMO)
}

/// Runs this program of the tests, which needs these packages, in their sandbox, against a stage that is removed again.
///
/// # Errors
/// Something could not be built, or the program failed.
pub(crate) fn run_in_sandbox(name: &str, needed: &[Package]) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    root::announce("install missing system packages, lay out the installed tree in target/stage, and make namespaces");
    packages::ensure(needed)?;
    let stage = install::stage(&workspace)?;
    root::run(&mut workspace.cargo(&["build", "-p", "rauthbind-tests", "--bins", "--locked"]))?;
    let program = |name: &str| workspace.target.join("debug").join(name);
    let mut sandbox = root::command(program("sandbox"));
    let done = root::run(sandbox.env("RAUTHBIND_STAGE", &stage).arg(program(name)));
    install::remove_tree(&stage)?;
    done
}
