//! `cargo xtask demo`: builds, stages, and lets the tests' own demo program show it all in their sandbox.

use crate::cargo::Workspace;
use crate::error::Error;
use crate::{install, packages, root};

/// Builds, shows, and removes the stage again.
///
/// # Errors
/// Something could not be built, or did not happen as told.
pub fn run() -> Result<(), Error> {
    let workspace = Workspace::find()?;
    root::announce("lay out the installed tree in target/stage, and to make namespaces in which to show it");
    packages::ensure(packages::FOR_DEMO)?;
    let stage = install::stage(&workspace)?;
    root::run(&mut workspace.cargo(&["build", "-p", "rauthbind-tests", "--bins", "--locked"]))?;
    let program = |name: &str| workspace.target.join("debug").join(name);
    let mut sandbox = root::command(program("sandbox"));
    let shown = root::run(sandbox.env("RAUTHBIND_STAGE", &stage).arg(program("demo")));
    install::remove_tree(&stage)?;
    shown
}
