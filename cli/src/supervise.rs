//! Supervision: programs that no preloaded library reaches have their binds answered from outside (seccomp_unotify(2)).
//!
//! ```text
//! launcher     waits, passes signals on, ends as the command ends
//!   supervisor   answers binds; adopts what the command leaves behind, and ends with the last of it
//!     command      with the filter, and no_new_privs
//! ```
//!
//! The supervisor is an ancestor of all whom it looks into, as Yama wants it, and has no privilege: what it may bind, the
//! helper decides, by the same calls as the shim's.

use std::convert::Infallible;
use std::ffi::c_int;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    getsockname, recvmsg, sendmsg, socketpair,
};
use nix::unistd::{ForkResult, Pid, chdir, getpgid, getpgrp, getpid, getppid};
use rauthbind_policy::first_unprivileged_port;
use rauthbind_wire::address::{LONGEST, RawAddress};
use rauthbind_wire::ask::ask;
use rauthbind_wire::channel::Channel;
use rauthbind_wire::message::Request;
use rauthbind_wire::names::UNPRIVILEGED_PORT_START;

use crate::error::Error;
use crate::notify::{self, Answer, Notification};
use crate::{say, sys};

/// rauthbind's own failure, as in env(1).
const OWN_FAILURE: c_int = 125;

/// What cannot be had.
#[derive(Debug)]
pub struct Unsupervised(pub &'static str, pub Errno);

impl std::fmt::Display for Unsupervised {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unsupervised(step, errno) = self;
        write!(out, "the command's binds cannot be supervised ({step}: {}); ", errno.desc())?;
        match errno {
            Errno::EBUSY => write!(out, "another program supervises it already"),
            Errno::ENOSYS | Errno::EINVAL => write!(out, "Linux 5.14 or later with seccomp is needed"),
            _ => write!(out, "see 'ulimit -a' for what has run out"),
        }
    }
}

/// What the supervisor tells the launcher of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Started(i32),
    Exited(i32),
    Killed(i32),
    Stopped(i32),
    Continued,
    /// This signal has been dealt with.
    Heeded(i32),
}

impl Report {
    /// By the numbers of waitid(2).
    fn of(code: c_int, status: c_int) -> Option<Report> {
        match code {
            libc::CLD_EXITED => Some(Report::Exited(status)),
            libc::CLD_KILLED | libc::CLD_DUMPED => Some(Report::Killed(status)),
            libc::CLD_STOPPED => Some(Report::Stopped(status)),
            libc::CLD_CONTINUED => Some(Report::Continued),
            _ => None,
        }
    }

    fn to_bytes(self) -> [u8; 8] {
        let (kind, value) = match self {
            Report::Started(pid) => (0_i32, pid),
            Report::Exited(code) => (1, code),
            Report::Killed(signal) => (2, signal),
            Report::Stopped(signal) => (3, signal),
            Report::Continued => (4, 0),
            Report::Heeded(signal) => (5, signal),
        };
        let mut bytes = [0; 8];
        let (first, second) = bytes.split_at_mut(4);
        first.copy_from_slice(&kind.to_ne_bytes());
        second.copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; 8]) -> Option<Report> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let value = i32::from_ne_bytes([e, f, g, h]);
        match i32::from_ne_bytes([a, b, c, d]) {
            0 => Some(Report::Started(value)),
            1 => Some(Report::Exited(value)),
            2 => Some(Report::Killed(value)),
            3 => Some(Report::Stopped(value)),
            4 => Some(Report::Continued),
            5 => Some(Report::Heeded(value)),
            _ => None,
        }
    }
}

/// Runs the command under a supervisor; `execute` becomes it. Gives the command's exit status, or ends by its signal.
///
/// # Errors
/// The command was not started.
pub fn run(
    channel: Option<&Channel>,
    execute: impl FnOnce(bool) -> Result<Infallible, Error>,
) -> Result<c_int, Unsupervised> {
    let step = |name| move |errno| Unsupervised(name, errno);
    let (report, reporting) = pair()?;
    let (from_command, to_supervisor) = pair()?;
    let mut before = Before { mask: SigSet::empty(), child_action: libc::SIG_DFL };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before.mask)).map_err(step("sigprocmask"))?;
    // Where it is ignored, nobody would hear of the ends of children.
    before.child_action = sys::set_child_action(libc::SIG_DFL);
    match sys::fork() {
        Ok(ForkResult::Child) => {
            drop(report);
            Ok(in_child(&before, channel, from_command, to_supervisor, reporting, execute))
        }
        Ok(ForkResult::Parent { .. }) => {
            drop((reporting, from_command, to_supervisor));
            // If the supervisor dies, the command is ours to wait for.
            let _ = prctl::set_child_subreaper(true);
            Ok(mirror(report))
        }
        Err(errno) => {
            before.restore();
            Err(Unsupervised("fork", errno))
        }
    }
}

