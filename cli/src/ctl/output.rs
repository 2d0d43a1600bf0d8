//! What is printed, with nothing in it that a terminal would act on.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use rauthbind_policy::Request;
use rauthbind_policy::keys::BYUID;
use rauthbind_wire::names::RULES;

use super::error::{Error, IMPERSONATING};
use super::grants::{Whom, named};
use super::list::Finding;
use super::plan::Asked;
use super::rules::Rule;
use super::subject::Names;
use super::write::Change;

/// What is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();

/// What is not.
pub const BAD: Style = AnsiColor::Red.on_default();

/// The first line of a table.
const HEADING: Style = Style::new().bold();

/// Prints for people: in colours where standard output is a terminal and NO_COLOR is not set, plain elsewhere.
///
/// # Errors
/// [`Error::Output`].
pub fn print(text: &dyn fmt::Display) -> Result<(), Error> {
    write!(anstream::stdout(), "{text}").map_err(Error::Output)
}

/// What is to be known beside what was done.
#[derive(Debug)]
pub enum Note {
    /// A port that needs no rule.
    Unprivileged(u16),
    /// Something else than the rule keeps a subject from what was granted: the arguments that tell what.
    StillRefused(String),
    /// A file whose comments cannot be read.
    Unread(String),
    /// A rule that was made has a fault.
    Found(Finding),
    /// Ports 512 to 1023 are granted.
    Impersonating,
    /// A port that a subject still has.
    Remains {
        /// An example.
        request: Request,
        /// Who.
        subject: String,
        /// The file that grants it.
        file: String,
        /// By which word of it.
        through: Through,
    },
}

/// How a subject still has what was taken from it.
#[derive(Debug)]
pub enum Through {
    /// By name, in a file that grants more than was asked for: all that it grants.
    More(String),
    /// As a member of this group, which is granted this.
    Group(String, Asked),
    /// As everybody.
    Everybody,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Unprivileged(port) => {
                write!(
                    out,
                    "port {port} is not privileged on this machine: everybody may bind it, with a rule or without"
                )
            }
            Note::StillRefused(arguments) => {
                write!(out, "the rule is made, but something else keeps it refused; see: rauthbindctl {arguments}")
            }
            Note::Unread(file) => {
                write!(out, "{RULES}/{} cannot be read by this user: its comments are left out", escaped(file))
            }
            Note::Found(Finding { file, reason }) => write!(out, "{RULES}/{}: {reason}", escaped(file)),
            Note::Impersonating => write!(out, "{IMPERSONATING}"),
            Note::Remains { request, subject, file, through } => {
                write!(out, "{subject} may still bind {request}, by {RULES}/{file}, ")?;
                match through {
                    Through::More(all) => write!(
                        out,
                        "which grants more than was asked for and cannot be narrowed; to end that: rauthbindctl revoke \
                         {all} {subject}"
                    ),
                    Through::Group(group, asked) => write!(
                        out,
                        "as one of {group}; to end that: rauthbindctl revoke {asked} {group}, or take {subject} out of the \
                         group"
                    ),
                    Through::Everybody => write!(out, "as everybody may; to end that: chmod o-x {RULES}/{file}"),
                }
            }
        }
    }
}

/// Says something beside what is printed.
pub fn say(what: &dyn fmt::Display) {
    // Nobody is left to be told where this fails.
    let _ = writeln!(io::stderr(), "rauthbindctl: {what}");
}

/// What comes from file names, rules or databases: control characters and the like as `\u{1b}`, so that they stand on
/// their line and do nothing to a terminal. Quotes and backslashes do nothing.
pub fn escaped(text: &str) -> String {
    let is_plain = |c| matches!(c, '\'' | '"' | '\\');
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { c.escape_debug().to_string() }).collect()
}

/// A table: with columns and colours on a terminal, tabs elsewhere.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let is_terminal = io::stdout().is_terminal();
    let width = |at: usize| {
        let cells = rows.iter().chain([&heading]).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        if is_terminal { cells.join("  ").trim_end().to_owned() } else { row.join("\t") }
    };
    let body: String = rows.iter().map(|row| line(row) + "\n").collect();
    format!("{HEADING}{}{HEADING:#}\n{body}", line(&heading))
}

/// How rules differ from what they were, in lines of `FILE: + SUBJECT` and the like.
///
/// # Errors
/// [`Error::Getent`].
pub fn differences(changes: &[Change], names: &mut Names) -> Result<String, Error> {
    let mut text = String::new();
    for Change { file, before, after } in changes {
        let mut parts =
            |rule: &Option<Rule>| rule.as_ref().map_or(Ok(BTreeSet::new()), |rule| parts(file, rule, names));
        let (was, is) = (parts(before)?, parts(after)?);
        let file = escaped(file);
        let mut line = |style: Style, what: &str| text += &format!("{RULES}/{file}: {style}{what}{style:#}\n");
        match (before, after) {
            (None, _) => line(GOOD, "new"),
            (_, None) => line(BAD, "removed"),
            (Some(before), Some(after)) if before.access.is_foreign() && !after.access.is_foreign() => {
                line(GOOD, "now writable by root alone");
            }
            _ => {}
        }
        was.difference(&is).for_each(|part| line(BAD, &format!("- {}", escaped(part))));
        is.difference(&was).for_each(|part| line(GOOD, &format!("+ {}", escaped(part))));
    }
    Ok(text)
}

/// Whom a rule names, or the lines that are in it.
fn parts(file: &str, rule: &Rule, names: &mut Names) -> Result<BTreeSet<String>, Error> {
    let lines = rule.lines().into_iter().map(|line| String::from_utf8_lossy(line).into_owned());
    if file.starts_with(BYUID) {
        return Ok(lines.collect());
    }
    let whom = describe(&Whom::of(&rule.access), names)?;
    Ok(whom.into_iter().chain(lines).collect())
}

/// The names of those to whom something is granted, in words.
///
/// # Errors
/// [`Error::Getent`].
pub fn describe(whom: &Whom, names: &mut Names) -> Result<Vec<String>, Error> {
    let everybody = whom.everybody.then(|| "everybody".to_owned());
    let subjects = named(&whom.subjects, names)?;
    let except = named(&whom.except, names)?.into_iter().map(|name| format!("not {name}"));
    Ok(everybody.into_iter().chain(subjects).chain(except).collect())
}
