//! Where the crates come from, and whether what is built of them is the same everywhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::cargo::Workspace;
use crate::error::Error;
use crate::layout::{DEFAULT_PREFIX, Origin, TABLE};
use crate::root;

/// With the release that deny.toml is written for.
const CARGO_DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// Has cargo-deny look at the crates, as deny.toml says.
///
/// # Errors
/// It cannot be installed, or finds something.
pub fn check_crates(workspace: &Workspace) -> Result<(), Error> {
    let mut deny = workspace.command(workspace.tool(CARGO_DENY)?);
    root::run(deny.args(["--locked", "check", "licenses", "bans", "sources"]))
}

/// Builds what is to be installed once more, in a copy of the checkout and with another home of cargo's, and compares.
///
/// # Errors
/// It cannot be built, or [`Error::NotReproducible`].
pub fn check_bytes(workspace: &Workspace) -> Result<(), Error> {
    let elsewhere = workspace.target.join("elsewhere");
    if elsewhere.exists() {
        fs::remove_dir_all(&elsewhere).map_err(Error::file("remove", &elsewhere))?;
    }
    let at = |name| elsewhere.join(name);
    let copy = Workspace { root: at("checkout"), target: at("target"), home: at("home") };
    for directory in [&copy.root, &copy.home] {
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    }
    let registry = copy.home.join("registry");
    symlink(workspace.home.join("registry"), &registry).map_err(Error::file("create", &registry))?;
    for entry in fs::read_dir(&workspace.root).map_err(Error::file("list", &workspace.root))? {
        let path = entry.map_err(Error::file("list", &workspace.root))?.path();
        if path != workspace.target && !path.ends_with(".git") && !path.ends_with("target") {
            root::run(Command::new("cp").args(["-R", "--"]).arg(path).arg(&copy.root))?;
        }
    }
    copy.build(DEFAULT_PREFIX)?;
    for row in
        TABLE.iter().filter(|row| matches!(row.origin, Origin::Program(_) | Origin::Helper(_) | Origin::Library(_)))
    {
        let bytes = |workspace: &Workspace| {
            let path = workspace.source(row).unwrap_or_default();
            fs::read(&path).map_err(Error::file("read", &path))
        };
        if bytes(workspace)? != bytes(&copy)? {
            return Err(Error::NotReproducible(row.to.into()));
        }
    }
    fs::remove_dir_all(&elsewhere).map_err(Error::file("remove", &elsewhere))
}
