//! Who may do what with a file: its owner, group, mode and POSIX ACL (acl(5)), as one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use xattr::FileExt;

use super::subject::Subject;
use crate::accounts;

/// What rules below `byport` and `byaddr` are asked for.
pub const EXECUTE: u8 = 1;
/// What those below `byuid` are asked for.
pub const READ: u8 = 4;
const WRITE: u8 = 2;
const ALL: u8 = 7;

/// The extended attribute of a POSIX ACL. Its form is the kernel's: linux/posix_acl_xattr.h.
const ATTRIBUTE: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The permissions of a file. A mask has been applied to what it masks, so there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The owner.
    pub owner: u32,
    /// The owning group.
    pub group: u32,
    /// The owner's permissions.
    pub owners: u8,
    /// The owning group's permissions.
    pub groups: u8,
    /// Everybody else's permissions.
    pub others: u8,
    /// The permissions of those who are named.
    pub named: BTreeMap<Subject, u8>,
}

/// As whom something is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `None`: somebody who is named nowhere.
    pub user: Option<u32>,
    /// Every group.
    pub groups: BTreeSet<u32>,
}

impl Identity {
    /// The user with no group; or somebody of whom nothing is known but this group.
    pub fn bare(subject: Subject) -> Identity {
        match subject {
            Subject::User(id) => Identity { user: Some(id), groups: BTreeSet::new() },
            Subject::Group(id) => Identity { user: None, groups: BTreeSet::from([id]) },
        }
    }

    /// The subject as the kernel knows it: a user with all groups.
    ///
    /// # Errors
    /// getent(1) cannot be run.
    pub fn of(subject: Subject) -> io::Result<Identity> {
        let mut identity = Identity::bare(subject);
        if let Subject::User(user) = subject {
            let entry = accounts::entry("passwd", &user.to_string())?;
            let name = entry.as_ref().and_then(|entry| entry.field(0));
            identity.groups.extend(name.map(accounts::groups).transpose()?.unwrap_or_default());
            identity.groups.extend(entry.and_then(|entry| entry.id(3)));
        }
        Ok(identity)
    }

    /// Somebody who is named nowhere.
    pub fn nobody() -> Identity {
        Identity { user: None, groups: BTreeSet::new() }
    }
}

impl Access {
    /// Root's alone.
    pub fn roots() -> Access {
        Access { owner: 0, group: 0, owners: ALL, groups: 0, others: 0, named: BTreeMap::new() }
    }

    /// Root's, and readable for everybody: a `byuid` file is read as its user, and is no secret.
    pub fn readable() -> Access {
        Access { owners: READ | WRITE, groups: READ, others: READ, ..Access::roots() }
    }

