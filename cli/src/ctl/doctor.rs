//! `doctor`: what is wrong with the installation, and with how a command would run under it, each with its mend.
//!
//! Much of it looks different to root. So root first looks at the command and at the rules, and then
//! becomes a user that nobody is.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::sys::utsname::uname;
use nix::unistd::{AccessFlags, access, geteuid};
use rauthbind_policy::first_unprivileged_port;
use rauthbind_wire::PROTOCOL;
use rauthbind_wire::ask::is_broker_there;
use rauthbind_wire::channel::Channel;
use rauthbind_wire::names::{self, BROKER, HELPER, RULES, SHIM, UNPRIVILEGED_PORT_START};

use super::Outcome;
use super::arguments::Doctor;
use super::error::Error;
use super::list;
use super::output::{BAD, GOOD, escaped, print};
use super::rules::{Key, RuleSet, user_of};
use crate::accounts::GETENT;
use crate::program::{self, Barrier, Nature, Program};
use crate::setup::{self, Problem};
use crate::{identity, sys};

/// User and group of nobody's, whose processes nobody else could enter: of the numbers that no system gives to anybody
/// (systemd.io/UIDS-GIDS). The user nobody has processes of its own on many a machine.
const NOBODY: &str = "65533";

/// The oldest Linux that will do: the first with seccomp's notifications as a supervisor needs them.
const OLDEST_KERNEL: (u32, u32) = (5, 14);

/// What the kernel can do with a filtered system call (seccomp(2)).
const SECCOMP_ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";

/// The first port that is not privileged, unless somebody has set it.
const USUAL_PORT_START: u32 = 1024;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Something does not work, or is not safe.
    Wrong,
    /// It may be wrong.
    Untold,
    /// Good to know.
    Remark,
}

/// What was found.
enum Finding {
    /// What the launcher would say too.
    Problem(Problem),
    /// The same, but the broker serves.
    Served(Problem),
    /// Not even root can see it with an ordinary user's eyes.
    RootsEyes(crate::error::Error),
    /// Somebody else than root could change it.
    Owner(PathBuf, u32),
    Writable(PathBuf, u32),
    /// The helper does not start, and says why.
    HelperSays(String),
    /// The loader, or the library itself, says something where it should be silent.
    ShimSays(String),
    /// What it would say is not known.
    NotRun(PathBuf, io::Error),
    Version(PathBuf, String),
    /// A rule that others than root could change.
    ForeignRule(String),
    /// Something in the directory of rules that is no effective rule.
    IdleRule(String),
    NoLauncher,
    SecureLauncher(PathBuf),
    Noexec,
    OldKernel(String),
    /// No program can be supervised; the command is to be, or some other might.
    Unsupervised(Obstacle, bool),
    UnknownPrivilege,
    PortStart(u32),
    SilentBroker,
    NoCommand(String),
    NoInterpreter(PathBuf, PathBuf),
    NotExecutable(PathBuf),
    NoLoader(PathBuf, PathBuf),
    Privileged(PathBuf),
    Script(PathBuf, PathBuf),
    Preloaded(PathBuf, PathBuf),
    Supervised(PathBuf, Barrier),
    Launcher(PathBuf),
    UnknownProgram(PathBuf),
}

/// What keeps the kernel from having programs supervised.
enum Obstacle {
    NoNotifications,
    Yama(Problem),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::NoNotifications => write!(
                out,
                "the kernel has no seccomp notifications ({SECCOMP_ACTIONS}); use one with CONFIG_SECCOMP_FILTER"
            ),
            Obstacle::Yama(problem) => write!(out, "{problem}"),
        }
    }
}

