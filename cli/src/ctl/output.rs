//! What is printed, with nothing in it that a terminal would act on.

use std::fmt;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

use super::error::Error;

/// What is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// What is not.
pub const BAD: Style = AnsiColor::Red.on_default();

/// Prints for people: in colours where standard output is a terminal and NO_COLOR is not set, plain elsewhere.
///
/// # Errors
/// [`Error::Output`].
pub fn print(text: &dyn fmt::Display) -> Result<(), Error> {
    write!(anstream::stdout(), "{text}").map_err(Error::Output)
}

/// What comes from file names, rules or databases: control characters and the like as `\u{1b}`, so that they stand on
/// their line and do nothing to a terminal. Quotes do nothing.
pub fn escaped(text: &str) -> String {
    let is_quote = |c| matches!(c, '\'' | '"');
    text.chars().map(|c| if is_quote(c) { c.to_string() } else { c.escape_debug().to_string() }).collect()
}
