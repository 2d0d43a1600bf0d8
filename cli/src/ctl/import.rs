//! `import`

use super::Outcome;
use super::arguments::Import;
use super::error::Error;

/// `rauthbindctl import`
///
/// # Errors
/// [`Error`]
pub fn import(_asked: &Import) -> Result<Outcome, Error> {
    Err(Error::Missing("import"))
}