impl Finding {
    fn weight(&self) -> Weight {
        match self {
            Finding::RootsEyes(_) | Finding::NotRun(..) | Finding::Launcher(_) | Finding::UnknownProgram(_) => {
                Weight::Untold
            }
            Finding::Served(_)
            | Finding::Unsupervised(_, false)
            | Finding::PortStart(_)
            | Finding::IdleRule(_)
            | Finding::SilentBroker
            | Finding::Script(..)
            | Finding::Preloaded(..)
            | Finding::Supervised(..) => Weight::Remark,
            _ => Weight::Wrong,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| escaped(&path.to_string_lossy());
        match self {
            Finding::Problem(problem) => write!(out, "{problem}"),
            Finding::Served(problem) => write!(out, "the broker, {BROKER}, serves; without it: {problem}"),
            Finding::RootsEyes(error) => write!(out, "what follows is as root sees it, not an ordinary user: {error}"),
            Finding::Owner(path, uid) => {
                let path = shown(path);
                write!(out, "{path} belongs to user id {uid}, not to root; as root, run: chown root {path}")
            }
            Finding::Writable(path, mode) => {
                let path = shown(path);
                write!(
                    out,
                    "{path} can be written to by others than root (mode {:04o}); as root, run: chmod go-w {path}",
                    mode & 0o7777
                )
            }
            Finding::HelperSays(text) => write!(out, "the helper does not start: {}", escaped(text)),
            Finding::ShimSays(text) => write!(out, "{SHIM} cannot be used: {}; install rauthbind again", escaped(text)),
            Finding::NotRun(path, error) => write!(out, "{} cannot be run: {error}", shown(path)),
            Finding::Version(path, version) => write!(
                out,
                "{} says that it is {:?}, but rauthbindctl is of version {}; install all of rauthbind from one version",
                shown(path),
                version,
                env!("CARGO_PKG_VERSION")
            ),
            Finding::ForeignRule(file) => {
                let path = format!("{RULES}/{}", escaped(file));
                write!(
                    out,
                    "{path} can be changed by others than root, who can grant themselves or others more; as root, run: \
                     chown root {path} && chmod go-w {path}"
                )
            }
            Finding::IdleRule(file) => {
                write!(out, "{RULES}/{} is not what it seems to be; rauthbindctl list tells why", escaped(file))
            }
            Finding::NoLauncher => {
                write!(out, "there is no rauthbind in PATH; add its directory to PATH, or install rauthbind again")
            }
            Finding::SecureLauncher(path) => write!(out, "{}", crate::error::Error::Secure(path.clone())),
            Finding::Noexec => write!(
                out,
                "{RULES} is on a file system that is mounted noexec, where nobody may execute a file, so that no rule \
                 but those in byuid grants anything; as root, run: mount -o remount,exec for that file system, or use \
                 byuid"
            ),
            Finding::OldKernel(release) => {
                let (major, minor) = OLDEST_KERNEL;
                write!(
                    out,
                    "Linux {} is older than {major}.{minor}, which rauthbind needs; upgrade it",
                    escaped(release)
                )
            }
            Finding::Unsupervised(obstacle, _) => {
                write!(out, "programs that are static or written in Go cannot be supervised: {obstacle}")
            }
            Finding::UnknownPrivilege => write!(out, "{}", Error::UnknownPrivilege),
            Finding::PortStart(0) => write!(
                out,
                "no port is privileged here ({UNPRIVILEGED_PORT_START} is 0), so that anybody may bind every port, \
                 whatever the rules"
            ),
            Finding::PortStart(start) => write!(
                out,
                "ports from {start} on are not privileged here ({UNPRIVILEGED_PORT_START}); rules for them have no meaning"
            ),
            Finding::SilentBroker => {
                write!(out, "nobody answers at the broker's socket, {BROKER}; systemctl start rauthbind-broker.socket")
            }
            Finding::NoCommand(command) => write!(out, "there is no command {command:?}; look for it in PATH"),
            Finding::NoInterpreter(script, interpreter) => {
                write!(out, "{}: its interpreter, {}, is not there; install it", shown(script), shown(interpreter))
            }
            Finding::NotExecutable(path) => {
                let path = shown(path);
                write!(out, "{path} cannot be executed; run: chmod a+x {path}")
            }
            Finding::NoLoader(path, loader) => write!(
                out,
                "{}: its loader, {}, is not there; install the C library that it is for",
                shown(path),
                shown(loader)
            ),
            Finding::Privileged(path) => write!(
                out,
                "{} is setuid, setgid or has capabilities of its own, so that no library can be preloaded into it, and \
                 a supervisor would take these from it; let it bind its ports by itself, or take them away (chmod \
                 u-s,g-s; setcap -r)",
                shown(path)
            ),
            Finding::Script(script, next) => write!(
                out,
                "{} is run by {}; should it start programs that are static or written in Go, use --mode supervise",
                shown(script),
                shown(next)
            ),
            Finding::Preloaded(path, loader) => {
                write!(out, "{} has the loader {}: mode auto preloads {SHIM}", shown(path), shown(loader))
            }
            Finding::Supervised(path, barrier) => write!(
                out,
                "{} {barrier}: mode auto supervises it, under no_new_privs, so that sudo and the like fail in it",
                shown(path)
            ),
            Finding::Launcher(path) => {
                write!(out, "{} is rauthbind itself; give the command that is to run under it", shown(path))
            }
            Finding::UnknownProgram(path) => write!(
                out,
                "{} cannot be read or is no ELF file, so that nothing is known of it: mode auto preloads, which is in \
                 vain if it is static or written in Go; then use --mode supervise",
                shown(path)
            ),
        }
    }
}

/// `rauthbindctl doctor`
///
/// # Errors
/// [`Error`]
pub fn doctor(asked: &Doctor) -> Result<Outcome, Error> {
    let mut findings = Vec::new();
    let launcher = program::find(OsStr::new("rauthbind"));
    if let Some(command) = asked.command.first() {
        examine_command(command, launcher.as_deref(), &mut findings);
    }
    examine_rule_files(&mut findings);
    let own = std::env::current_exe().ok();
    if geteuid().is_root() {
        findings.extend(become_nobody().err().map(Finding::RootsEyes));
    }
    let files = [Some(HELPER.into()), Some(SHIM.into()), launcher.clone(), own];
    examine_owners(files.into_iter().flatten(), &mut findings);
    examine_launcher(launcher, &mut findings);
    examine_shim(&mut findings);
    examine_helper(&mut findings);
    examine_rules(&mut findings);
    examine_kernel(&mut findings);
    let is_needed = findings.iter().any(|finding| matches!(finding, Finding::Supervised(..)));
    findings.extend(obstacle().map(|obstacle| Finding::Unsupervised(obstacle, is_needed)));
    print(&report(&findings))?;
    let is_any = |weight| findings.iter().any(|finding| finding.weight() == weight);
    Ok(match (is_any(Weight::Wrong), is_any(Weight::Untold)) {
        (true, _) => Outcome::Bad,
        (false, true) => Outcome::Untold,
        (false, false) => Outcome::Good,
    })
}

fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (weight, word, style) in
        [(Weight::Wrong, "wrong", BAD), (Weight::Untold, "cannot tell", BAD), (Weight::Remark, "note", GOOD)]
    {
        for finding in findings.iter().filter(|finding| finding.weight() == weight) {
            text += &format!("{style}{word}{style:#}: {finding}\n");
        }
    }
    if findings.iter().all(|finding| finding.weight() == Weight::Remark) {
        text += &format!("{GOOD}nothing is wrong{GOOD:#}\n");
    }
    text
}

