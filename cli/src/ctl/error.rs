//! Why nothing was done, and the exit status that tells.

use std::fmt;
use std::io;

use rauthbind_policy::Untrusted;
use rauthbind_wire::names::UNPRIVILEGED_PORT_START;

use crate::accounts::GETENT;
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
    /// Not even root could.
    Identity(crate::error::Error),
    /// The kernel does not tell which ports are privileged.
    UnknownPrivilege,
    /// The directory of rules is not to be trusted.
    Rules(Untrusted),
    /// Not built yet.
    Missing(&'static str),
}

impl Error {
    /// 1 where it was understood and is not to be done, 2 where it was not understood or cannot be told.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::NotRoot | Error::Rules(_) => 1,
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
            Error::Output(error) => write!(out, "standard output: {error}"),
            Error::Unknown { database, name } => {
                let kind = if *database == "group" { "group" } else { "user" };
                write!(out, "there is no {kind} {name:?}; see 'getent {database}'")
            }
            Error::Getent(error) => write!(out, "{GETENT}: {error}; it is part of the C library's package"),
            Error::NotOneUser(name) => write!(out, "{name:?} is no user; name one of its members"),
            Error::NotRootForOthers => {
                write!(out, "only root can ask for other users; run it as root, for example with sudo")
            }
            Error::Identity(error) => write!(out, "{error}"),
            Error::UnknownPrivilege => {
                write!(
                    out,
                    "{UNPRIVILEGED_PORT_START} cannot be read, so that no port is known to be privileged; mount /proc"
                )
            }
            Error::Rules(untrusted) => Problem::Rules(untrusted.clone()).fmt(out),
            Error::Missing(what) => write!(out, "{what} is not built yet"),
        }
    }
}
