//! Why nothing was done, and the exit status that tells.

use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use rauthbind_policy::Untrusted;
use rauthbind_policy::rules::LONGEST_FILE;
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};

use super::output::escaped;
use super::plan::Conflict;
use crate::accounts::GETENT;
use crate::error::in_words;
use crate::setup::Problem;

/// What keeps a command from being carried out.
#[derive(Debug)]
pub enum Error {
    /// Run setuid, setgid or with file capabilities: everybody would manage the rules.
    Secure,
    /// Only root may.
    NotRoot,
    /// What was asked for cannot be printed.
    Output(io::Error),
    /// No such user or group.
    Unknown {
        /// "passwd" or "group".
        database: &'static str,
        /// As given.
        name: String,
    },
    /// The databases cannot be asked.
    Getent(io::Error),
    /// A group where one user is asked for.
    NotOneUser(String),
    /// Only root can see with other users' eyes.
    NotRootForOthers,
    /// Not even root could, because of this call.
    Identity(&'static str, Errno),
    /// The kernel does not tell which ports are privileged.
    UnknownPrivilege,
    /// The directory of rules is not to be trusted.
    Rules(Untrusted),
    /// A file or directory cannot be dealt with.
    File {
        /// What was tried, as a verb.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// The change would be more than was asked for, or less.
    Conflict(Conflict),
    /// A range of ports or addresses, which only lines of users can tell, and only for all protocols.
    NeedsLines,
    /// A rule that is a symbolic link or no file at all, or a file too long to be read.
    NotRegular(String),
    /// A file would be longer than the helper reads.
    TooLong(String),
    /// The file system keeps no ACLs, and this rule cannot do without.
    NoAcl(String),
    /// Ports 512 to 1023, without `--yes`.
    Impersonating,
    /// Root needs no rule.
    Root,
    /// A line of what is to be applied.
    Line {
        /// Where it is.
        file: PathBuf,
        /// Counted from 1.
        number: usize,
        /// In words.
        why: String,
    },
}

/// As authbind's man page warns.
pub(super) const IMPERSONATING: &str = "ports 512 to 1023 are taken by some protocols, rsh and several versions of NFS \
    among them, for a proof that root is speaking: who may bind one may be able to pass for the whole host";

impl Error {
    /// 1 where it was understood and is not to be done, 2 where it was not understood or cannot be told.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::NotRoot
            | Error::Rules(_)
            | Error::Conflict(_)
            | Error::NeedsLines
            | Error::NotRegular(_)
            | Error::TooLong(_)
            | Error::NoAcl(_)
            | Error::Impersonating
            | Error::Root => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Secure => write!(
                out,
                "this program is setuid, setgid or has capabilities of its own, which it must not; take them away \
                 (chmod u-s,g-s; setcap -r)"
            ),
            Error::NotRoot => write!(out, "only root can change rules; run it as root, for example with sudo"),
            Error::Output(error) => write!(out, "standard output: {}", in_words(error)),
            Error::Unknown { database, name } => {
                let kind = if *database == "group" { "group" } else { "user" };
                write!(out, "there is no {kind} {name:?}; see 'getent {database}'")
            }
            Error::Getent(error) => {
                write!(out, "{GETENT}: {}; it is part of the C library's package", in_words(error))
            }
            Error::NotOneUser(name) => write!(out, "{name:?} is no user; name one of its members"),
            Error::NotRootForOthers => {
                write!(out, "only root can ask for other users; run it as root, for example with sudo")
            }
            Error::Identity(call, errno) => write!(
                out,
                "cannot take on that user's identity ({call}: {}); run it as a root who can, and where there is that user",
                errno.desc()
            ),
            Error::UnknownPrivilege => {
                write!(
                    out,
                    "{UNPRIVILEGED_PORT_START} cannot be read, so that no port is known to be privileged; mount /proc"
                )
            }
            Error::Rules(untrusted) => Problem::Rules(untrusted.clone()).fmt(out),
            Error::File { verb, path, error } => {
                write!(out, "cannot {verb} {}: {}", escaped(&path.to_string_lossy()), in_words(error))
            }
            Error::Conflict(conflict) => conflict.fmt(out),
            Error::NeedsLines => write!(
                out,
                "a range of ports, or of addresses, can be granted to users only, and for all protocols only; list the \
                 ports one by one, without a range of addresses"
            ),
            Error::NotRegular(file) => write!(
                out,
                "{RULES}/{file} is not a file to be changed (a symbolic link, no regular file, held by a lease, or longer than \
                 the helper reads); see to it by hand"
            ),
            Error::TooLong(file) => write!(
                out,
                "{RULES}/{file} would be longer than the helper reads, {LONGEST_FILE} bytes; take comments or lines out of \
                 it"
            ),
            Error::NoAcl(file) => write!(
                out,
                "the file system of {RULES} keeps no ACLs, so that {file} can be granted only to one group, or to one user \
                 who has a group of their own; make a group of all who are to have it, or mount a file system with ACLs \
                 there"
            ),
            Error::Impersonating => write!(out, "{IMPERSONATING}; add --yes to grant it all the same"),
            Error::Root => write!(out, "root needs no rule: it may bind every port"),
            Error::Line { file, number, why } => {
                write!(
                    out,
                    "{}, line {number}: {}; nothing was changed, see rauthbindctl(8) for what a line is",
                    escaped(&file.to_string_lossy()),
                    escaped(why)
                )
            }
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::StillRefused { request, file } => {
                write!(out, "{request} would stay refused: ")?;
                match file {
                    Some(file) => write!(
                        out,
                        "{RULES}/{file} is looked up first and covers more than was asked for; ask for all that it covers, \
                         or put narrower rules in its place"
                    ),
                    None => write!(out, "a file below {RULES}/byuid decides; see 'rauthbindctl list'"),
                }
            }
            Conflict::Others { request, who, granted, file } => {
                let verb = if *granted { "take" } else { "give" };
                let way = if *granted { "from" } else { "to" };
                write!(out, "that would also {verb} {request} {way} {who}")?;
                match file {
                    Some(file) => write!(out, ", as {RULES}/{file} would decide it")?,
                    None => write!(out, ", as no file below byport and byaddr would decide it any more")?,
                }
                write!(out, "; see 'rauthbindctl list' for the rules of that port, and change these first")
            }
        }
    }
}