fn become_nobody() -> Result<(), crate::error::Error> {
    identity::become_user(NOBODY, Some(NOBODY))?;
    sys::give_up_all_capabilities().map_err(crate::error::Error::Capability)
}

/// Whether somebody else than root could replace what runs with a privilege, or in other users' programs.
fn examine_owners(files: impl Iterator<Item = PathBuf>, findings: &mut Vec<Finding>) {
    let with_directory = files.flat_map(|file| [file.parent().map(Path::to_owned), Some(file)]).flatten();
    let mut paths: Vec<PathBuf> = with_directory.chain(Path::new(BROKER).parent().map(Path::to_owned)).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        // What is missing, others find.
        let Ok(status) = fs::metadata(&path) else { continue };
        let mode = status.permissions().mode();
        if status.uid() != 0 {
            findings.push(Finding::Owner(path, status.uid()));
        } else if mode & 0o022 != 0 {
            findings.push(Finding::Writable(path, mode));
        }
    }
}

fn examine_launcher(launcher: Option<PathBuf>, findings: &mut Vec<Finding>) {
    let Some(launcher) = launcher else { return findings.push(Finding::NoLauncher) };
    if File::open(&launcher).is_ok_and(|file| sys::has_privileges(&file)) {
        return findings.push(Finding::SecureLauncher(launcher));
    }
    examine_version(&launcher, "rauthbind", findings);
}

