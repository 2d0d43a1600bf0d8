//! The directory of rules, and the decision.
//!
//! A rule is a file; who may use it is its execute permission. The first file that exists decides; only ENOENT goes on
//! to the next. The directories must be root's, and writable by root alone: they are opened and checked for each
//! decision, and nothing is remembered, so that a revoked rule has no effect from the next bind on.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{AccessFlags, faccessat, getuid};

use crate::byuid;
use crate::keys;
use crate::request::Request;

/// The longest `byuid` file that is read, in bytes.
pub const LONGEST_FILE: u64 = 64 * 1024;

/// The answer: the subject may, by this rule; or may not, and why.
pub type Verdict = Result<Rule, Refusal>;

/// What granted a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The file, relative to the directory of rules.
    pub file: String,
    /// In a `byuid` file, the line, counted from 1.
    pub line: Option<usize>,
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(out, " line {line}"))
    }
}

/// Why a request was refused. Files are named relative to the directory of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no rule for it.
    NoRule,
    /// This file decides, and the subject may not execute it.
    NotExecutable(String),
    /// This file decides, and it is a directory or something else that is no rule.
    NotAFile(String),
    /// This file decides, and the kernel would not let us look.
    Unreadable(String, Errno),
    /// This file decides, and no line of it grants the request.
    NoLine(String),
    /// This file decides, and it is longer than [`LONGEST_FILE`].
    TooLong(String),
    /// The directory of rules, or one below it, is not to be trusted.
    Untrusted(Untrusted),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoRule => write!(out, "there is no rule for it"),
            Refusal::NotExecutable(file) => write!(out, "{file} is not executable for this user"),
            Refusal::NotAFile(file) => write!(out, "{file} is not a regular file"),
            Refusal::Unreadable(file, errno) => write!(out, "{file} cannot be examined as this user: {}", errno.desc()),
            Refusal::NoLine(file) => write!(out, "no line of {file} covers it"),
            Refusal::TooLong(file) => write!(out, "{file} is longer than {LONGEST_FILE} bytes"),
            Refusal::Untrusted(untrusted) => untrusted.fmt(out),
        }
    }
}

impl From<Untrusted> for Refusal {
    fn from(untrusted: Untrusted) -> Refusal {
        Refusal::Untrusted(untrusted)
    }
}

/// A directory of rules that is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    /// The directory.
    pub directory: PathBuf,
    /// What is wrong with it.
    pub why: Distrust,
}

/// Why a directory of rules is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It cannot be opened; ENOENT where it is missing, ENOTDIR where it is a symbolic link or a file.
    Unopened(Errno),
    /// It belongs to this user, not to root.
    Owner(u32),
    /// Its mode lets others than root write to it.
    Writable(u32),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.directory.display();
        match self.why {
            Distrust::Unopened(errno) => write!(out, "{name} cannot be opened as a directory: {}", errno.desc()),
            Distrust::Owner(uid) => write!(out, "{name} belongs to user id {uid}, not to root"),
            Distrust::Writable(mode) => {
                write!(out, "{name} can be written to by others than root (mode {:04o})", mode & 0o7777)
            }
        }
    }
}

/// The directory of rules, found to be root's alone.
#[derive(Debug)]
pub struct Rules {
    path: PathBuf,
    directory: OwnedFd,
}

impl Rules {
    /// Opens the directory and checks it.
    ///
    /// # Errors
    /// [`Untrusted`] where it is missing, a symbolic link, not root's, or writable by others.
    pub fn open(path: &Path) -> Result<Rules, Untrusted> {
        match open_trusted(AT_FDCWD, path) {
            Ok(directory) => Ok(Rules { path: path.to_owned(), directory }),
            Err(why) => Err(Untrusted { directory: path.to_owned(), why }),
        }
    }

    /// Checks the directories below as well, as each decision does, and that this process may search them.
    ///
    /// # Errors
    /// The first [`Untrusted`] that is found. A directory that is missing holds no rules, which is no error.
    pub fn check(&self) -> Result<(), Untrusted> {
        for name in [keys::BYPORT, keys::BYADDR, keys::BYUID] {
            if let Some(directory) = self.below(name, &mut |_| ())? {
                self.searchable(&directory, name)?;
            }
        }
        Ok(())
    }

    /// Decides whether the subject, which is this process by its real ids, may bind what it asks for.
    ///
    /// # Errors
    /// [`Refusal`] where it may not.
    pub fn decide(&self, request: &Request) -> Verdict {
        self.decide_telling(request, &mut |_| ())
    }

    /// The same, telling in order each file, or directory of files, that was looked up and is not there. The one after
    /// these decides, and the verdict names it.
    ///
    /// # Errors
    /// As [`Rules::decide`].
    pub fn decide_telling(&self, request: &Request, absent: &mut dyn FnMut(&str)) -> Verdict {
        if let Some(rule) = self.executable(keys::BYPORT, || keys::byport(request), absent)? {
            return Ok(rule);
        }
        if let Some(rule) = self.executable(keys::BYADDR, || keys::byaddr(request), absent)? {
            return Ok(rule);
        }
        self.line(request, absent)?.ok_or(Refusal::NoRule)
    }

