//! Why the command was not run, and the exit status that tells, as env(1) and timeout(1) have it.

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::accounts::GETENT;

/// What keeps the command from being run.
#[derive(Debug)]
pub enum Error {
    /// The command line makes no sense.
    Usage {
        /// Whose it is.
        program: &'static str,
        /// What is wrong with it.
        error: lexopt::Error,
    },
    /// What was asked for cannot be printed.
    Output(io::Error),
    /// Run setuid, setgid or with file capabilities: everybody would get what is meant for one.
    Secure(PathBuf),
    /// `-u` or `-g` names nobody.
    Unknown {
        /// "user" or "group".
        kind: &'static str,
        /// As given.
        name: String,
    },
    /// The user database cannot be asked.
    Getent(io::Error),
    /// `-u` names a number that the user database does not know, so that only `-g` could tell the group.
    NoGroup(String),
    /// `-u` names a number that the user database does not know, so that `--user-env` has nothing to set.
    NoAccount(String),
    /// Only root becomes somebody else.
    Identity(&'static str, Errno),
    /// The capability cannot be taken from the command.
    Capability(Errno),
    /// The command is there, but what its first line names, or its loader, is not.
    Interpreter(String),
    /// The command cannot be run.
    Command(String, Errno),
}

impl Error {
    /// 125 for our own failure, 127 where there is no such command, 126 where it cannot be executed.
    pub fn exit_status(&self) -> c_int {
        match self {
            Error::Command(_, Errno::ENOENT) | Error::Interpreter(_) => 127,
            Error::Command(..) => 126,
            _ => 125,
        }
    }
}

/// As the kernel's errors are told everywhere, without std's number.
pub fn in_words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage { program, error } => write!(out, "{error}; try '{program} --help'"),
            Error::Output(error) => write!(out, "standard output: {}", in_words(error)),
            Error::Secure(path) => {
                let path = path.display();
                write!(
                    out,
                    "{path} is setuid, setgid or has capabilities of its own, which it must not; as root, run: chmod \
                     u-s,g-s {path}; setcap -r {path}"
                )
            }
            Error::Unknown { kind, name } => {
                write!(out, "there is no {kind} {name:?}; see 'getent passwd' and 'getent group'")
            }
            Error::Getent(error) => {
                write!(out, "{GETENT}: {}; -u and -g need it, from the C library's package", in_words(error))
            }
            Error::NoGroup(name) => {
                write!(out, "user {name} is in no user database, so its group is unknown; add -g GROUP")
            }
            Error::NoAccount(user) => {
                write!(
                    out,
                    "user {user} is in no user database, so its home and shell are unknown; leave out --user-env"
                )
            }
            Error::Identity(step, errno) => {
                write!(out, "cannot become that user: only root can use -u and -g ({step}: {})", errno.desc())
            }
            Error::Capability(errno) => {
                write!(out, "CAP_NET_BIND_SERVICE cannot be taken from the command: {}", errno.desc())
            }
            Error::Interpreter(command) => {
                write!(out, "{}: its interpreter, as its first line names it, was not found", command.escape_debug())
            }
            Error::Command(command, errno) => write!(out, "{}: {}", command.escape_debug(), errno.desc()),
        }
    }
}
