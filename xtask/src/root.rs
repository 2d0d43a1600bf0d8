//! Being root, or having sudo: every command works either way.

use std::ffi::OsStr;
use std::process::Command;

use nix::unistd::geteuid;

use crate::error::Error;

/// What of our environment goes through sudo.
pub(crate) const SUDO_KEEPS: &str = "--preserve-env=CARGO_TARGET_DIR,RAUTHBIND_STAGE";

/// Whether we are root already.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Says, before anything is done, what sudo is going to be asked for.
pub fn announce(purpose: &str) {
    if !is_root() {
        println!("You are not root: sudo will be used to {purpose}.");
    }
}

/// A command that runs as root: as it is, or by sudo.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args([SUDO_KEEPS, "--"]).arg(program);
    sudo
}

/// Runs a command to its end.
///
/// # Errors
/// It could not be started, or failed.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command
        .status()
        .map_err(|source| Error::Start { program: command.get_program().to_string_lossy().into_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    Err(Error::Failed { command: words.join(" "), status })
}