/// What the command is to find of signals.
struct Before {
    mask: SigSet,
    child_action: libc::sighandler_t,
}

impl Before {
    fn restore(&self) {
        let _ = sys::set_child_action(self.child_action);
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None);
    }
}

/// The launcher's child: the supervisor, and from there the command. Gives the status to end with.
fn in_child(
    before: &Before,
    channel: Option<&Channel>,
    from_command: UnixStream,
    to_supervisor: UnixStream,
    reporting: UnixStream,
    execute: impl FnOnce(bool) -> Result<Infallible, Error>,
) -> c_int {
    let _ = prctl::set_child_subreaper(true);
    match sys::fork() {
        Ok(ForkResult::Child) => {
            drop((reporting, from_command));
            become_command(before, &to_supervisor, execute)
        }
        Ok(ForkResult::Parent { child }) => {
            drop(to_supervisor);
            supervise(child, channel, &from_command, reporting);
            0
        }
        Err(errno) => {
            say(&Unsupervised("fork", errno));
            OWN_FAILURE
        }
    }
}

/// Two ends that are not 0, 1 or 2, which may be closed: they would be lost with these.
fn pair() -> Result<(UnixStream, UnixStream), Unsupervised> {
    let step = |errno| Unsupervised("socketpair", errno);
    let (one, other) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).map_err(step)?;
    let raise =
        |end: OwnedFd| fcntl(end, FcntlArg::F_DUPFD_CLOEXEC(3)).map(|raised| UnixStream::from(sys::own(raised)));
    Ok((raise(one).map_err(step)?, raise(other).map_err(step)?))
}

/// The command's process, until it is the command.
fn become_command(
    before: &Before,
    to_supervisor: &UnixStream,
    execute: impl FnOnce(bool) -> Result<Infallible, Error>,
) -> c_int {
    let _ = prctl::set_child_subreaper(false);
    let listener = notify::listen();
    let is_supervised = listener.is_ok();
    match listener {
        Ok(listener) => {
            let descriptors = [listener.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&descriptors)];
            let _ = sendmsg::<()>(to_supervisor.as_raw_fd(), &[IoSlice::new(b"l")], &rights, MsgFlags::empty(), None);
        }
        Err(errno) => {
            say(&Unsupervised("seccomp", errno));
            let _ = (&*to_supervisor).write_all(b"n");
        }
    }
    // Not before the supervisor is ready: under a filter without one, no bind works at all.
    let mut go = [0];
    if !matches!((&*to_supervisor).read(&mut go), Ok(1)) {
        say(&Unsupervised("supervisor", Errno::EMFILE));
        return OWN_FAILURE;
    }
    before.restore();
    match execute(is_supervised) {
        Ok(never) => match never {},
        Err(error) => {
            say(&error);
            error.exit_status()
        }
    }
}

/// The supervisor's work, to the end of the last process of the command's tree.
fn supervise(command: Pid, channel: Option<&Channel>, from_command: &UnixStream, reporting: UnixStream) {
    // A root that supervises must not look into processes of other users: they are not whom the helper serves.
    if sys::let_capabilities_rest().is_err() {
        return;
    }
    raise_descriptor_limit();
    sys::close_standard_descriptors();
    let Some(mut listener) = receive_listener(from_command) else { return };
    let port_start = File::open(UNPRIVILEGED_PORT_START).ok();
    let Ok(signals) = SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), SfdFlags::SFD_CLOEXEC) else { return };
    let kept = [
        channel.map(|channel| channel.descriptor),
        listener.as_ref().map(AsRawFd::as_raw_fd),
        port_start.as_ref().map(AsRawFd::as_raw_fd),
        Some(signals.as_fd().as_raw_fd()),
        Some(from_command.as_raw_fd()),
        Some(reporting.as_raw_fd()),
    ];
    leave_everything_but(&kept.into_iter().flatten().collect::<Vec<_>>());
    let _ = reporting.set_nonblocking(true);
    let mut launcher = Some(Launcher { process: getppid(), stream: reporting });
    tell(launcher.as_ref(), Report::Started(command.as_raw()));
    let _ = (&*from_command).write_all(b"g");
    if let Some(listener) = &listener {
        notify::wake_in_step(listener.as_fd());
    }
    let supervisor = Supervisor { channel, port_start };
    loop {
        // What is missing is not waited for.
        let nobody = || PollFd::new(signals.as_fd(), PollFlags::empty());
        let for_input = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
        let mut polls = [
            for_input(signals.as_fd()),
            listener.as_ref().map_or_else(nobody, |listener| for_input(listener.as_fd())),
            launcher.as_ref().map_or_else(nobody, |launcher| for_input(launcher.stream.as_fd())),
        ];
        match poll(&mut polls, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let [child, bind, asked] = polls.map(|poll| poll.revents().unwrap_or(PollFlags::empty()));
        if bind.contains(PollFlags::POLLIN) {
            if let Some(listener) = &listener {
                supervisor.serve(listener.as_fd());
            }
        } else if !bind.is_empty() {
            // Nobody has the filter any more.
            listener = None;
        }
        if !child.is_empty() {
            let _ = signals.read_signal();
            if !reap(command, &mut launcher) {
                return;
            }
        }
        if !asked.is_empty() {
            launcher = launcher.filter(|launcher| heed(launcher, command));
        }
    }
}

