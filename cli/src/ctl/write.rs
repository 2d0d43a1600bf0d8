//! The change itself: whatever happens, each rule is the old one or the new one.
//!
//! Every file is prepared in full, under a name that no rule has, before the first one takes the place of a rule. Who
//! changes rules holds a lock that only root can take, so that what was read is still so when it is written. Files take
//! their places in the order of a lookup, and leave them in the reverse one: so each decision is the old one or the new
//! one, at any moment, and also where one of these steps fails.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use rauthbind_policy::Rules;
use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID};
use rauthbind_policy::rules::LONGEST_FILE;
use rauthbind_wire::names::RULES;

use super::access;
use super::error::Error;
use super::rules::{Rule, RuleSet, rank};
use crate::accounts;

/// Held by whoever changes rules; below [`RULES`], where only root can make it.
const LOCK: &str = ".rauthbindctl.lock";

/// How a file begins that is being prepared. Nothing looks for a rule of such a name.
const PREPARED: &str = ".rauthbindctl-";

/// A rule that is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As in `byport/80`.
    pub file: String,
    /// What it was; `None`: it is new.
    pub before: Option<Rule>,
    /// What it is; `None`: it is gone.
    pub after: Option<Rule>,
}

/// Changes the rules to what `plan` makes of them, and tells how they differ.
///
/// # Errors
/// [`Error`]; nothing has changed where it is the plan's.
pub fn change(plan: impl FnOnce(&RuleSet) -> Result<RuleSet, Error>) -> Result<Vec<Change>, Error> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let root = Path::new(RULES);
    Rules::open(root).and_then(|rules| rules.check()).map_err(Error::Rules)?;
    // What is made has the mode that is given with it, whatever root's own files are to have.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let _lock = lock(&root.join(LOCK))?;
    let before = RuleSet::read(root)?;
    let mut after = plan(&before)?;
    for directory in [BYPORT, BYADDR] {
        without_acls(root, directory, &before, &mut after)?;
    }
    let changes = differences(&before, &after);
    let is_too_long = |rule: &Rule| {
        rule.text.as_ref().is_some_and(|text| u64::try_from(text.len()).is_ok_and(|length| length > LONGEST_FILE))
    };
    if let Some(change) = changes.iter().find(|change| change.after.as_ref().is_some_and(is_too_long)) {
        return Err(Error::TooLong(change.file.clone()));
    }
    carry_out(root, &changes)?;
    Ok(changes)
}

/// How the rules differ, by file.
pub fn differences(before: &RuleSet, after: &RuleSet) -> Vec<Change> {
    let files: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    let change = |file: &String| Change {
        file: file.clone(),
        before: before.0.get(file).cloned(),
        after: after.0.get(file).cloned(),
    };
    files.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

fn lock(path: &Path) -> Result<Flock<File>, Error> {
    let failed = |error| Error::File { verb: "lock", path: path.to_owned(), error };
    let file = OpenOptions::new().write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path);
    Flock::lock(file.map_err(failed)?, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))
}

/// Where the file system keeps no ACLs, tells what is new by owner, group and mode.
fn without_acls(root: &Path, directory: &str, before: &RuleSet, after: &mut RuleSet) -> Result<(), Error> {
    if access::is_acl_kept(&root.join(directory)) {
        return Ok(());
    }
    let below = format!("{directory}/");
    for (file, rule) in after.0.iter_mut().filter(|(file, _)| file.starts_with(&below)) {
        if before.0.get(file).is_some_and(|before| before.access == rule.access) {
            continue;
        }
        let plain = rule.access.without_acl(accounts::private_group).map_err(Error::Getent)?;
        rule.access = plain.ok_or_else(|| Error::NoAcl(file.clone()))?;
    }
    Ok(())
}

fn carry_out(root: &Path, changes: &[Change]) -> Result<(), Error> {
    let mut changes: Vec<&Change> = changes.iter().collect();
    changes.sort_by_key(|change| rank(&change.file));
    for directory in [BYPORT, BYADDR, BYUID].map(|name| root.join(name)) {
        remove_prepared(&directory).map_err(|error| Error::File { verb: "clean", path: directory.clone(), error })?;
    }
    let mut prepared = Vec::new();
    let result = changes.iter().enumerate().try_for_each(|(number, change)| {
        let Some(rule) = &change.after else { return Ok(()) };
        let to = root.join(&change.file);
        let from = to.with_file_name(format!("{PREPARED}{number}"));
        let failed = |error| Error::File { verb: "write", path: to.clone(), error };
        prepared.push((from.clone(), to.clone()));
        prepare(&from, rule).map_err(failed)
    });
    if let Err(error) = result {
        // Whatever is left is removed before the next change.
        prepared.iter().for_each(|(from, _)| drop(fs::remove_file(from)));
        return Err(error);
    }
    for (from, to) in &prepared {
        fs::rename(from, to).map_err(|error| Error::File { verb: "write", path: to.clone(), error })?;
    }
    for change in changes.iter().rev().filter(|change| change.after.is_none()) {
        let path = root.join(&change.file);
        fs::remove_file(&path).map_err(|error| Error::File { verb: "remove", path, error })?;
    }
    let directories: BTreeSet<PathBuf> =
        changes.iter().filter_map(|change| Some(root.join(&change.file).parent()?.to_owned())).collect();
    for path in directories {
        let synced = File::open(&path).and_then(|directory| directory.sync_all());
        synced.map_err(|error| Error::File { verb: "write", path, error })?;
    }
    Ok(())
}

/// What somebody left who was killed.
fn remove_prepared(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREPARED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn prepare(path: &Path, rule: &Rule) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(rule.text.as_deref().unwrap_or_default())?;
    rule.access.give_to(&file)?;
    file.sync_all()
}
