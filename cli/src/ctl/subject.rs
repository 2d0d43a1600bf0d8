//! Users and groups, as they are typed and printed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::Error;
use crate::accounts::{self, number};

/// Whom a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user.
    User(u32),
    /// The members of a group.
    Group(u32),
}

impl Subject {
    /// The number, where it is a user.
    pub fn user(&self) -> Option<u32> {
        if let Subject::User(id) = self { Some(*id) } else { None }
    }

    /// The number, where it is a group.
    pub fn group(&self) -> Option<u32> {
        if let Subject::Group(id) = self { Some(*id) } else { None }
    }

    /// `USER` or `@GROUP`, by name or number. Numbers need not be in a database; names must.
    ///
    /// # Errors
    /// [`Error::Unknown`], or [`Error::Getent`].
    pub fn parse(text: &str) -> Result<Subject, Error> {
        match text.strip_prefix('@') {
            Some(group) => id("group", group).map(Subject::Group),
            None => id("passwd", text).map(Subject::User),
        }
    }

    /// `USER` alone: the number.
    ///
    /// # Errors
    /// As for [`Subject::parse`]; and [`Error::NotOneUser`].
    pub fn parse_user(text: &str) -> Result<u32, Error> {
        Subject::parse(text)?.user().ok_or_else(|| Error::NotOneUser(text.to_owned()))
    }
}

fn id(database: &'static str, name: &str) -> Result<u32, Error> {
    known(database, name)?.or_else(|| number(name)).ok_or_else(|| Error::Unknown { database, name: name.to_owned() })
}

fn known(database: &str, name: &str) -> Result<Option<u32>, Error> {
    Ok(accounts::entry(database, name).map_err(Error::Getent)?.and_then(|entry| entry.id(2)))
}

/// The names of users and groups, each asked for once.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<Subject, Option<String>>);

impl Names {
    /// `USER` or `@GROUP`, by which [`Subject::parse`] finds the same again; the number where there is no such name.
    ///
    /// # Errors
    /// [`Error::Getent`].
    pub fn of(&mut self, subject: Subject) -> Result<String, Error> {
        let (database, mark, id) = match subject {
            Subject::User(id) => ("passwd", "", id),
            Subject::Group(id) => ("group", "@", id),
        };
        let known = match self.0.entry(subject) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let entry = accounts::entry(database, &id.to_string()).map_err(Error::Getent)?;
                let name = entry.as_ref().and_then(|entry| entry.field(0)).filter(|name| is_plain(name));
                // Where two have one name, it is the other's, perhaps.
                let is_its_own = name.map_or(Ok(false), |name| Ok(known(database, name)? == Some(id)))?;
                unknown.insert(name.filter(|_| is_its_own).map(str::to_owned))
            }
        };
        let name = known.clone().unwrap_or_else(|| id.to_string());
        Ok(format!("{mark}{name}"))
    }
}

/// Whether a name is a word that nothing else can be meant by, be it on a line of words, on a terminal or in a shell.
fn is_plain(name: &str) -> bool {
    let is_usual = |c: char| c.is_alphanumeric() || "._-+@".contains(c);
    !name.is_empty() && !name.starts_with(['-', '@']) && name.chars().all(is_usual) && number(name).is_none()
}
