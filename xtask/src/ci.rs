//! `cargo xtask test`: everything that CI runs, stopping at the first step that fails.

use std::ffi::OsString;

use crate::cargo::{Workspace, target_variable};
use crate::error::Error;
use crate::package::{self, Format};
use crate::{install, kernels, packages, root, supply};

/// Runs every step.
///
/// # Errors
/// The first step that failed.
pub fn run(filters: &[OsString]) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    root::announce("install missing system packages, make target/stage belong to root, and run tests in namespaces");

    heading(1, &format!("system packages: {}", packages::names(packages::FOR_TESTS)));
    packages::ensure(packages::FOR_TESTS)?;
    println!("kernels to boot, not to install: {}", kernels::KERNELS.join(" "));
    kernels::fetch(&workspace)?;

    heading(2, "cargo fmt");
    root::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;

    heading(3, "cargo clippy");
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    root::run(&mut workspace.cargo(&clippy))?;

    heading(4, "cargo doc");
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    root::run(workspace.cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))?;

    heading(5, "cargo-deny: licences and sources of all crates");
    supply::check_crates(&workspace)?;

    heading(6, "unit tests");
    root::run(&mut workspace.cargo(&["test", "--workspace", "--exclude", "rauthbind-tests", "--locked"]))?;

    heading(7, "release build, installed into target/stage");
    let stage = install::stage(&workspace)?;

    heading(8, "the same build from another directory");
    supply::check_bytes(&workspace)?;

    heading(9, "packages in target/packages");
    for format in [Format::Deb, Format::Rpm] {
        // Two, so that there is one to upgrade to.
        ["1", "2"].iter().try_for_each(|revision| package::build(format, revision))?;
    }

    heading(10, "end-to-end tests");
    let mut tests = workspace.cargo(&["test", "-p", "rauthbind-tests", "--locked"]);
    if !root::is_root() {
        tests.env(target_variable("RUNNER"), format!("sudo {} --", root::SUDO_KEEPS));
    }
    if !filters.is_empty() {
        tests.arg("--").args(filters);
    }
    root::run(tests.env("RAUTHBIND_STAGE", stage))
}

fn heading(step: u8, what: &str) {
    println!("\n== {step}/10 {what}");
}
