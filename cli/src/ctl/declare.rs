//! `export` and `apply`

use super::Outcome;
use super::arguments::Apply;
use super::error::Error;

/// `rauthbindctl export`
///
/// # Errors
/// [`Error`]
pub fn export() -> Result<Outcome, Error> {
    Err(Error::Missing("export"))
}

/// `rauthbindctl apply`
///
/// # Errors
/// [`Error`]
pub fn apply(_asked: &Apply) -> Result<Outcome, Error> {
    Err(Error::Missing("apply"))
}
