//! The workspace, and cargo's part of each command.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::install::remove_if_there;
use crate::layout::{DEFAULT_PREFIX, Origin, Row, TABLE};
use crate::root;

/// What this machine is called among targets.
pub(crate) const HOST: &str = env!("HOST");

/// Where the checkout is, and where cargo puts what it builds and what it fetches.
#[derive(Debug)]
pub struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// Cargo's home.
    pub home: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built in.
    ///
    /// # Errors
    /// The target directory was given relative to a working directory that is gone.
    pub fn find() -> Result<Self, Error> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let target = std::path::absolute(&target).map_err(Error::file("find", &target))?;
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"));
        Ok(Self { root, target, home })
    }

    /// Builds every program and library of the table for this prefix.
    ///
    /// # Errors
    /// Cargo failed.
    pub fn build(&self, prefix: &str) -> Result<(), Error> {
        remove_if_there(&self.built_for())?;
        // What a panic says of where it was is to be the same whoever builds.
        let anywhere = format!("--remap-path-prefix={}=cargo", self.home.display());
        let static_pie = "-Ctarget-feature=+crt-static";
        root::run(for_target(&mut self.release(prefix, Origin::program_package), &[static_pie, &anywhere]))?;
        root::run(with_flags(&mut self.release(prefix, Origin::library_package), &[&anywhere]))?;
        let record = self.built_for();
        fs::write(&record, prefix).map_err(Error::file("write", &record))
    }

    fn release(&self, prefix: &str, package_of: fn(Origin) -> Option<&'static str>) -> Command {
        let mut cargo = self.cargo(&["build", "--release", "--locked"]);
        let packages: BTreeSet<_> = TABLE.iter().filter_map(|row| package_of(row.origin)).collect();
        cargo.args(packages.into_iter().flat_map(|package| ["-p", package]));
        if prefix != DEFAULT_PREFIX {
            cargo.env("RAUTHBIND_PREFIX", prefix);
        }
        cargo
    }

    /// Whether [`Workspace::build`] has been here with this prefix.
    ///
    /// # Errors
    /// [`Error::NotBuiltFor`] where it has not.
    pub fn check_built_for(&self, prefix: &str) -> Result<(), Error> {
        match fs::read_to_string(self.built_for()) {
            Ok(built) if built == prefix => Ok(()),
            _ => Err(Error::NotBuiltFor(prefix.into())),
        }
    }

    fn built_for(&self) -> PathBuf {
        self.target.join("rauthbind-prefix")
    }

    /// Where the file is that a row is made from; none for a directory.
    #[must_use]
    pub fn source(&self, row: &Row) -> Option<PathBuf> {
        match row.origin {
            Origin::Program(_) | Origin::Helper(_) => {
                Some(self.target.join(HOST).join("release").join(row.file_name()))
            }
            Origin::Library(_) => Some(self.target.join("release").join(row.file_name())),
            Origin::Checkout(path) | Origin::ForPrefix(path) => Some(self.root.join(path)),
            Origin::OwnDirectory | Origin::RulesDirectory => None,
        }
    }

    /// A cargo command of this workspace.
    #[must_use]
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut cargo = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(args);
        cargo
    }

    /// A program of crates.io, in `target/tools`; built if it is not there.
    pub(crate) fn tool(&self, (name, version): (&str, &str)) -> Result<PathBuf, Error> {
        let tools = self.target.join("tools");
        let own = tools.join(format!("{name}-{version}"));
        let program = own.join("bin").join(name);
        if !program.exists() {
            println!("building {name} {version} in {}, once; this takes a few minutes", tools.display());
            let mut cargo =
                self.cargo(&["install", "--quiet", "--locked", "--debug", "--version", version, name, "--root"]);
            // It runs for a second: not worth the time of an optimised build, nor the space of debugging information.
            cargo.arg(&own).arg("--target-dir").arg(tools.join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
            root::run(&mut cargo)?;
        }
        Ok(program)
    }

    /// A command that is, or calls, cargo.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // A prefix in the environment is not what was asked for; and leaving the default unset, as everyone does who
        // types `cargo build`, is what keeps cargo from building everything twice.
        command.current_dir(&self.root).env_remove("RAUTHBIND_PREFIX");
        command.env("CARGO_TARGET_DIR", &self.target).env("CARGO_HOME", &self.home);
        command
    }
}

/// Gives a build these flags. The explicit target keeps them away from build scripts, and what is built with them in a
/// directory of its own.
pub(crate) fn for_target<'a>(build: &'a mut Command, flags: &[&str]) -> &'a mut Command {
    with_flags(build, flags).args(["--target", HOST])
}

/// Gives a build these flags, behind those of the environment.
fn with_flags<'a>(build: &'a mut Command, flags: &[&str]) -> &'a mut Command {
    let given = ["RUSTFLAGS", &target_variable("RUSTFLAGS")].map(|name| env::var(name).unwrap_or_default()).join(" ");
    let all: Vec<_> = given.split_whitespace().chain(flags.iter().copied()).collect();
    // Where this is set, cargo reads no other variable.
    build.env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"))
}

/// The name of a variable in which cargo takes a setting for this machine's target.
pub(crate) fn target_variable(setting: &str) -> String {
    format!("CARGO_TARGET_{}_{setting}", HOST.to_uppercase().replace(['-', '.'], "_"))
}