fn examine_version(program: &Path, name: &str, findings: &mut Vec<Finding>) {
    match Command::new(program).arg("--version").stdin(Stdio::null()).output() {
        Ok(Output { stdout, .. }) => {
            let told = String::from_utf8_lossy(&stdout).trim_end().to_owned();
            if told != format!("{name} {}", env!("CARGO_PKG_VERSION")) {
                findings.push(Finding::Version(program.to_owned(), told));
            }
        }
        Err(error) => findings.push(Finding::NotRun(program.to_owned(), error)),
    }
}

/// Loads it into a program that will not use it.
fn examine_shim(findings: &mut Vec<Finding>) {
    if let Err(problem) = setup::check_shim() {
        return findings.push(Finding::Problem(problem));
    }
    // Of our protocol, and not there: so that it speaks of another protocol, and else keeps silent.
    let channel = Channel { descriptor: i32::MAX, inode: 1 };
    let mut program = Command::new(GETENT);
    program.args(["passwd", "root"]).env_clear().env(names::LD_PRELOAD, SHIM);
    match program.env(names::CHANNEL, channel.to_string()).stdin(Stdio::null()).output() {
        Ok(Output { stderr, .. }) => findings.extend(first_line(&stderr).map(Finding::ShimSays)),
        Err(error) => findings.push(Finding::NotRun(GETENT.into(), error)),
    }
}

/// Starts it, as the launcher would, at one end of a channel whose other end is closed, so that it ends at once.
fn examine_helper(findings: &mut Vec<Finding>) {
    let is_broker_there = is_broker_there();
    if !is_broker_there && fs::symlink_metadata(BROKER).is_ok() {
        findings.push(Finding::SilentBroker);
    }
    match setup::source().and_then(|_| start_helper()) {
        Err(problem) if is_broker_there => findings.push(Finding::Served(problem)),
        Err(problem) => findings.push(Finding::Problem(problem)),
        Ok(Some(complaint)) => findings.push(Finding::HelperSays(complaint)),
        Ok(None) => examine_version(Path::new(HELPER), "rauthbind-helper", findings),
    }
}

/// Gives what the helper says where it does not start.
fn start_helper() -> Result<Option<String>, Problem> {
    let (ours, helpers) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(Problem::Channel)?;
    drop(ours);
    let mut helper = Command::new(HELPER);
    helper.args(["--protocol", &PROTOCOL.to_string()]).stdin(helpers);
    match helper.output() {
        Ok(Output { status, .. }) if status.success() => Ok(None),
        Ok(Output { status, stderr, .. }) => Ok(Some(first_line(&stderr).unwrap_or_else(|| status.to_string()))),
        Err(error) => match Errno::try_from(error).unwrap_or(Errno::EIO) {
            Errno::ENOEXEC => Err(Problem::NoProgram),
            errno => Err(Problem::Channel(errno)),
        },
    }
}

fn first_line(text: &[u8]) -> Option<String> {
    String::from_utf8_lossy(text).lines().next().map(str::to_owned)
}

