//! `-u` and `-g`: becoming the user before anything else is started.
//!
//! Users and groups are looked up by getent(1), not by the C library here: this program is linked statically, and what a
//! static program loads for nsswitch.conf(5) may be of another C library than its own, which ends in a crash.

use std::io::Read;
use std::process::{Command, Stdio};

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::error::Error;
use crate::sys;

/// The program of the C library that asks the user database, wherever that is kept.
pub(crate) const GETENT: &str = "/usr/bin/getent";

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

/// Becomes this user for good: supplementary groups, group ids, user ids, in that order. Of the capabilities, those stay
/// that handing one over to the helper takes: whoever calls this gives them up afterwards. Root keeps its own.
///
/// Gives what the user database says of the user; `None` for a number that it does not know.
///
/// # Errors
/// [`Error`] where the user or group is unknown, or where we are not root. The command must not be run then.
pub fn become_user(user: &str, group: Option<&str>) -> Result<Option<Account>, Error> {
    let group = group.map(group_id).transpose()?;
    let known = entry("passwd", user)?;
    let (uid, own_group, mut groups) = match &known {
        Some(entry) => {
            let own = entry.id(3).map(Gid::from_raw);
            (entry.id(2), own, supplementary_groups(entry.field(0).unwrap_or(user))?)
        }
        None => (number(user), None, Vec::new()),
    };
    let uid = uid.map(Uid::from_raw).ok_or_else(|| Error::Unknown { kind: "user", name: user.to_owned() })?;
    let gid = group.or(own_group).ok_or_else(|| Error::NoGroup(user.to_owned()))?;
    for group in [Some(gid), own_group].into_iter().flatten() {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let step = |name, result: nix::Result<()>| result.map_err(|errno| Error::Identity(name, errno));
    step("setgroups", setgroups(&groups))?;
    step("setresgid", setresgid(gid, gid, gid))?;
    // Where it is locked, there is no capability to hand over, and the helper's file has its own.
    let _ = prctl::set_keepcaps(true);
    step("setresuid", setresuid(uid, uid, uid))?;
    if !uid.is_root() {
        // Those that are inheritable outlive the change of user.
        step("capset", sys::keep_what_handing_over_takes())?;
    }
    Ok(known.map(|entry| entry.account()))
}

fn group_id(group: &str) -> Result<Gid, Error> {
    let known = entry("group", group)?.and_then(|entry| entry.id(2));
    let unknown = || Error::Unknown { kind: "group", name: group.to_owned() };
    known.or_else(|| number(group)).map(Gid::from_raw).ok_or_else(unknown)
}

fn supplementary_groups(user: &str) -> Result<Vec<Gid>, Error> {
    let line = getent("initgroups", user)?;
    Ok(line.split_ascii_whitespace().skip(1).filter_map(number).map(Gid::from_raw).collect())
}

/// A line of passwd(5) or group(5).
struct Entry(String);

impl Entry {
    fn field(&self, index: usize) -> Option<&str> {
        self.0.split(':').nth(index)
    }

    fn account(&self) -> Account {
        // As login(1) has it where a field is empty.
        let or = |index, default: &str| match self.field(index) {
            Some("") | None => default.to_owned(),
            Some(field) => field.to_owned(),
        };
        Account { name: or(0, ""), home: or(5, "/"), shell: or(6, "/bin/sh") }
    }

    fn id(&self, index: usize) -> Option<u32> {
        self.field(index).and_then(number)
    }
}

/// The entry of a name, or of a number.
fn entry(database: &str, key: &str) -> Result<Option<Entry>, Error> {
    // getent(1) would take the one for an option, and lists everything for the other.
    if key.starts_with('-') || key.is_empty() {
        return Ok(None);
    }
    let entry = Entry(getent(database, key)?);
    // getent(1) takes a number modulo 2^32, so that 4294967296 would be root.
    let asked_for = entry.field(0) == Some(key) || (number(key).is_some() && entry.id(2) == number(key));
    Ok(asked_for.then_some(entry))
}

/// The first line that getent(1) prints; empty where it finds nothing.
fn getent(database: &str, key: &str) -> Result<String, Error> {
    let failed = Error::Getent;
    let mut command = Command::new(GETENT);
    command.args([database, key]).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    let text = sys::without_pending_children(|| {
        let mut child = command.spawn()?;
        let mut text = String::new();
        child.stdout.take().map_or(Ok(0), |mut output| output.read_to_string(&mut text))?;
        // An error where whoever started us ignores SIGCHLD; the text has told all.
        let _ = child.wait();
        Ok(text)
    })
    .map_err(failed)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A user or group id; -1 is none (setresuid(2) takes it for "leave as it is").
fn number(text: &str) -> Option<u32> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|number| *number != u32::MAX)
}
