//! `-u` and `-g`: becoming the user before anything else is started.

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::accounts::{self, Account, number};
use crate::error::Error;
use crate::sys;

/// Becomes this user for good: supplementary groups, group ids, user ids, in that order. Of the capabilities, those stay
/// that handing one over to the helper takes: whoever calls this gives them up afterwards. Root keeps its own.
///
/// Gives what the user database says of the user; `None` for a number that it does not know.
///
/// # Errors
/// [`Error`] where the user or group is unknown, or where we are not root. The command must not be run then.
pub fn become_user(user: &str, group: Option<&str>) -> Result<Option<Account>, Error> {
    let group = group.map(group_id).transpose()?;
    let known = accounts::entry("passwd", user).map_err(Error::Getent)?;
    let (uid, own_group, mut groups) = match &known {
        Some(entry) => {
            let own = entry.id(3).map(Gid::from_raw);
            (
                entry.id(2),
                own,
                accounts::groups(entry.field(0).unwrap_or(user))
                    .map_err(Error::Getent)?
                    .into_iter()
                    .map(Gid::from_raw)
                    .collect(),
            )
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
    let known = accounts::entry("group", group).map_err(Error::Getent)?.and_then(|entry| entry.id(2));
    let unknown = || Error::Unknown { kind: "group", name: group.to_owned() };
    known.or_else(|| number(group)).map(Gid::from_raw).ok_or_else(unknown)
}
