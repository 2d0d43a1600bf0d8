//! The program `sandbox COMMAND [ARG...]`: a network, mount, IPC and pid namespace of its own for one command.
//!
//! In it, the tree of `$RAUTHBIND_STAGE` is installed, no rule exists but loopback and the users [`USERS`] do, and
//! nothing that is written below `/etc`, `/usr/local`, `/dev` and `/run` reaches the machine. When the command ends, or
//! the sandbox is killed, so does every process in it; with the last one go the namespaces and all that was in them.
//!
//! The status is the command's, or 128 and the number of the signal that ended it; 125, 126 and 127 as in env(1).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getppid, pipe2, read, write};
use xtask::layout::{Origin, RULES, Row, TABLE};

use crate::process::pid_of;
use crate::sys::{default_signals, fork_of_one_thread};

/// An ordinary user of the sandbox. The group of the same name and number is the user's own.
#[derive(Debug)]
pub struct SandboxUser {
    /// Login name.
    pub name: &'static str,
    /// User and group number.
    pub id: u32,
    /// Whether in group [`WEB`] too.
    pub web: bool,
}

/// The ordinary users of the sandbox, with homes `/run/home/NAME`.
pub const USERS: [SandboxUser; 3] = [
    SandboxUser { name: "alice", id: 4001, web: true },
    SandboxUser { name: "bob", id: 4002, web: false },
    SandboxUser { name: "carol", id: 4003, web: true },
];

/// The group that some of them share, and its number.
pub const WEB: (&str, u32) = ("web", 4100);

/// The sandbox's own, for root's eyes alone. No machine has it outside of a sandbox.
const PRIVATE: &str = "/run/rauthbind-sandbox";

/// Whether this process runs in a sandbox.
#[must_use]
pub fn is_inside() -> bool {
    Path::new(PRIVATE).is_dir()
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match run(env::args_os().skip(1).collect()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::from(error.status())
        }
    }
}

/// Why a sandbox could not be made, or its command not be run.
#[derive(Debug)]
enum Error {
    Usage,
    NoStage,
    Namespaces(Errno),
    Mount { target: String, errno: Errno },
    File { path: String, source: io::Error },
    System { call: &'static str, errno: Errno },
    Command { name: OsString, source: io::Error },
}

impl Error {
    fn status(&self) -> u8 {
        match self {
            Self::Command { source, .. } if source.kind() == ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            _ => 125,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("usage: sandbox COMMAND [ARG...]"),
            Self::NoStage => f.write_str("RAUTHBIND_STAGE must name an installed tree; `cargo xtask test` makes one"),
            Self::Namespaces(errno) => write!(
                f,
                "cannot make network, mount, IPC and pid namespaces: {}; be root, in a container a privileged one",
                errno.desc()
            ),
            Self::Mount { target, errno } => write!(f, "cannot mount {target}: {}", errno.desc()),
            Self::File { path, source } => write!(f, "{path}: {source}"),
            Self::System { call, errno } => write!(f, "{call}: {}", errno.desc()),
            Self::Command { name, source } => write!(f, "cannot run {}: {source}", name.to_string_lossy()),
        }
    }
}

fn system(call: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::System { call, errno }
}

/// What both processes come back with: the status to end with.
fn run(command: Vec<OsString>) -> Result<u8, Error> {
    let [name, args @ ..] = command.as_slice() else { return Err(Error::Usage) };
    let stage = env::var_os("RAUTHBIND_STAGE").ok_or(Error::NoStage)?;
    default_signals();
    die_with_parent()?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWPID)
        .map_err(Error::Namespaces)?;
    // Held open by the outer process alone, so that the inner one can tell whether that is still there.
    let (held_outside, outside) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe"))?;
    match fork_of_one_thread().map_err(system("fork"))? {
        ForkResult::Parent { child } => wait_for(child),
        ForkResult::Child => {
            drop(outside);
            set_pdeathsig(Signal::SIGKILL).map_err(system("prctl"))?;
            if is_hung_up(held_outside.as_fd())? {
                return Ok(125);
            }
            furnish(&stage)?;
            let started = Command::new(name).args(args).env("TMPDIR", "/run/tmp").spawn();
            let child = started.map_err(|source| Error::Command { name: name.clone(), source })?;
            wait_for(pid_of(&child))
        }
    }
}