fn examine_rules(findings: &mut Vec<Finding>) {
    findings.extend(setup::check_rules().err().map(Finding::Problem));
    if statvfs(RULES).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOEXEC)) {
        findings.push(Finding::Noexec);
    }
}

/// As far as they can be read, which for others than root may be not at all.
fn examine_rule_files(findings: &mut Vec<Finding>) {
    let rules = RuleSet::read(Path::new(RULES)).unwrap_or_default();
    let idle: BTreeSet<String> = list::findings(&rules).into_iter().map(|finding| finding.file).collect();
    for (file, rule) in rules.0 {
        // No name that nothing looks for can grant anything, nor is it fit for a command line.
        let is_looked_for = Key::of(&file).is_some() || user_of(&file).is_some();
        if is_looked_for && rule.access.is_foreign() {
            findings.push(Finding::ForeignRule(file));
        } else if idle.contains(&file) {
            findings.push(Finding::IdleRule(file));
        }
    }
}

fn examine_kernel(findings: &mut Vec<Finding>) {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    if version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        findings.push(Finding::OldKernel(release));
    }
    match File::open(UNPRIVILEGED_PORT_START).ok().and_then(|file| first_unprivileged_port(&file)) {
        None => findings.push(Finding::UnknownPrivilege),
        Some(USUAL_PORT_START) => {}
        Some(start) => findings.push(Finding::PortStart(start)),
    }
}

/// What keeps programs from being supervised.
fn obstacle() -> Option<Obstacle> {
    let actions = fs::read_to_string(SECCOMP_ACTIONS).unwrap_or_default();
    if !actions.split_whitespace().any(|action| action == "user_notif") {
        return Some(Obstacle::NoNotifications);
    }
    setup::check_ptrace_scope().err().map(Obstacle::Yama)
}

/// Major and minor number of a kernel's release, such as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What would become of a command.
fn examine_command(command: &OsStr, launcher: Option<&Path>, findings: &mut Vec<Finding>) {
    let Some(Program { scripts, path, nature }) = Program::of(command) else {
        return findings.push(Finding::NoCommand(command.to_string_lossy().into_owned()));
    };
    let steps = scripts.iter().chain([&path]);
    for (at, step) in steps.clone().enumerate() {
        let script = at.checked_sub(1).and_then(|before| scripts.get(before));
        match (access(step, AccessFlags::X_OK), script) {
            (Ok(()), _) => {}
            (Err(Errno::ENOENT), Some(script)) => {
                return findings.push(Finding::NoInterpreter(script.clone(), step.clone()));
            }
            (Err(Errno::ENOENT), None) => {
                return findings.push(Finding::NoCommand(command.to_string_lossy().into_owned()));
            }
            (Err(_), _) => return findings.push(Finding::NotExecutable(step.clone())),
        }
    }
    let pairs = scripts.iter().zip(steps.skip(1));
    findings.extend(pairs.map(|(script, next)| Finding::Script(script.clone(), next.clone())));
    let is_launcher = launcher.is_some_and(|launcher| fs::canonicalize(launcher).ok() == fs::canonicalize(&path).ok());
    findings.push(match nature {
        _ if is_launcher => Finding::Launcher(path),
        Nature::Preloadable(loader) if !loader.exists() => Finding::NoLoader(path, loader),
        Nature::Preloadable(loader) => Finding::Preloaded(path, loader),
        Nature::Barred(barrier) => Finding::Supervised(path, barrier),
        Nature::Privileged => Finding::Privileged(path),
        Nature::Ourselves | Nature::Unknown => Finding::UnknownProgram(path),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_release() {
        for (release, known) in [
            ("5.14.0", Some((5, 14))),
            ("6.1.0-18-amd64", Some((6, 1))),
            ("5.13-rc1", Some((5, 13))),
            ("10.0+", Some((10, 0))),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(version(release), known, "{release}");
        }
    }
}
