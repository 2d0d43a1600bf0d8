//! What is wrong with the installation or the surroundings, each in one line with its mend.
//!
//! None of it keeps the command from being run: it only stays without privileged ports.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access, geteuid};
use rauthbind_policy::{Distrust, Rules, Untrusted};
use rauthbind_wire::names::{HELPER, RULES, SHIM};

use crate::sys;

/// Who owns what belongs to nobody of this user namespace (/proc/sys/fs/overflowuid, user_namespaces(7)).
const OVERFLOW_UID: u32 = 65534;

/// Where Yama is told who may look into other processes (Documentation/admin-guide/LSM/Yama.rst).
const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// Why no privileged port can be bound.
#[derive(Debug)]
pub enum Problem {
    /// The shim cannot be read.
    Shim(Errno),
    /// The helper cannot be executed.
    Helper(Errno),
    /// The kernel would not start the helper after all.
    NoProgram,
    /// The helper has no file capability.
    NoCapability,
    /// The helper's file system ignores file capabilities.
    Nosuid,
    /// This process and all that it starts ignore file capabilities (prctl(2), PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges,
    /// The bounding set lacks the capability (capabilities(7)).
    Bounded,
    /// The file capability cannot be read.
    UnknownCapability(io::Error),
    /// The channel cannot be made, or the helper not be started.
    Channel(Errno),
    /// The rules are missing or anybody's.
    Rules(Untrusted),
    /// Yama keeps the supervisor out of the command.
    PtraceScope(u8),
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Shim(errno) => write!(out, "{SHIM}: {}; install rauthbind again", errno.desc()),
            Problem::Helper(errno) => write!(out, "{HELPER}: {}; install rauthbind again", errno.desc()),
            Problem::NoProgram => write!(out, "{HELPER} is not a program of this machine; install rauthbind again"),
            Problem::NoCapability => {
                write!(out, "{HELPER} has lost its capability; as root, run: setcap cap_net_bind_service=p {HELPER}")
            }
            Problem::Nosuid => write!(
                out,
                "{HELPER} is on a file system that is mounted nosuid, where capabilities are ignored; mount it without \
                 nosuid, or install rauthbind elsewhere"
            ),
            Problem::NoNewPrivileges => write!(
                out,
                "no_new_privs is set, so that {HELPER} cannot have its capability; start rauthbind before it is set \
                 (systemd: NoNewPrivileges=no), or start the broker (systemctl enable --now \
                 rauthbind-broker.socket; other service managers: rauthbind-recipes(7))"
            ),
            Problem::Bounded => write!(
                out,
                "the bounding set lacks CAP_NET_BIND_SERVICE, so that {HELPER} cannot have it; add it where the set was \
                 narrowed (systemd: CapabilityBoundingSet=, containers: --cap-add=NET_BIND_SERVICE)"
            ),
            Problem::UnknownCapability(error) => write!(
                out,
                "the capability of {HELPER} cannot be read: {error}; install rauthbind on a file system that keeps \
                 extended attributes"
            ),
            Problem::Channel(errno) => {
                write!(out, "the helper cannot be reached: {}; see 'ulimit -a' for what has run out", errno.desc())
            }
            Problem::Rules(untrusted) => {
                let name = untrusted.directory.display();
                write!(out, "{untrusted}; no rule in it grants anything; ")?;
                match untrusted.why {
                    Distrust::Unopened(Errno::ENOENT) => {
                        write!(out, "as root, run: install -d -m 0755 {name} {name}/byport {name}/byaddr {name}/byuid")
                    }
                    Distrust::Unopened(Errno::EACCES) => write!(out, "as root, run: chmod a+x {name}"),
                    Distrust::Unopened(Errno::EMFILE | Errno::ENFILE) => write!(out, "see 'ulimit -n'"),
                    Distrust::Unopened(_) => write!(out, "make it a directory that all can search"),
                    Distrust::Owner(OVERFLOW_UID) => write!(
                        out,
                        "in a user namespace root's files show so: start rauthbind outside of it; else, as root, run: \
                         chown root {name}"
                    ),
                    Distrust::Owner(_) | Distrust::Writable(_) => {
                        write!(out, "as root, run: chown root {name} && chmod go-w {name}")
                    }
                }
            }
            Problem::PtraceScope(scope) => {
                write!(
                    out,
                    "kernel.yama.ptrace_scope is {scope}, so that no supervisor may look into the command, and no rule \
                     grants it anything; as root, "
                )?;
                match scope {
                    ..3 => write!(out, "run: sysctl kernel.yama.ptrace_scope=1"),
                    3.. => write!(out, "set it to 1 in sysctl.d(5), and start the machine anew"),
                }
            }
        }
    }
}

/// Where the helper's capability comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From its file; or it is root's, like all that root runs.
    File,
    /// From this process, which has it itself: ambient, or from root before `-u`.
    HandedOver,
}

/// Whether the command can be covered at all.
///
/// # Errors
/// [`Problem::Shim`].
pub fn check_shim() -> Result<(), Problem> {
    access(SHIM, AccessFlags::R_OK).map_err(Problem::Shim)
}

/// Where a helper would have its capability from.
///
/// # Errors
/// The first [`Problem`] that is found, where there is no such place.
pub fn source() -> Result<Source, Problem> {
    access(HELPER, AccessFlags::X_OK).map_err(Problem::Helper)?;
    if !sys::is_bound_capability_available() {
        return Err(Problem::Bounded);
    }
    match check_file() {
        Ok(()) => Ok(Source::File),
        Err(_) if sys::has_capability() => Ok(Source::HandedOver),
        Err(problem) => Err(problem),
    }
}

fn check_file() -> Result<(), Problem> {
    if geteuid().is_root() {
        // Root's programs have root's capabilities, whatever the file says.
        return Ok(());
    }
    if prctl::get_no_new_privs().unwrap_or(false) {
        return Err(Problem::NoNewPrivileges);
    }
    match sys::has_file_capability(Path::new(HELPER)) {
        Ok(true) => {}
        Ok(false) => return Err(Problem::NoCapability),
        Err(error) => return Err(Problem::UnknownCapability(error)),
    }
    match statvfs(HELPER) {
        Ok(mount) if mount.flags().contains(FsFlags::ST_NOSUID) => Err(Problem::Nosuid),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What keeps every rule from being a rule.
///
/// # Errors
/// [`Problem::Rules`].
pub fn check_rules() -> Result<(), Problem> {
    Rules::open(Path::new(RULES)).and_then(|rules| rules.check()).map_err(Problem::Rules)
}

/// Yama's setting, where a supervisor may look into the command; `None` where there is no Yama.
///
/// # Errors
/// [`Problem::PtraceScope`].
pub fn check_ptrace_scope() -> Result<Option<u8>, Problem> {
    let scope = fs::read_to_string(PTRACE_SCOPE).ok().and_then(|text| text.trim().parse().ok());
    match scope {
        // 2 takes a capability, which no supervisor has; 3 is for nobody.
        Some(scope @ 2..) => Err(Problem::PtraceScope(scope)),
        // 1 is for ancestors.
        Some(0 | 1) | None => Ok(scope),
    }
}