/// The launcher, as long as it stands for the command.
struct Launcher {
    process: Pid,
    stream: UnixStream,
}

/// Passes on what the launcher was sent; false where it is gone.
fn heed(launcher: &Launcher, command: Pid) -> bool {
    let mut number = [0; 4];
    match (&launcher.stream).read(&mut number) {
        Ok(4) => {
            let number = i32::from_ne_bytes(number);
            // What was sent to all of our group, the command has already.
            let is_one_of_us = getpgid(Some(command)) == Ok(getpgrp());
            if !(is_one_of_us && sys::take_pending_signal(number)) {
                let _ = sys::send_signal(command, number);
            }
            let _ = (&launcher.stream).write_all(&Report::Heeded(number).to_bytes());
            true
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => true,
        // Whoever killed it meant the command.
        Ok(_) | Err(_) => {
            let _ = sys::send_signal(command, libc::SIGKILL);
            false
        }
    }
}

/// The limit is the command's; it has been passed on.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The listener; `None` in it where the command has none. `None` where it got lost.
fn receive_listener(from_command: &UnixStream) -> Option<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from_command.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
    let listener = message.cmsgs().ok()?.find_map(|part| match part {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().map(|raw| sys::own(*raw)),
        _ => None,
    });
    match (byte, listener) {
        ([b'l'], Some(listener)) => Some(Some(listener)),
        ([b'n'], None) => Some(None),
        _ => None,
    }
}

/// Lets go of all descriptors but these, and of the directory: they are the command's.
fn leave_everything_but(kept: &[RawFd]) {
    sys::close_all_but(kept);
    let _ = chdir("/");
}