/// Has the kernel kill this process when its parent dies, whatever the parent dies of.
fn die_with_parent() -> Result<(), Error> {
    let parent = getppid();
    set_pdeathsig(Signal::SIGKILL).map_err(system("prctl"))?;
    // It may have died before the kernel was told.
    if getppid() == parent { Ok(()) } else { Err(Error::System { call: "getppid", errno: Errno::ESRCH }) }
}

fn is_hung_up(pipe: impl AsFd) -> Result<bool, Error> {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).map(|ready| ready > 0).map_err(system("poll"))
}

/// Waits for this child, reaping every other as it comes. The status is as a shell gives it.
fn wait_for(child: Pid) -> Result<u8, Error> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(code.to_le_bytes()[0]),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(128 + (signal as i32).to_le_bytes()[0]);
            }
            // EINVAL is nix's word for an orphan's real-time signal.
            Ok(_) | Err(Errno::EINTR | Errno::EINVAL) => {}
            Err(errno) => return Err(Error::System { call: "waitpid", errno }),
        }
    }
}

/// Everything that the command finds around it.
fn furnish(stage: &OsStr) -> Result<(), Error> {
    umask(Mode::from_bits_truncate(0o022));
    mount_at("/", "none", "", MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")?;
    mount_at("/proc", "proc", "proc", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, "")?;
    // Overlay's options have no room for every path that a checkout may have: it is given a plain one.
    let staged = format!("{PRIVATE}/stage");
    mount_at("/run", "tmpfs", "tmpfs", MsFlags::MS_NODEV, "mode=0755")?;
    make_directory(PRIVATE, 0o700)?;
    make_directory(&staged, 0o755)?;
    mount_at(&staged, stage, "", MsFlags::MS_BIND, "")?;
    overlay("/usr/local", &staged)?;
    overlay("/etc", &staged)?;
    no_rules()?;
    devices()?;
    users()?;
    for (path, mode) in [("/run/tmp", 0o1777), ("/run/bin", 0o755)] {
        make_directory(path, mode)?;
    }
    loopback_up().map_err(system("loopback up"))
}

fn mount_at(target: &str, source: impl AsRef<OsStr>, kind: &str, flags: MsFlags, options: &str) -> Result<(), Error> {
    mount(Some(source.as_ref()), target, Some(kind), flags, Some(options))
        .map_err(|errno| Error::Mount { target: target.into(), errno })
}

/// Lays the stage over a directory of the machine, and what the sandbox writes over both.
fn overlay(target: &str, staged: &str) -> Result<(), Error> {
    let own = format!("{PRIVATE}{target}");
    for part in ["upper", "work"] {
        let path = format!("{own}/{part}");
        fs::create_dir_all(&path).map_err(|source| Error::File { path, source })?;
    }
    let options = format!("lowerdir={staged}{target}:{target},upperdir={own}/upper,workdir={own}/work");
    mount_at(target, "overlay", "overlay", MsFlags::empty(), &options)
}

/// Hides the rules of a machine that rauthbind is installed on.
fn no_rules() -> Result<(), Error> {
    let directories = TABLE.iter().filter(|row| row.origin == Origin::RulesDirectory && row.to != RULES);
    for Row { to, .. } in directories {
        fs::read_dir(to)
            .and_then(|mut rules| rules.try_for_each(|rule| fs::remove_file(rule?.path())))
            .map_err(|source| Error::File { path: (*to).into(), source })?;
    }
    Ok(())
}

/// A `/dev` with what every program expects in it, and room for a socket at `/dev/log`.
fn devices() -> Result<(), Error> {
    let dev = format!("{PRIVATE}/dev");
    let at = |name: &str| format!("{dev}/{name}");
    make_directory(&dev, 0o755)?;
    mount_at(&dev, "tmpfs", "tmpfs", MsFlags::MS_NOSUID, "mode=0755")?;
    for node in ["null", "zero", "full", "random", "urandom", "tty"] {
        write_file(&at(node), "")?;
        mount_at(&at(node), format!("/dev/{node}"), "", MsFlags::MS_BIND, "")?;
    }
    make_directory(&at("pts"), 0o755)?;
    mount_at(&at("pts"), "devpts", "devpts", MsFlags::MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620")?;
    make_directory(&at("shm"), 0o1777)?;
    for (name, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, at(name)).map_err(|source| Error::File { path: at(name), source })?;
    }
    mount_at("/dev", dev, "", MsFlags::MS_MOVE, "")
}

fn users() -> Result<(), Error> {
    let mut passwd = lines_of_others("/etc/passwd")?;
    let mut group = lines_of_others("/etc/group")?;
    make_directory("/run/home", 0o755)?;
    for SandboxUser { name, id, .. } in &USERS {
        let home = format!("/run/home/{name}");
        passwd += &format!("{name}:x:{id}:{id}::{home}:/bin/sh\n");
        group += &format!("{name}:x:{id}:\n");
        make_directory(&home, 0o755)?;
        chown(&home, Some(*id), Some(*id)).map_err(|source| Error::File { path: home, source })?;
    }
    let web: Vec<_> = USERS.iter().filter(|user| user.web).map(|user| user.name).collect();
    group += &format!("{}:x:{}:{}\n", WEB.0, WEB.1, web.join(","));
    write_file("/etc/passwd", &passwd)?;
    write_file("/etc/group", &group)?;
    // In a container, the machine's own file is a mount that the overlay does not see.
    write_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
}

/// The lines of the machine's passwd(5) or group(5) that have neither name nor number of ours.
fn lines_of_others(path: &str) -> Result<String, Error> {
    let ours = |field: &str| {
        let name_or_id = |name: &str, id: u32| field == name || field == id.to_string();
        USERS.iter().any(|user| name_or_id(user.name, user.id)) || name_or_id(WEB.0, WEB.1)
    };
    let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })?;
    let others = text.lines().filter(|line| ![0, 2].iter().any(|at| line.split(':').nth(*at).is_some_and(ours)));
    Ok(others.map(|line| format!("{line}\n")).collect())
}

