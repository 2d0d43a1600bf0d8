//! The unsafe part: what can only be done between fork and exec, and system calls that nix does not have.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setgroups, setresgid, setresuid};

/// The system calls by which the C library waits in poll(2), and in pause(2).
#[cfg(target_arch = "x86_64")]
pub const POLL_AND_PAUSE: [i64; 2] = [libc::SYS_poll, libc::SYS_pause];
/// Newer machines have neither.
#[cfg(not(target_arch = "x86_64"))]
pub const POLL_AND_PAUSE: [i64; 2] = [libc::SYS_ppoll; 2];

/// fork(2), for a program of one thread.
///
/// # Errors
/// As fork(2); and EDEADLK where there are more threads, because the child could wait for ever for a lock of theirs.
pub(crate) fn fork_of_one_thread() -> nix::Result<ForkResult> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(Errno::EDEADLK);
    }
    // SAFETY: no other thread can hold a lock that the child would need.
    unsafe { fork() }
}

/// Makes a command run as this user with exactly these groups, dropped as login(1) drops them.
pub(crate) fn run_as(command: &mut Command, uid: Uid, gid: Gid, groups: Vec<Gid>) {
    let drop = move || -> io::Result<()> {
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        Ok(())
    };
    // SAFETY: the closure makes three system calls and allocates nothing; an Errno becomes an io::Error without either.
    unsafe { command.pre_exec(drop) };
}

/// Gives every signal its default action again, whatever whoever started the tests ignores (nohup(1) ignores SIGHUP).
pub(crate) fn default_signals() {
    for number in 1..libc::SIGRTMAX() {
        // SAFETY: installs no handler, so none can be run; fails for those that always have it.
        let _ = unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Makes the calling thread, and no other, run as this user with exactly these groups. In the kernel ids are a thread's
/// own; libc's wrappers, which change all threads, are not used (nptl(7)).
pub(crate) fn become_on_this_thread(uid: Uid, gid: Gid, groups: &[Gid]) -> nix::Result<()> {
    let (uid, gid) = (uid.as_raw(), gid.as_raw());
    // SAFETY: the kernel reads `groups.len()` numbers from `groups` (a Gid is a gid_t); the others only take numbers.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        Errno::result(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        Errno::result(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// socket(2), close-on-exec, for any numbers: nix knows only some.
///
/// # Errors
/// As socket(2).
pub fn socket(domain: c_int, kind: c_int, protocol: c_int) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers and makes a descriptor that nobody else owns.
    unsafe {
        Errno::result(libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol)).map(|fd| OwnedFd::from_raw_fd(fd))
    }
}

/// Sets a socket option of level SOL_SOCKET whose value is an int.
///
/// # Errors
/// As setsockopt(2).
pub fn set_socket_option(socket: impl AsFd, option: c_int, value: c_int) -> nix::Result<()> {
    let (socket, length) = (socket.as_fd().as_raw_fd(), libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0));
    // SAFETY: the kernel reads one int from `value`.
    let result =
        unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, std::ptr::from_ref(&value).cast(), length) };
    Errno::result(result).map(drop)
}

/// A descriptor of a process, which can be read from when that has ended (pidfd_open(2)).
///
/// # Errors
/// As pidfd_open(2).
pub fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers and makes a descriptor that nobody else owns.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0))?;
        Ok(OwnedFd::from_raw_fd(c_int::try_from(fd).map_err(|_| Errno::EBADF)?))
    }
}

/// The ways into another process: to open its memory for writing, to trace it (ptrace(2)), which ends with the calling
/// thread, and to take a descriptor of it (pidfd_getfd(2)).
pub fn enter(pid: Pid) -> [nix::Result<()>; 3] {
    let memory = open(&*format!("/proc/{pid}/mem"), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    // SAFETY: PTRACE_SEIZE takes a number, and stops nobody.
    let traced = Errno::result(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.as_raw(), 0_usize, 0_usize) });
    let taken = pidfd_open(pid).and_then(|pidfd| {
        // SAFETY: takes numbers and makes a descriptor that nobody else owns.
        unsafe {
            let fd = Errno::result(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), 0, 0))?;
            Ok(OwnedFd::from_raw_fd(c_int::try_from(fd).map_err(|_| Errno::EBADF)?))
        }
    });
    [memory.map(drop), traced.map(drop), taken.map(drop)]
}