    /// Reads those of a file, through symbolic links.
    ///
    /// # Errors
    /// The file is not there, or may not be looked at.
    pub fn of(path: &Path) -> io::Result<Access> {
        let status = path.metadata()?;
        let mode = status.mode();
        let bits = |shift: u32| u8::try_from(mode >> shift & 7).unwrap_or_default();
        let mut access = Access {
            owner: status.uid(),
            group: status.gid(),
            owners: bits(6),
            groups: bits(3),
            others: bits(0),
            named: BTreeMap::new(),
        };
        match xattr::get_deref(path, ATTRIBUTE) {
            Ok(acl) => access.read_acl(&acl.unwrap_or_default()),
            Err(error) if is_unsupported(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(access)
    }

    fn read_acl(&mut self, acl: &[u8]) {
        let mut mask = ALL;
        for entry in acl.get(4..).unwrap_or_default().chunks_exact(8) {
            let &[tag, tag_high, bits, _, a, b, c, d] = entry else { continue };
            let (bits, id) = (bits & ALL, u32::from_le_bytes([a, b, c, d]));
            match u16::from_le_bytes([tag, tag_high]) {
                USER => drop(self.named.insert(Subject::User(id), bits)),
                GROUP => drop(self.named.insert(Subject::Group(id), bits)),
                GROUP_OBJ => self.groups = bits,
                MASK => mask = bits,
                _ => {}
            }
        }
        if mask == 0 {
            // The kernel looks no further than the mode then (acl_permission_check in fs/namei.c).
            self.named.clear();
        }
        self.groups &= mask;
        self.named.values_mut().for_each(|bits| *bits &= mask);
    }

    /// As the kernel does it (acl(5), ACCESS CHECK ALGORITHM).
    pub fn permits(&self, who: &Identity, bit: u8) -> bool {
        let own = |id| if id == self.owner { Some(&self.owners) } else { self.named.get(&Subject::User(id)) };
        if let Some(bits) = who.user.and_then(own) {
            return bits & bit != 0;
        }
        let owning = who.groups.contains(&self.group).then_some(&self.groups);
        let named = who.groups.iter().filter_map(|id| self.named.get(&Subject::Group(*id)));
        let mut of_groups = owning.into_iter().chain(named).peekable();
        if of_groups.peek().is_none() {
            return self.others & bit != 0;
        }
        of_groups.any(|bits| bits & bit != 0)
    }

    /// What is said of this subject by name: by owner, owning group or an entry of its own.
    pub fn of_subject(&self, subject: Subject) -> Option<u8> {
        match subject {
            Subject::User(id) if id == self.owner => Some(self.owners),
            Subject::Group(id) if id == self.group => {
                Some(self.groups | self.named.get(&subject).copied().unwrap_or_default())
            }
            _ => self.named.get(&subject).copied(),
        }
    }

    /// Everybody whose permissions are told by name, root's own excepted.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let owner = (self.owner != 0).then_some(Subject::User(self.owner));
        self.named.keys().copied().chain(owner).chain([Subject::Group(self.group)]).collect()
    }

    /// Whether somebody who is not named may do this, and nobody who is may not.
    pub fn is_everybodys(&self, bit: u8) -> bool {
        let named = self.subjects().into_iter().filter_map(|subject| self.of_subject(subject));
        self.others & bit != 0 && named.into_iter().all(|bits| bits & bit != 0)
    }

    /// Whether others than root can write to it, or change who can.
    pub fn is_foreign(&self) -> bool {
        let others = self.named.values().fold(self.groups | self.others, |all, bits| all | bits);
        self.owner != 0 || others & WRITE != 0
    }

    /// Lets the subject execute it.
    pub fn allow(&mut self, subject: Subject) {
        *self.named.entry(subject).or_default() |= EXECUTE;
    }

    /// Takes away what is given to the subject by name.
    pub fn revoke(&mut self, subject: Subject) {
        if self.of_subject(subject).is_some_and(|bits| bits & EXECUTE != 0) {
            self.named.remove(&subject);
        }
        if subject == Subject::Group(self.group) {
            self.groups &= !EXECUTE;
        }
        if subject == Subject::User(self.owner) {
            self.owners &= !EXECUTE;
        }
    }

    /// The same permission to execute, in a file of root's to which nobody else can write: an owner could grant it to
    /// others.
    #[must_use]
    pub fn made_roots(&self) -> Access {
        let mut access = self.clone();
        if access.owner != 0 {
            access.named.insert(Subject::User(access.owner), access.owners);
            access.owner = 0;
            access.owners = ALL;
        }
        access.named.values_mut().for_each(|bits| *bits &= !WRITE);
        access.groups &= !WRITE;
        access.others &= !WRITE;
        access
    }

    /// Whether nobody but root may execute it.
    pub fn is_nobodys(&self) -> bool {
        let owners = if self.owner == 0 { 0 } else { self.owners };
        self.named.values().fold(owners | self.groups | self.others, |all, bits| all | bits) & EXECUTE == 0
    }

    /// Gives them to a file.
    ///
    /// # Errors
    /// Those of fchown(2), fsetxattr(2) and fchmod(2).
    pub fn give_to(&self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.owner), Some(self.group))?;
        match file.set_xattr(ATTRIBUTE, &self.acl()) {
            Err(error) if is_unsupported(&error) && self.named.is_empty() => {
                file.set_permissions(PermissionsExt::from_mode(self.mode()))
            }
            given => given,
        }
    }

    fn mode(&self) -> u32 {
        u32::from(self.owners) << 6 | u32::from(self.groups) << 3 | u32::from(self.others)
    }

    fn acl(&self) -> Vec<u8> {
        let mut acl = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, bits: u8, id: u32| {
            acl.extend(tag.to_le_bytes().into_iter().chain(u16::from(bits).to_le_bytes()).chain(id.to_le_bytes()));
        };
        let no_id = u32::MAX;
        let named = |kind: fn(&Subject) -> Option<u32>| {
            self.named.iter().filter_map(move |(subject, bits)| Some((kind(subject)?, *bits)))
        };
        put(USER_OBJ, self.owners, no_id);
        named(Subject::user).for_each(|(id, bits)| put(USER, bits, id));
        put(GROUP_OBJ, self.groups, no_id);
        named(Subject::group).for_each(|(id, bits)| put(GROUP, bits, id));
        if !self.named.is_empty() {
            let all = self.named.values().fold(self.groups, |all, bits| all | bits);
            // With an empty mask, those who are to be refused would be like everybody.
            put(MASK, if all == 0 { READ } else { all }, no_id);
        }
        put(OTHER, self.others, no_id);
        acl
    }

    /// The same by owner, group and mode: for one group, or for one user whose own group it is, which `private_group` tells;
    /// `None` for more.
    ///
    /// # Errors
    /// Those of `private_group`.
    pub fn without_acl(&self, private_group: impl Fn(u32) -> io::Result<Option<u32>>) -> io::Result<Option<Access>> {
        if !self.named.is_empty() && self.others & EXECUTE != 0 {
            // The owning group may be what keeps somebody out.
            return Ok(None);
        }
        let mut groups = BTreeSet::new();
        if self.groups & EXECUTE != 0 {
            groups.insert(self.group);
        }
        for (subject, bits) in &self.named {
            let group = match *subject {
                Subject::Group(id) => Some(id),
                Subject::User(id) => private_group(id)?,
            };
            match group {
                Some(group) if bits & EXECUTE != 0 => drop(groups.insert(group)),
                _ => return Ok(None),
            }
        }
        let plain = Access { named: BTreeMap::new(), ..self.clone() };
        Ok(match groups.len() {
            0 => Some(plain),
            1 => groups.first().map(|group| Access { group: *group, groups: EXECUTE, ..plain }),
            _ => None,
        })
    }
}

/// Whether the file system keeps ACLs.
pub fn is_acl_kept(directory: &Path) -> bool {
    !matches!(xattr::get(directory, ATTRIBUTE), Err(error) if is_unsupported(&error))
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_read_as_it_was_written() {
        let mut access = Access::roots();
        access.allow(Subject::User(4001));
        access.allow(Subject::Group(4100));
        access.named.insert(Subject::User(u32::MAX - 1), 0);
        let refusing = Access { others: EXECUTE, named: BTreeMap::from([(Subject::User(4001), 0)]), ..Access::roots() };
        for access in [access, refusing] {
            let mut read = Access { named: BTreeMap::new(), ..access.clone() };
            read.read_acl(&access.acl());
            assert_eq!(read, access);
        }
    }

    #[test]
    fn a_mask_takes_from_those_it_masks() {
        let mut access = Access::roots();
        access.allow(Subject::User(4001));
        let mut acl = access.acl();
        let at = acl.len() - 8 - 8 + 2;
        for (mask, named) in [(READ, BTreeMap::from([(Subject::User(4001), 0)])), (0, BTreeMap::new())] {
            acl[at] = mask;
            let mut read = Access::roots();
            read.read_acl(&acl);
            assert_eq!(read.named, named);
        }
    }
}
