//! What can go wrong, and how it is said.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use nix::libc::EOPNOTSUPP;

/// Why a command of xtask ended early. The wording is in [`Display`](fmt::Display) alone.
#[derive(Debug)]
pub enum Error {
    /// The command line is none of ours.
    Usage(lexopt::Error),
    /// No command was given.
    NoCommand,
    /// No prefix that programs can be built for.
    Prefix(String),
    /// No revision that packages can have.
    Revision(String),
    /// A file or directory could not be dealt with.
    File {
        /// What was tried, as a verb.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Somebody has put a symbolic link into a destdir.
    Link(PathBuf),
    /// The helper's capability could not be set.
    Capability {
        /// The directory of the helper.
        directory: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// What is built was not built for this prefix.
    NotBuiltFor(String),
    /// Built from another directory, this file has other bytes.
    NotReproducible(PathBuf),
    /// A program could not be started.
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program that was started failed.
    Failed {
        /// Its command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// These system packages are missing, and there is no apt-get that could install them.
    Packages(Vec<&'static str>),
}

impl Error {
    /// For use with `map_err`, wherever a file or directory is dealt with.
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { verb, path, source }
    }

    /// 2 for a command line that is none of ours, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::NoCommand | Self::Prefix(_) | Self::Revision(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => write!(f, "{error} (see `cargo xtask --help`)"),
            Self::NoCommand => f.write_str(
                "which command? demo, test, bench, fuzz, install, uninstall or package (see `cargo xtask --help`)",
            ),
            Self::Prefix(prefix) => write!(
                f,
                "prefix {prefix:?}: must be an absolute path without a slash at its end, and without space, colon or dollar"
            ),
            Self::Revision(revision) => {
                write!(f, "revision {revision:?}: must be letters, digits, dots, + and ~, and begin with a digit")
            }
            Self::File { verb, path, source } => write!(f, "cannot {verb} {}: {source}", path.display()),
            Self::Link(path) => write!(
                f,
                "{} is a symbolic link, and may lead out of the destdir; choose one that only you can write to",
                path.display()
            ),
            Self::Capability { directory, source } => {
                let mend = match source.raw_os_error() {
                    Some(EOPNOTSUPP) => {
                        "choose a --prefix or --destdir on a file system that keeps extended attributes"
                    }
                    _ => "run this as a root that has the capability CAP_SETFCAP",
                };
                write!(f, "cannot give the helper in {} its capability: {source}; {mend}", directory.display())
            }
            Self::NotBuiltFor(prefix) => write!(f, "nothing is built for prefix {prefix}: leave out --no-build"),
            Self::NotReproducible(path) => write!(
                f,
                "{} has other bytes when it is built in another directory, by another user: something of either is in it",
                path.display()
            ),
            Self::Start { program, source } => write!(f, "cannot run {program}: {source}"),
            Self::Failed { command, status } => write!(f, "{status}: {command}"),
            Self::Packages(names) => write!(
                f,
                "missing where every user can reach it, and no apt-get is here that brings it: {} (named as in Debian)",
                names.join(" ")
            ),
        }
    }
}
