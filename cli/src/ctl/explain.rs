//! `explain`

use super::Outcome;
use super::arguments::Explain;
use super::error::Error;

/// `rauthbindctl explain`
///
/// # Errors
/// [`Error`]
pub fn explain(_asked: &Explain) -> Result<Outcome, Error> {
    Err(Error::Missing("explain"))
}
