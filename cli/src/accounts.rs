//! The databases of users, groups and services.
//!
//! They are asked by getent(1), not by the C library here: the programs are linked statically, and what a static program
//! loads for nsswitch.conf(5) may be of another C library than its own, which ends in a crash.

use std::io::{self, Read};
use std::process::{Command, Stdio};

use crate::sys;

/// The program of the C library that asks the databases, wherever they are kept.
pub const GETENT: &str = "/usr/bin/getent";

/// What a login shell would find in its environment.
#[derive(Debug)]
pub struct Account {
    /// `USER` and `LOGNAME`
    pub name: String,
    /// `HOME`
    pub home: String,
    /// `SHELL`
    pub shell: String,
}

/// A line of passwd(5) or group(5).
#[derive(Debug)]
pub struct Entry(String);

impl Entry {
    /// A field, counted from 0.
    pub fn field(&self, index: usize) -> Option<&str> {
        self.0.split(':').nth(index)
    }

    /// As passwd(5) has it.
    pub fn account(&self) -> Account {
        // As login(1) has it where a field is empty.
        let or = |index, default: &str| match self.field(index) {
            Some("") | None => default.to_owned(),
            Some(field) => field.to_owned(),
        };
        Account { name: or(0, ""), home: or(5, "/"), shell: or(6, "/bin/sh") }
    }

    /// A field that is a number.
    pub fn id(&self, index: usize) -> Option<u32> {
        self.field(index).and_then(number)
    }
}

/// The entry of a name, or of a number, in "passwd" or "group"; `None` where there is none.
///
/// # Errors
/// getent(1) cannot be run.
pub fn entry(database: &str, key: &str) -> io::Result<Option<Entry>> {
    // getent(1) would take the one for an option, and lists everything for the other.
    if key.starts_with('-') || key.is_empty() {
        return Ok(None);
    }
    let entry = Entry(line(database, key)?);
    // getent(1) takes a number modulo 2^32, so that 4294967296 would be root.
    let asked_for = entry.field(0) == Some(key) || (number(key).is_some() && entry.id(2) == number(key));
    Ok(asked_for.then_some(entry))
}

/// The supplementary groups of a user, by name.
///
/// # Errors
/// getent(1) cannot be run.
pub fn groups(user: &str) -> io::Result<Vec<u32>> {
    let line = line("initgroups", user)?;
    // The name may have blanks in it, and numbers.
    Ok(line.strip_prefix(user).unwrap_or_default().split_ascii_whitespace().filter_map(number).collect())
}

/// The group that a user is alone in, so far as the databases list everybody.
///
/// # Errors
/// getent(1) cannot be run.
pub fn private_group(user: u32) -> io::Result<Option<u32>> {
    let Some(user) = entry("passwd", &user.to_string())? else { return Ok(None) };
    let Some(group) = user.id(3) else { return Ok(None) };
    let Some(members) = entry("group", &group.to_string())? else { return Ok(None) };
    let alone =
        members.field(3).unwrap_or_default().split(',').all(|name| name.is_empty() || Some(name) == user.field(0));
    let everybody = getent(&["passwd"])?;
    let others = everybody.lines().map(|line| Entry(line.to_owned())).filter(|other| other.id(2) != user.id(2));
    Ok((alone && !others.into_iter().any(|other| other.id(3) == Some(group))).then_some(group))
}

/// The port of a service of services(5); `None` where there is none of that name.
///
/// # Errors
/// getent(1) cannot be run.
pub fn service_port(name: &str) -> io::Result<Option<u16>> {
    if name.starts_with('-') || name.is_empty() {
        return Ok(None);
    }
    let line = line("services", name)?;
    Ok(line.split_ascii_whitespace().nth(1).and_then(|port| port.split('/').next()?.parse().ok()))
}

/// The first line that getent(1) prints for this; empty where it finds nothing.
fn line(database: &str, key: &str) -> io::Result<String> {
    Ok(getent(&[database, key])?.lines().next().unwrap_or_default().to_owned())
}

fn getent(arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(GETENT);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    sys::without_pending_children(|| {
        let mut child = command.spawn()?;
        let mut text = String::new();
        child.stdout.take().map_or(Ok(0), |mut output| output.read_to_string(&mut text))?;
        // An error where whoever started us ignores SIGCHLD; the text has told all.
        let _ = child.wait();
        Ok(text)
    })
}

/// A user or group id; -1 is none (setresuid(2) takes it for "leave as it is").
pub fn number(text: &str) -> Option<u32> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|number| *number != u32::MAX)
}
