//! `allow`

use super::Outcome;
use super::arguments::Allow;
use super::error::Error;

/// `rauthbindctl allow`
///
/// # Errors
/// [`Error`]
pub fn allow(_asked: &Allow) -> Result<Outcome, Error> {
    Err(Error::Missing("allow"))
}

/// `rauthbindctl revoke`
///
/// # Errors
/// [`Error`]
pub fn revoke(_asked: &super::arguments::Revoke) -> Result<Outcome, Error> {
    Err(Error::Missing("revoke"))
}
