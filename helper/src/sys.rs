//! The system calls that need unsafe code, each in a small function.

use std::ffi::c_int;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid};
use rauthbind_wire::sys::{Descriptor, RawDescriptor};

/// Closes every descriptor from `first` on (close_range(2), Linux 5.9).
pub fn close_from(first: RawDescriptor) -> nix::Result<()> {
    // SAFETY: nothing in this program owns a descriptor yet when this is called; the call touches no memory.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) }).map(drop)
}

/// Reads a socket option, or as much of it as `T` has room for; all those that are asked for here are plain integers.
fn socket_option<T: Default>(socket: RawDescriptor, level: c_int, option: c_int) -> nix::Result<T> {
    let mut value = T::default();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::EINVAL)?;
    let pointer = ptr::from_mut(&mut value).cast();
    // SAFETY: the kernel writes at most `length` bytes to `value`, which is that long and valid whatever they are.
    Errno::result(unsafe { libc::getsockopt(socket, level, option, pointer, &raw mut length) })?;
    Ok(value)
}

/// User and group id of whoever connected this AF_UNIX socket, as they were then (SO_PEERCRED in unix(7)).
pub fn peer(socket: RawDescriptor) -> nix::Result<(Uid, Gid)> {
    // `struct ucred`: process, user, group.
    let [_, uid, gid]: [libc::uid_t; 3] = socket_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// The supplementary groups of whoever connected this AF_UNIX socket, as they were then (SO_PEERGROUPS, Linux 4.13).
pub fn peer_groups(socket: RawDescriptor) -> nix::Result<Vec<Gid>> {
    /// `NGROUPS_MAX` of linux/limits.h.
    const MOST: usize = 65536;
    let mut groups: Vec<libc::gid_t> = vec![0; MOST];
    let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice())).map_err(|_| Errno::EINVAL)?;
    let pointer = groups.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes to `groups`, which has so many.
    Errno::result(unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERGROUPS, pointer, &raw mut length)
    })?;
    groups.truncate(length as usize / size_of::<libc::gid_t>());
    Ok(groups.into_iter().map(Gid::from_raw).collect())
}

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKind {
    /// `AF_*` (SO_DOMAIN).
    pub domain: c_int,
    /// `SOCK_*` (SO_TYPE).
    pub socket_type: c_int,
    /// `IPPROTO_*` (SO_PROTOCOL).
    pub protocol: c_int,
}

/// What this socket is; ENOTSOCK, or EBADF for an O_PATH descriptor, where it is none.
pub fn socket_kind(socket: RawDescriptor) -> nix::Result<SocketKind> {
    Ok(SocketKind {
        domain: socket_option(socket, libc::SOL_SOCKET, libc::SO_DOMAIN)?,
        socket_type: socket_option(socket, libc::SOL_SOCKET, libc::SO_TYPE)?,
        protocol: socket_option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL)?,
    })
}

/// The cookie of the socket's network namespace, never used twice while the kernel runs (SO_NETNS_COOKIE, Linux 5.14).
pub fn network_namespace(socket: RawDescriptor) -> nix::Result<u64> {
    /// Missing in the libc crate; the number of asm-generic/socket.h.
    const SO_NETNS_COOKIE: c_int = 71;
    socket_option(socket, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}

/// Whether closing this, if it is the last descriptor of what it stands for, may wait. Not so, for what asks for a port
/// in good faith: pipes, and IP sockets that do not linger (SO_LINGER in socket(7)), or have no connection.
pub fn may_wait_at_close(descriptor: RawDescriptor) -> bool {
    let Ok(kind) = socket_kind(descriptor) else { return !is_pipe(descriptor) };
    match (kind.domain, kind.socket_type) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => false,
        (libc::AF_INET | libc::AF_INET6, _) => lingers(descriptor) && has_connection(descriptor),
        // Among others AF_UNIX, in whose queue the last descriptor of anything may be.
        _ => true,
    }
}

fn lingers(socket: RawDescriptor) -> bool {
    #[repr(C)]
    #[derive(Default)]
    struct Linger {
        on: c_int,
        seconds: c_int,
    }
    socket_option(socket, libc::SOL_SOCKET, libc::SO_LINGER).is_ok_and(|linger: Linger| linger.on != 0)
}

/// For all that is known (TCP_INFO in tcp(7)): other protocols than TCP do not say.
fn has_connection(socket: RawDescriptor) -> bool {
    /// `TCP_CLOSE` of net/tcp_states.h: neither connected nor listening.
    const CLOSED: u8 = 7;
    // The state is the first byte of `struct tcp_info`.
    socket_option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) != Ok(CLOSED)
}

/// Whether this is a pipe, and writing to it never waits. Asks no file system: some are served by those who ask us.
pub fn is_ready_pipe(descriptor: RawDescriptor) -> bool {
    // SAFETY: fcntl reads numbers and touches no memory.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    is_pipe(descriptor) && flags != -1 && flags & libc::O_NONBLOCK != 0
}

fn is_pipe(descriptor: RawDescriptor) -> bool {
    // SAFETY: as in `is_ready_pipe`.
    unsafe { libc::fcntl(descriptor, libc::F_GETPIPE_SZ) != -1 }
}

/// Whether the reader of this pipe is gone.
pub fn is_hung_up(pipe: &Descriptor) -> bool {
    let mut poll = libc::pollfd { fd: pipe.raw(), events: 0, revents: 0 };
    // SAFETY: the kernel reads and writes the one pollfd and, with a timeout of 0, does not wait.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents & libc::POLLERR != 0
}

/// Writes to a pipe that never waits; what cannot be written at once is dropped. SIGPIPE must be ignored.
pub fn write_now(pipe: &Descriptor, bytes: &[u8]) {
    // SAFETY: the kernel reads `bytes.len()` bytes from `bytes`, which are there.
    let _ = unsafe { libc::write(pipe.raw(), bytes.as_ptr().cast(), bytes.len()) };
}

/// Ignores SIGPIPE: a sender that is gone must not end the helper.
pub fn ignore_broken_pipes() -> nix::Result<()> {
    // SAFETY: no handler is installed, so none can be run.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.map(drop)
}

/// Has SIGALRM end this process, whatever whoever started it has done about that signal: unixserver(1) ignores it.
pub fn heed_alarm() -> nix::Result<()> {
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGALRM, SigHandler::SigDfl) }?;
    SigSet::from(Signal::SIGALRM).thread_unblock()
}

/// Gives back the pages of the program's file, which are there again when they are needed: the kernel maps many more than
/// are touched, and what is done once touches the most.
pub fn unmap_program() {
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let start = &raw const __executable_start;
    let length = (&raw const etext).addr().saturating_sub(start.addr());
    // SAFETY: the linker puts what is only read or run between the two, so that all of it is as it is in the file.
    let _ = unsafe { libc::madvise(start.cast_mut().cast(), length, libc::MADV_DONTNEED) };
}