/// Takes in what has become of children. False where there are none left.
fn reap(command: Pid, launcher: &mut Option<Launcher>) -> bool {
    loop {
        match sys::what_became_of_a_child() {
            Ok(Some((pid, code, status))) if pid == command => {
                let Some(report) = Report::of(code, status) else { continue };
                tell(launcher.as_ref(), report);
                if matches!(report, Report::Exited(_) | Report::Killed(_)) {
                    *launcher = None;
                }
            }
            Ok(None) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Tells the launcher; it is not to stay stopped when the command does not.
fn tell(launcher: Option<&Launcher>, report: Report) {
    let Some(launcher) = launcher else { return };
    let _ = (&launcher.stream).write_all(&report.to_bytes());
    if !matches!(report, Report::Started(_) | Report::Stopped(_)) {
        let _ = sys::send_signal(launcher.process, libc::SIGCONT);
    }
}

struct Supervisor<'a> {
    channel: Option<&'a Channel>,
    port_start: Option<File>,
}

impl Supervisor<'_> {
    /// One bind.
    fn serve(&self, listener: BorrowedFd<'_>) {
        let Ok(notification) = notify::receive(listener) else { return };
        let answer = self.decide(listener, &notification).unwrap_or(Answer::Continue);
        notify::answer(listener, &notification, answer);
    }

    /// `None` where it is for the kernel to decide: it checks everything, whatever the caller has changed since.
    fn decide(&self, listener: BorrowedFd<'_>, notification: &Notification) -> Option<Answer> {
        let bind = notification.bind().ok()?;
        let length = usize::try_from(bind.length).ok().filter(|length| *length <= LONGEST)?;
        let mut bytes = [0; LONGEST];
        let bytes = bytes.get_mut(..length)?;
        notification.read(bind.address, bytes).ok()?;
        // From here on this copy alone counts.
        let address = RawAddress::new(bytes).filter(RawAddress::may_be_privileged)?;
        if u32::from(address.port()?) >= first_unprivileged_port(self.port_start.as_ref()?)? {
            return None;
        }
        let socket = notification.descriptor(bind.socket).ok()?;
        // Others have no ports.
        let family = getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok()?.family();
        if !matches!(family, Some(AddressFamily::Inet | AddressFamily::Inet6)) {
            return None;
        }
        // What was read and taken was the caller's, if it is still there.
        if !notify::still_waits(listener, notification) {
            return None;
        }
        let request = Request { address };
        let refusal = match ask(self.channel, socket.as_raw_fd(), &request) {
            Ok(()) => return Some(Answer::Bound),
            Err(refusal) if refusal.errno() != libc::EACCES => return Some(Answer::Failed(refusal.errno())),
            Err(refusal) => refusal,
        };
        // Its own standard error, as with the shim.
        let errors = notification.descriptor(libc::STDERR_FILENO).ok();
        if let Some(errors) = errors.filter(|_| notify::still_waits(listener, notification)) {
            refusal.hint(errors.as_raw_fd(), &request);
        }
        None
    }
}

/// The launcher's part: what is done to it is done to the command, and what becomes of the command becomes of it.
fn mirror(report: UnixStream) -> c_int {
    raise_descriptor_limit();
    sys::close_standard_descriptors();
    let Ok(signals) = SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC) else { return OWN_FAILURE };
    leave_everything_but(&[report.as_raw_fd(), signals.as_fd().as_raw_fd()]);
    // What comes before there is a command waits for it.
    let Some(Report::Started(command)) = next(&report) else { return OWN_FAILURE };
    let command = Pid::from_raw(command);
    // What the supervisor has been told to pass on, and has not yet.
    let mut unheeded = Vec::new();
    let mut stopped = None;
    loop {
        let mut polls =
            [PollFd::new(report.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polls, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return OWN_FAILURE,
        }
        let [told, signalled] = polls.map(|poll| poll.revents().is_some_and(|events| !events.is_empty()));
        if signalled {
            if let Some(number) = signals.read_signal().ok().flatten().and_then(|signal| for_the_command(&signal)) {
                let _ = (&report).write_all(&number.to_ne_bytes());
                unheeded.push(number);
            }
        }
        if told {
            match next(&report) {
                Some(Report::Exited(code)) => return code,
                Some(Report::Killed(signal)) => return end_by(signal),
                Some(Report::Stopped(signal)) => stopped = Some(signal),
                Some(Report::Continued) => stopped = None,
                Some(Report::Heeded(signal)) => {
                    let first = unheeded.iter().position(|number| *number == signal);
                    first.map(|first| unheeded.remove(first));
                }
                Some(Report::Started(_)) => {}
                None => {
                    for number in unheeded {
                        let _ = sys::send_signal(command, number);
                    }
                    return take_over(&signals, command);
                }
            }
        }
        // Not where it goes on already.
        if !has_more(&report) {
            stopped.take().into_iter().for_each(sys::suffer);
        }
    }
}

fn has_more(report: &UnixStream) -> bool {
    poll(&mut [PollFd::new(report.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
}

fn next(report: &UnixStream) -> Option<Report> {
    let mut bytes = [0; 8];
    (&*report).read_exact(&mut bytes).ok()?;
    Report::from_bytes(bytes)
}

/// The signal, where it is meant for the command: as almost all are that this process is sent.
fn for_the_command(signal: &libc::signalfd_siginfo) -> Option<c_int> {
    let number = i32::try_from(signal.ssi_signo).ok()?;
    // The supervisor's, which has us go on when the command does.
    let from_supervisor = number == libc::SIGCONT && is_child_of_ours(signal.ssi_pid);
    (number != libc::SIGCHLD && !from_supervisor).then_some(number)
}

fn is_child_of_ours(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
    parent == Some(getpid().as_raw())
}

/// The same when the supervisor is gone, and the command this process's own child, or about to be.
fn take_over(signals: &SignalFd, command: Pid) -> c_int {
    loop {
        match sys::what_became_of_a_child() {
            Ok(Some((pid, code, status))) if pid == command => match Report::of(code, status) {
                Some(Report::Exited(code)) => return code,
                Some(Report::Killed(signal)) => return end_by(signal),
                Some(Report::Stopped(signal)) => sys::suffer(signal),
                Some(Report::Started(_) | Report::Continued | Report::Heeded(_)) | None => {}
            },
            Ok(None) => {
                if let Some(number) = signals.read_signal().ok().flatten().and_then(|signal| for_the_command(&signal)) {
                    let _ = sys::send_signal(command, number);
                }
            }
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Err(_) => return OWN_FAILURE,
        }
    }
}

/// Ends this process by a signal, as the command was.
fn end_by(signal: c_int) -> c_int {
    // The core is the command's.
    let _ = prctl::set_dumpable(false);
    sys::suffer(signal);
    128_i32.saturating_add(signal)
}
