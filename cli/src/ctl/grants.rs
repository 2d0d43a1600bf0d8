//! The rules as grants: who may bind what, file by file and line by line.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rauthbind_policy::Protocol;

use super::access::{Access, EXECUTE, Identity};
use super::error::Error;
use super::lines::Line;
use super::ports::Addresses;
use super::rules::{RuleSet, user_of};
use super::subject::{Names, Subject};

/// To whom something is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// Whoever is not excepted.
    pub everybody: bool,
    /// By name.
    pub subjects: BTreeSet<Subject>,
    /// Users who may not, whatever their groups; and groups whose members may not, though everybody may.
    pub except: BTreeSet<Subject>,
}

impl Whom {
    /// Those who may execute a file.
    pub fn of(access: &Access) -> Whom {
        let everybody = access.others & EXECUTE != 0;
        let may = |subject: &Subject| access.of_subject(*subject).is_some_and(|bits| bits & EXECUTE != 0);
        let (mut subjects, mut except): (BTreeSet<Subject>, BTreeSet<Subject>) =
            access.subjects().into_iter().partition(may);
        // Who is in a group that may not can be in another that may: only of everybody it takes something.
        except.retain(|subject| everybody || subject.user().is_some());
        if everybody && !except.iter().any(|subject| subject.group().is_some()) {
            // The group of a file that everybody may execute is there because every file has one.
            subjects.retain(|subject| ![0, access.group].map(Subject::Group).contains(subject));
        }
        Whom { everybody, subjects, except }
    }

    /// A group by which this user may.
    pub fn group_of(&self, who: &Identity) -> Option<Subject> {
        let groups = who.groups.iter().map(|group| Subject::Group(*group));
        groups.into_iter().find(|group| self.subjects.contains(group))
    }

    /// The same, in a file of root's. Its group is root's, but where that would give its members what is not everybody's.
    pub fn access(&self) -> Access {
        let mut access = Access::roots();
        if self.everybody {
            let kept_out = self.except.iter().find_map(Subject::group);
            access.others = EXECUTE;
            access.groups = if kept_out.is_some() { 0 } else { EXECUTE };
            access.group = kept_out.unwrap_or(0);
        }
        let owning = Subject::Group(access.group);
        access.named.extend(self.subjects.iter().map(|subject| (*subject, EXECUTE)));
        access.named.extend(self.except.iter().filter(|subject| **subject != owning).map(|subject| (*subject, 0)));
        access
    }
}

/// What one file, or one line of a `byuid` file, grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Never empty.
    pub ports: RangeInclusive<u16>,
    /// `None`: all.
    pub protocol: Option<Protocol>,
    /// `None`: all.
    pub addresses: Option<Addresses>,
    /// To whom.
    pub whom: Whom,
    /// The file, such as `byport/80`.
    pub file: String,
    /// In a `byuid` file, the line, counted from 1.
    pub line: Option<usize>,
}

/// Every grant, by port. A file that refuses everybody is one to nobody: it keeps later ones from being reached.
pub fn grants(rules: &RuleSet) -> Vec<Grant> {
    let by_key = rules.keys().map(|(key, file, rule)| Grant {
        ports: key.port..=key.port,
        protocol: key.protocol,
        addresses: key.address.map(Addresses::One),
        whom: if rule.is_regular() { Whom::of(&rule.access) } else { Whom::default() },
        file: file.clone(),
        line: None,
    });
    let by_line = rules.lines().filter_map(|(file, at, Line { addresses, ports })| {
        let (user, _) = user_of(file)?;
        let whom = Whom { subjects: BTreeSet::from([Subject::User(user)]), ..Whom::default() };
        let addresses = Some(Addresses::Many(addresses));
        Some(Grant { ports, protocol: None, addresses, whom, file: file.clone(), line: Some(at + 1) })
    });
    let mut all: Vec<Grant> = by_key.chain(by_line).collect();
    all.sort_by_key(|grant| (*grant.ports.start(), *grant.ports.end(), grant.line, grant.file.clone()));
    all
}

/// Their names.
///
/// # Errors
/// [`Error::Getent`].
pub fn named(subjects: &BTreeSet<Subject>, names: &mut Names) -> Result<Vec<String>, Error> {
    subjects.iter().map(|subject| names.of(*subject)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_execute_a_file_may_execute_the_one_made_of_that() {
        let all = [1, 5].map(Subject::User).into_iter().chain([0, 7].map(Subject::Group));
        let identities: Vec<Identity> = [None, Some(1), Some(5)]
            .into_iter()
            .flat_map(|user| {
                [&[][..], &[0], &[7], &[0, 7]].map(|groups| Identity { user, groups: groups.iter().copied().collect() })
            })
            .collect();
        let bits = [0, EXECUTE];
        for (owner, group) in [(0, 0), (0, 7), (5, 0), (5, 7)] {
            for (owners, groups, others) in (0..8).map(|n: usize| (bits[n & 1], bits[n >> 1 & 1], bits[n >> 2])) {
                for entries in 0..81_usize {
                    let entry = |(at, subject): (usize, Subject)| {
                        let which = entries / 3_usize.pow(u32::try_from(at).unwrap()) % 3;
                        bits.get(which).map(|bits| (subject, *bits))
                    };
                    let named = all.clone().enumerate().filter_map(entry).collect();
                    let access = Access { owner, group, owners, groups, others, named };
                    let made = Whom::of(&access).access();
                    for who in &identities {
                        assert_eq!(
                            access.permits(who, EXECUTE),
                            made.permits(who, EXECUTE),
                            "{access:?}, {made:?}, {who:?}"
                        );
                    }
                    assert_eq!(Whom::of(&made), Whom::of(&access), "{access:?}, {made:?}");
                }
            }
        }
    }
}
