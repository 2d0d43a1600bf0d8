//! What is installed where: the one table that install, uninstall, the packages and the tests of all go by.

use std::path::{Path, PathBuf};

/// One file or directory of the installed tree.
#[derive(Debug)]
pub struct Row {
    /// Below the prefix; or absolute where the prefix has no say.
    pub to: &'static str,
    /// Permission bits. The owner is root:root throughout.
    pub mode: u32,
    /// Where it comes from, and so what it is.
    pub origin: Origin,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A program of this package, by the name of its file, linked statically (static-pie): it starts faster, and no
    /// variable of the loader reaches it.
    Program(&'static str),
    /// As [`Origin::Program`], with [`CAPABILITY`] set on it.
    Helper(&'static str),
    /// The cdylib of this package.
    Library(&'static str),
    /// A file of the checkout.
    Checkout(&'static str),
    /// A text of the checkout, written for [`DEFAULT_PREFIX`], with the prefix of the tree in the place of that.
    ForPrefix(&'static str),
    /// A directory that holds nothing but our own files.
    OwnDirectory,
    /// A directory that holds the administrator's rules.
    RulesDirectory,
}

impl Origin {
    /// The package to build for a program.
    pub(crate) fn program_package(self) -> Option<&'static str> {
        match self {
            Self::Program(package) | Self::Helper(package) => Some(package),
            _ => None,
        }
    }

    /// The package to build for a library.
    pub(crate) fn library_package(self) -> Option<&'static str> {
        if let Self::Library(package) = self { Some(package) } else { None }
    }
}

/// The helper comes first: where its capability cannot be set, nothing else has been put in place yet.
pub const TABLE: &[Row] = &[
    row("libexec/rauthbind", 0o755, Origin::OwnDirectory),
    row("libexec/rauthbind/rauthbind-helper", 0o755, Origin::Helper("rauthbind-helper")),
    row("lib/rauthbind", 0o755, Origin::OwnDirectory),
    row("lib/rauthbind/librauthbind.so", 0o644, Origin::Library("rauthbind-shim")),
    row("bin/rauthbind", 0o755, Origin::Program("rauthbind")),
    row("sbin/rauthbindctl", 0o755, Origin::Program("rauthbind")),
    row("share/doc/rauthbind", 0o755, Origin::OwnDirectory),
    row("share/doc/rauthbind/NOTICES", 0o644, Origin::Checkout("NOTICES")),
    row("share/man/man1/rauthbind.1", 0o644, Origin::ForPrefix("docs/man/rauthbind.1")),
    row("share/man/man5/rauthbind-rules.5", 0o644, Origin::ForPrefix("docs/man/rauthbind-rules.5")),
    row("share/man/man7/rauthbind-recipes.7", 0o644, Origin::ForPrefix("docs/man/rauthbind-recipes.7")),
    row("share/man/man8/rauthbind-helper.8", 0o644, Origin::ForPrefix("docs/man/rauthbind-helper.8")),
    row("share/man/man8/rauthbindctl.8", 0o644, Origin::ForPrefix("docs/man/rauthbindctl.8")),
    row("share/bash-completion/completions/rauthbind", 0o644, Origin::Checkout("packaging/completions/rauthbind.bash")),
    row("share/zsh/site-functions/_rauthbind", 0o644, Origin::Checkout("packaging/completions/_rauthbind")),
    row(
        "share/fish/vendor_completions.d/rauthbind.fish",
        0o644,
        Origin::Checkout("packaging/completions/rauthbind.fish"),
    ),
    row(
        "share/bash-completion/completions/rauthbindctl",
        0o644,
        Origin::Checkout("packaging/completions/rauthbindctl.bash"),
    ),
    row("share/zsh/site-functions/_rauthbindctl", 0o644, Origin::Checkout("packaging/completions/_rauthbindctl")),
    row(
        "share/fish/vendor_completions.d/rauthbindctl.fish",
        0o644,
        Origin::Checkout("packaging/completions/rauthbindctl.fish"),
    ),
    row(
        "lib/systemd/system/rauthbind-broker.socket",
        0o644,
        Origin::Checkout("packaging/systemd/rauthbind-broker.socket"),
    ),
    row(
        "lib/systemd/system/rauthbind-broker@.service",
        0o644,
        Origin::ForPrefix("packaging/systemd/rauthbind-broker@.service"),
    ),
    row(RULES, 0o755, Origin::RulesDirectory),
    row("/etc/rauthbind/byport", 0o755, Origin::RulesDirectory),
    row("/etc/rauthbind/byaddr", 0o755, Origin::RulesDirectory),
    row("/etc/rauthbind/byuid", 0o755, Origin::RulesDirectory),
];

/// What is installed in addition where scripts are to find the command `authbind`.
pub const AUTHBIND: &[Row] = &[
    row("bin/authbind", 0o755, Origin::Program("rauthbind")),
    row("share/man/man1/authbind.1", 0o644, Origin::ForPrefix("docs/man/authbind.1")),
];

const fn row(to: &'static str, mode: u32, origin: Origin) -> Row {
    Row { to, mode, origin }
}

/// Where the rules are, whatever the prefix.
pub const RULES: &str = "/etc/rauthbind";

/// The prefix that is built for unless another is asked for.
pub const DEFAULT_PREFIX: &str = "/usr/local";

/// The extended attribute that file capabilities are kept in.
pub const CAPABILITY_ATTRIBUTE: &str = "security.capability";

/// The helper's capability, as setcap(8) takes it.
pub const CAPABILITY_TEXT: &str = "cap_net_bind_service=p";

/// [`CAPABILITY_TEXT`] as the kernel keeps it (`struct vfs_cap_data` of linux/capability.h): revision 2 without the
/// effective flag, then permitted and inheritable, low and high words, little-endian.
pub const CAPABILITY: [u8; 20] = {
    const CAP_NET_BIND_SERVICE: u8 = 10;
    let [low, high, ..] = (1_u32 << CAP_NET_BIND_SERVICE).to_le_bytes();
    [0, 0, 0, 2, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
};

impl Row {
    /// The last part of its path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.to.rsplit_once('/').map_or(self.to, |(_, name)| name)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.origin, Origin::OwnDirectory | Origin::RulesDirectory)
    }

    /// The content of its `security.capability`, if it has one.
    #[must_use]
    pub fn capability(&self) -> Option<&'static [u8]> {
        matches!(self.origin, Origin::Helper(_)).then_some(&CAPABILITY)
    }
}

/// An installed tree, or one to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// What the programs are built for.
    pub prefix: String,
    /// The directory that takes the place of `/`.
    pub destdir: PathBuf,
    /// Whether [`AUTHBIND`] belongs to it.
    pub authbind: bool,
}

impl Tree {
    /// What it holds.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &'static Row> + use<> {
        let authbind: &[Row] = if self.authbind { AUTHBIND } else { &[] };
        TABLE.iter().chain(authbind)
    }

    /// Where a [`Row::to`] is on this machine.
    #[must_use]
    pub fn path(&self, to: &str) -> PathBuf {
        let absolute = Path::new(&self.prefix).join(to);
        self.destdir.join(absolute.strip_prefix("/").unwrap_or(&absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_relative_is_below_the_prefix() {
        let tree = Tree { prefix: "/opt/r".into(), destdir: "/stage".into(), authbind: false };
        assert_eq!(tree.path("bin/rauthbind"), Path::new("/stage/opt/r/bin/rauthbind"));
        assert_eq!(tree.path(RULES), Path::new("/stage/etc/rauthbind"));
    }

    #[test]
    fn nothing_is_installed_twice() {
        let rows: Vec<&Row> = TABLE.iter().chain(AUTHBIND).collect();
        for (at, row) in rows.iter().enumerate() {
            assert!(!rows[..at].iter().any(|other| other.to == row.to), "{} is there twice", row.to);
        }
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        for (at, row) in TABLE.iter().enumerate().filter(|(_, row)| row.is_directory()) {
            let inside = |other: &Row| Path::new(other.to).starts_with(row.to) && other.to != row.to;
            assert!(!TABLE[..at].iter().any(inside), "{} comes after what is in it", row.to);
        }
    }
}
