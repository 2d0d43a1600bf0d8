//! `-u` and `-g`: becoming the user before anything else is started.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, initgroups, setgroups, setresgid, setresuid};

use crate::error::Error;

/// Becomes this user for good: supplementary groups, group ids, user ids, in that order.
///
/// # Errors
/// [`Error`] where the user or group is unknown, or where we are not root. The command must not be run then.
pub fn become_user(user: &str, group: Option<&str>) -> Result<(), Error> {
    let known = lookup(user, "user", User::from_name, |number| User::from_uid(Uid::from_raw(number)))?;
    let given = group.map(|group| {
        let found = lookup(group, "group", Group::from_name, |number| Group::from_gid(Gid::from_raw(number)))?;
        found.map(|group| group.gid).or_else(|| number(group).map(Gid::from_raw)).ok_or_else(|| unknown("group", group))
    });
    let given = given.transpose()?;
    let step = |name, result: nix::Result<()>| result.map_err(|errno| Error::Identity(name, errno));
    let (uid, gid) = match known {
        Some(known) => {
            let gid = given.unwrap_or(known.gid);
            let name = CString::new(known.name).map_err(|_| unknown("user", user))?;
            step("initgroups", initgroups(&name, gid))?;
            (known.uid, gid)
        }
        None => {
            let uid = number(user).map(Uid::from_raw).ok_or_else(|| unknown("user", user))?;
            let gid = given.ok_or_else(|| Error::NoGroup(user.to_owned()))?;
            step("setgroups", setgroups(&[gid]))?;
            (uid, gid)
        }
    };
    step("setresgid", setresgid(gid, gid, gid))?;
    step("setresuid", setresuid(uid, uid, uid))
}

/// Looks up a name, and what is no name but a number by that.
fn lookup<T>(
    text: &str,
    kind: &'static str,
    by_name: impl FnOnce(&str) -> nix::Result<Option<T>>,
    by_number: impl FnOnce(u32) -> nix::Result<Option<T>>,
) -> Result<Option<T>, Error> {
    let by_name = by_name(text).map_err(|_| unknown(kind, text))?;
    match (by_name, number(text)) {
        (None, Some(number)) => by_number(number).map_err(|_| unknown(kind, text)),
        (found, _) => Ok(found),
    }
}

/// A user or group id; -1 is none (setresuid(2) takes it for "leave as it is").
fn number(text: &str) -> Option<u32> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|number| *number != u32::MAX)
}

fn unknown(kind: &'static str, name: &str) -> Error {
    Error::Unknown { kind, name: name.to_owned() }
}
