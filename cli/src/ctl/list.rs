//! `list`

use super::Outcome;
use super::arguments::List;
use super::error::Error;

/// `rauthbindctl list`
///
/// # Errors
/// [`Error`]
pub fn list(_asked: &List) -> Result<Outcome, Error> {
    Err(Error::Missing("list"))
}