    /// The first of these files that exists, if the subject may execute it.
    fn executable(
        &self,
        below: &str,
        names: impl FnOnce() -> Vec<String>,
        absent: &mut dyn FnMut(&str),
    ) -> Result<Option<Rule>, Refusal> {
        let Some(directory) = self.below(below, absent)? else { return Ok(None) };
        for name in names() {
            // Permission and kind are those of one file, whatever else takes its name meanwhile.
            let open = openat(&directory, name.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
            let permission =
                |open| faccessat(&open, "", AccessFlags::X_OK, AtFlags::AT_EMPTY_PATH).and_then(|()| fstat(&open));
            let file = format!("{below}/{name}");
            match open.and_then(permission) {
                Err(Errno::ENOENT) => absent(&file),
                Err(Errno::EACCES) => {
                    self.searchable(&directory, below)?;
                    return Err(Refusal::NotExecutable(file));
                }
                Err(errno) => return Err(Refusal::Unreadable(file, errno)),
                // Anybody may execute, that is search, an ordinary directory: it must not pass for a rule.
                Ok(status) if is(&status, SFlag::S_IFREG) => return Ok(Some(Rule { file, line: None })),
                Ok(_) => return Err(Refusal::NotAFile(file)),
            }
        }
        Ok(None)
    }

    /// The line of the subject's own file that covers the request.
    fn line(&self, request: &Request, absent: &mut dyn FnMut(&str)) -> Result<Option<Rule>, Refusal> {
        let Some(directory) = self.below(keys::BYUID, absent)? else { return Ok(None) };
        let name = keys::byuid(request, getuid().as_raw());
        let file = format!("{}/{name}", keys::BYUID);
        // Not blocking, so that a FIFO of that name holds nobody up.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let open = match openat(&directory, name.as_str(), flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                absent(&file);
                return Ok(None);
            }
            Err(errno) => return Err(Refusal::Unreadable(file, errno)),
            Ok(open) => open,
        };
        if !fstat(&open).is_ok_and(|status| is(&status, SFlag::S_IFREG)) {
            return Err(Refusal::NotAFile(file));
        }
        let mut text = Vec::new();
        match File::from(open).take(LONGEST_FILE + 1).read_to_end(&mut text) {
            Err(error) => Err(Refusal::Unreadable(file, Errno::try_from(error).unwrap_or(Errno::EIO))),
            Ok(_) if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST_FILE) => Err(Refusal::TooLong(file)),
            Ok(_) => match byuid::granting_line(&text, request.address) {
                Some(line) => Ok(Some(Rule { file, line: Some(line) })),
                None => Err(Refusal::NoLine(file)),
            },
        }
    }

    /// A directory below the directory of rules; `None` where there is none.
    fn below(&self, name: &str, absent: &mut dyn FnMut(&str)) -> Result<Option<OwnedFd>, Untrusted> {
        match open_trusted(&self.directory, Path::new(name)) {
            Ok(directory) => Ok(Some(directory)),
            Err(Distrust::Unopened(Errno::ENOENT)) => {
                absent(name);
                Ok(None)
            }
            // It is the directory around it that cannot be searched.
            Err(why @ Distrust::Unopened(Errno::EACCES)) => Err(Untrusted { directory: self.path.clone(), why }),
            Err(why) => Err(self.untrusted(name, why)),
        }
    }

    /// Whether this process may look up names in the directory.
    fn searchable(&self, directory: &OwnedFd, name: &str) -> Result<(), Untrusted> {
        faccessat(directory, ".", AccessFlags::X_OK, AtFlags::empty())
            .map_err(|errno| self.untrusted(name, Distrust::Unopened(errno)))
    }

    fn untrusted(&self, below: &str, why: Distrust) -> Untrusted {
        Untrusted { directory: self.path.join(below), why }
    }
}

/// Opens a directory and checks owner and mode of what is open, so that nothing can change between check and use. A
/// POSIX ACL that lets others write shows in the group bits of the mode, which are its mask (acl(5)).
fn open_trusted(at: impl AsFd, path: &Path) -> Result<OwnedFd, Distrust> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = openat(at, path, flags, Mode::empty()).map_err(Distrust::Unopened)?;
    let status = fstat(&directory).map_err(Distrust::Unopened)?;
    match status {
        _ if status.st_uid != 0 => Err(Distrust::Owner(status.st_uid)),
        _ if status.st_mode & 0o022 != 0 => Err(Distrust::Writable(status.st_mode)),
        _ => Ok(directory),
    }
}

fn is(status: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) == kind
}
