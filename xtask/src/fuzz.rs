//! `cargo xtask fuzz`: the programs of fuzz/targets, with libFuzzer, in the tests' sandbox.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::cargo::{HOST, Workspace, for_target};
use crate::error::Error;
use crate::{install, packages, root};

/// Has the compiler tell libFuzzer where the code goes and what it compares. No sanitizer: these need a nightly compiler.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds the targets and runs this one; or all, each for a while, until one fails.
///
/// # Errors
/// Something could not be built, there is no such target, or it failed.
pub fn run(target: Option<&str>, options: &[OsString]) -> Result<(), Error> {
    let workspace = Workspace::find()?;
    root::announce("install g++ if it is missing, make target/stage belong to root, and run the targets in namespaces");
    packages::ensure(packages::FOR_FUZZING)?;
    let stage = install::stage(&workspace)?;
    root::run(&mut workspace.cargo(&["build", "-p", "rauthbind-tests", "--bin", "sandbox", "--locked"]))?;
    let package = ["build", "-p", "rauthbind-fuzz", "--features", "libfuzzer", "--profile", "fuzz", "--locked"];
    let mut build = workspace.cargo(&package);
    if let Some(target) = target {
        build.args(["--bin", target]);
    }
    root::run(for_target(&mut build, &FLAGS))?;
    match target {
        Some(target) => feed(&workspace, &stage, target, options),
        None => loop {
            for target in targets(&workspace)? {
                let options = [&["-max_total_time=600".into()], options].concat();
                feed(&workspace, &stage, &target, &options)?;
            }
        },
    }
}

fn targets(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let directory = workspace.root.join("fuzz/corpus");
    let names = fs::read_dir(&directory).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>, _>>()
    });
    names.map_err(Error::file("list", &directory))
}

fn feed(workspace: &Workspace, stage: &Path, target: &str, options: &[OsString]) -> Result<(), Error> {
    println!("\n== {target}");
    let own = workspace.target.join("fuzzing").join(target);
    let corpus = own.join("corpus");
    fs::create_dir_all(&corpus).map_err(Error::file("make", &corpus))?;
    let mut sandbox = root::command(workspace.target.join("debug/sandbox"));
    sandbox.env("RAUTHBIND_STAGE", stage).arg(workspace.target.join(HOST).join("fuzz").join(target));
    sandbox.arg(format!("-artifact_prefix={}/", own.display())).args(options);
    // An option that is none is an input to be tried again, and the only one.
    if options.iter().all(|option| option.to_string_lossy().starts_with('-')) {
        sandbox.arg(corpus).arg(workspace.root.join("fuzz/corpus").join(target));
    }
    root::run(&mut sandbox)
}
