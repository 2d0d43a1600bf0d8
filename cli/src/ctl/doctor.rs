//! `doctor`

use super::Outcome;
use super::arguments::Doctor;
use super::error::Error;

/// `rauthbindctl doctor`
///
/// # Errors
/// [`Error`]
pub fn doctor(_asked: &Doctor) -> Result<Outcome, Error> {
    Err(Error::Missing("doctor"))
}
