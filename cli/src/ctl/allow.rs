//! `allow` and `revoke`

use std::fs::File;
use std::path::Path;
use std::process;

use rauthbind_policy::first_unprivileged_port;
use rauthbind_wire::names::UNPRIVILEGED_PORT_START;

use super::Outcome;
use super::access::Identity;
use super::arguments::{Allow, Grant, Revoke};
use super::error::Error;
use super::grants::Whom;
use super::output::{self, Note, Through};
use super::plan::{self, Asked};
use super::rules::{Key, RuleSet};
use super::subject::{Names, Subject};
use super::write::{self, Change};
use crate::accounts;

/// `rauthbindctl allow`
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn allow(asked: &Allow) -> Result<Outcome, Error> {
    let (all, subjects) = read(&asked.grant)?;
    if !asked.yes && all.iter().any(Asked::is_impersonating) {
        return Err(Error::Impersonating);
    }
    let changes = write::change(|rules| {
        each(&all, &subjects).try_fold(rules.clone(), |rules, (asked, subject)| plan::allow(&rules, asked, subject))
    })?;
    tell(&changes, "all of that is granted already")?;
    let limit = File::open(UNPRIVILEGED_PORT_START).ok().and_then(|file| first_unprivileged_port(&file));
    for asked in all.iter().filter(|asked| limit.is_some_and(|limit| u32::from(*asked.ports.start()) >= limit)) {
        output::say(&Note::Unprivileged(*asked.ports.start()));
    }
    let mut outcome = Outcome::Good;
    for (asked, subject) in each(&all, &subjects) {
        let Some(arguments) = subject.user().map(|user| explanation(asked, user)) else { continue };
        let exe = Path::new("/proc/self/exe");
        let asked = process::Command::new(exe).args(&arguments).arg("--quiet").status();
        let failed = |error| Error::File { verb: "run", path: exe.to_owned(), error };
        if asked.map_err(failed)?.code() == Some(1) {
            output::say(&Note::StillRefused(arguments.join(" ")));
            outcome = Outcome::Bad;
        }
    }
    Ok(outcome)
}

/// The arguments that ask, as this user, whether the first of it is granted now: a directory that the user cannot search
/// is no fault of a rule.
fn explanation(asked: &Asked, user: u32) -> Vec<String> {
    let protocol = asked.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
    let mut arguments = vec!["explain".to_owned(), format!("{}{protocol}", asked.ports.start())];
    arguments.extend(["--user".to_owned(), user.to_string()]);
    arguments.extend(asked.addresses.map(|addresses| format!("--addr={}", addresses.span().first)));
    arguments
}

/// `rauthbindctl revoke`
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn revoke(asked: &Revoke) -> Result<Outcome, Error> {
    let (all, subjects) = read(&asked.grant)?;
    // A group that a user is alone in is that user under another name.
    let with_own_group = |subject: &Subject| {
        let group = subject.user().map(accounts::private_group).transpose().map_err(Error::Getent)?.flatten();
        Ok([*subject].into_iter().chain(group.map(Subject::Group)).collect())
    };
    let owned: Vec<Vec<Subject>> = subjects.iter().map(with_own_group).collect::<Result<_, _>>()?;
    let mut left = RuleSet::default();
    let changes = write::change(|rules| {
        let each = all.iter().flat_map(|asked| owned.iter().map(move |subject| (asked, subject)));
        left =
            each.into_iter().try_fold(rules.clone(), |rules, (asked, subject)| plan::revoke(&rules, asked, subject))?;
        Ok(left.clone())
    })?;
    tell(&changes, "nothing of that is granted by name")?;
    let mut outcome = Outcome::Good;
    let mut names = Names::default();
    for (asked, subject) in each(&all, &subjects) {
        let who = Identity::of(subject).map_err(Error::Getent)?;
        let Some((request, file)) = plan::remaining(&left, asked, &who) else { continue };
        outcome = Outcome::Bad;
        let whom = left.0.get(&file).map(|rule| Whom::of(&rule.access)).unwrap_or_default();
        let through = match Key::of(&file) {
            None => Through::More(asked.of_all_protocols().to_string()),
            Some(key) if whom.subjects.contains(&subject) => Through::More(Asked::from(key).to_string()),
            Some(_) => match whom.group_of(&who) {
                Some(group) => Through::Group(names.of(group)?, asked.clone()),
                None => Through::Everybody,
            },
        };
        output::say(&Note::Remains { request, subject: names.of(subject)?, file, through });
    }
    Ok(outcome)
}

fn read(grant: &Grant) -> Result<(Vec<Asked>, Vec<Subject>), Error> {
    let subjects = grant.subjects.iter().map(|text| Subject::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if subjects.contains(&Subject::User(0)) {
        return Err(Error::Root);
    }
    Ok((Asked::all(&grant.ports, grant.addr), subjects))
}

fn each<'a>(all: &'a [Asked], subjects: &'a [Subject]) -> impl Iterator<Item = (&'a Asked, Subject)> {
    all.iter().flat_map(|asked| subjects.iter().map(move |subject| (asked, *subject)))
}

/// Says what has changed.
fn tell(changes: &[Change], nothing: &str) -> Result<(), Error> {
    if changes.is_empty() {
        return output::print(&format_args!("{nothing}\n"));
    }
    output::print(&output::differences(changes, &mut Names::default())?)
}
