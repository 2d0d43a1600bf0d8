//! `cargo xtask soak`: builds, stages, and lets the tests' own soak run in their sandbox.

use crate::error::Error;
use crate::{demo, packages};

/// Builds, soaks, and removes the stage again.
///
/// # Errors
/// Something could not be built, was lost or has grown.
pub fn run() -> Result<(), Error> {
    demo::run_in_sandbox("soak", packages::FOR_SOAK)
}
