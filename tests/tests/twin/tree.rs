//! Rules as data, so that a random case can be made, shrunk and shown.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID};
use rauthbind_wire::names::RULES;

/// A directory of rules: its own owner and mode, and what is in it.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) top: Permission,
    pub(crate) directories: [(&'static str, Option<Permission>); 3],
    /// Of two with one name, the first is made.
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Permission {
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) mode: u32,
}

#[derive(Clone)]
pub(crate) struct Entry {
    /// Relative to the directory of rules.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    File(Permission, String),
    Directory(Permission),
    Fifo(Permission),
    Link(&'static str),
}

/// Where root's rules are, as `cargo xtask install` makes them.
pub(crate) const ROOTS: Permission = Permission { owner: 0, group: 0, mode: 0o755 };

impl Permission {
    fn set(self, path: &Path) {
        chown(path, Some(self.owner), Some(self.group)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(self.mode)).unwrap();
    }
}

/// A file that everybody may execute, or nobody.
pub(crate) fn rule(name: &str, granted: bool) -> Entry {
    let mode = if granted { 0o755 } else { 0o644 };
    Entry { name: name.to_owned(), kind: Kind::File(Permission { mode, ..ROOTS }, String::new()) }
}

/// A `byuid` file that everybody may read.
pub(crate) fn lines(name: &str, text: &str) -> Entry {
    let kind = Kind::File(Permission { mode: 0o644, ..ROOTS }, text.to_owned());
    Entry { name: format!("{BYUID}/{name}"), kind }
}

impl Tree {
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let directories = [BYPORT, BYADDR, BYUID].map(|name| (name, Some(ROOTS)));
        Self { top: ROOTS, directories, entries: entries.into_iter().collect() }
    }

    /// Puts these rules in the place of all others.
    pub(crate) fn make(&self) {
        for (name, permission) in &self.directories {
            let path = path(name);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", path.display()),
                _ => {}
            }
            if permission.is_some() {
                fs::create_dir(&path).unwrap();
            }
        }
        self.entries.iter().for_each(Entry::make);
        // Last, as root's own rights do not depend on it.
        let directories = self.directories.iter().filter_map(|(name, permission)| Some((path(name), (*permission)?)));
        directories.chain([(RULES.into(), self.top)]).for_each(|(path, permission)| permission.set(&path));
    }
}

impl Entry {
    fn make(&self) {
        let path = path(&self.name);
        if !path.parent().unwrap().is_dir() || path.symlink_metadata().is_ok() {
            return;
        }
        match &self.kind {
            Kind::File(permission, text) => {
                fs::write(&path, text).unwrap();
                permission.set(&path);
            }
            Kind::Directory(permission) => {
                fs::create_dir(&path).unwrap();
                permission.set(&path);
            }
            Kind::Fifo(permission) => {
                mkfifo(&path, Mode::empty()).unwrap();
                permission.set(&path);
            }
            Kind::Link(to) => symlink(to, &path).unwrap(),
        }
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(RULES).join(name)
}

impl fmt::Debug for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04o} {}:{}", self.mode, self.owner, self.group)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.top != ROOTS {
            writeln!(out, "  directory {:?} {RULES}", self.top)?;
        }
        for (name, permission) in &self.directories {
            match permission {
                Some(ROOTS) => {}
                Some(permission) => writeln!(out, "  directory {permission:?} {name}")?,
                None => writeln!(out, "  no {name}")?,
            }
        }
        for Entry { name, kind } in &self.entries {
            match kind {
                Kind::File(permission, text) if text.is_empty() => writeln!(out, "  {permission:?} {name}")?,
                Kind::File(permission, text) => writeln!(out, "  {permission:?} {name}: {text:?}")?,
                Kind::Directory(permission) => writeln!(out, "  directory {permission:?} {name}")?,
                Kind::Fifo(permission) => writeln!(out, "  FIFO {permission:?} {name}")?,
                Kind::Link(to) => writeln!(out, "  link {name} to {to}")?,
            }
        }
        Ok(())
    }
}