fn make_directory(path: &str, mode: u32) -> Result<(), Error> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|source| Error::File { path: path.into(), source })
}

fn write_file(path: &str, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File { path: path.into(), source })
}

/// Sets IFF_UP on loopback, which is interface 1 of every network namespace: one message of rtnetlink(7) and its answer.
fn loopback_up() -> nix::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const NLM_F_ACK: u16 = 4;
    const LOOPBACK: u32 = 1;
    const IFF_UP: u32 = 1;
    let route = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let request = [
        // struct nlmsghdr: length, type, flags, sequence and port
        &32_u32.to_ne_bytes()[..],
        &RTM_NEWLINK.to_ne_bytes(),
        &(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes(),
        &[0; 8],
        // struct ifinfomsg: family and type, index, flags, and which of the flags to change
        &[0; 4],
        &LOOPBACK.to_ne_bytes(),
        &IFF_UP.to_ne_bytes(),
        &IFF_UP.to_ne_bytes(),
    ];
    write(&route, &request.concat())?;
    // Another struct nlmsghdr, then 0 or the negative errno.
    let mut answer = [0; 64];
    read(&route, &mut answer)?;
    let [.., a, b, c, d] = answer[..20] else { return Err(Errno::EBADMSG) };
    match i32::from_ne_bytes([a, b, c, d]) {
        0 => Ok(()),
        error => Err(Errno::from_raw(-error)),
    }
}
