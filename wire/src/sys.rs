//! The system calls of both sides, each in a small function. What they return as an error is an errno.

use core::ffi::{c_char, c_int, c_long};
use core::mem::size_of;
use core::ptr;

use crate::address::RawAddress;

/// A descriptor's number. Like every `RawFd` it owns nothing.
pub type RawDescriptor = c_int;

/// A descriptor that is ours alone: closed when dropped.
#[derive(Debug)]
pub struct Descriptor(RawDescriptor);

impl Descriptor {
    /// Takes over a descriptor that the kernel has just made, or that nobody else will close.
    pub fn owning(raw: RawDescriptor) -> Descriptor {
        Descriptor(raw)
    }

    /// The number, for use as long as `self` lives.
    pub fn raw(&self) -> RawDescriptor {
        self.0
    }

    /// Hands the duty to close over to the caller.
    pub fn into_raw(self) -> RawDescriptor {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used after this. By syscall(2), because libc's close is a
        // cancellation point; an error changes nothing, the number is free in every case (close(2)).
        let _ = unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

/// The calling thread's errno.
pub fn errno() -> c_int {
    // SAFETY: __errno_location gives a valid pointer to the calling thread's own variable, always.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's errno.
pub fn set_errno(errno: c_int) {
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = errno }
}

/// bind(2), the kernel's own: neither a library that was preloaded nor a cancellation comes between.
pub fn bind(socket: RawDescriptor, address: &RawAddress) -> Result<(), c_int> {
    let bytes = address.as_bytes();
    // SAFETY: the kernel copies `bytes.len()` bytes from `bytes`, which are there, and needs no alignment.
    again_when_interrupted(|| unsafe { libc::syscall(libc::SYS_bind, socket, bytes.as_ptr(), bytes.len()) }).map(drop)
}

/// Makes a pair of connected AF_UNIX SOCK_SEQPACKET sockets, close-on-exec.
pub fn seqpacket_pair() -> Result<(Descriptor, Descriptor), c_int> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two ints to `pair`, which has room for them. std has no SOCK_SEQPACKET.
    check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) })?;
    let [one, other] = pair;
    Ok((Descriptor(one), Descriptor(other)))
}

/// Sets a socket option of level SOL_SOCKET whose value is a C struct or an int.
fn set_socket_option<T>(socket: RawDescriptor, option: c_int, value: &T) -> Result<(), c_int> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| libc::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes from `value`, which is that long and outlives the call.
    check(unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, ptr::from_ref(value).cast(), length) })
}

/// Lets this AF_UNIX socket receive the kernel's word on who sent each message (SO_PASSCRED in unix(7)).
pub fn set_pass_credentials(socket: RawDescriptor) -> Result<(), c_int> {
    set_socket_option(socket, libc::SO_PASSCRED, &1_i32)
}

/// What can be connected to by a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketType {
    /// SOCK_DGRAM
    Datagram = libc::SOCK_DGRAM as isize,
    /// SOCK_SEQPACKET
    Seqpacket = libc::SOCK_SEQPACKET as isize,
    /// SOCK_STREAM
    Stream = libc::SOCK_STREAM as isize,
}

/// Makes an AF_UNIX socket, close-on-exec, connected to the one at this path. Never waits, neither here (EAGAIN) nor
/// later.
pub fn connect(path: &str, socket_type: SocketType) -> Result<Descriptor, c_int> {
    let kind = socket_type as c_int | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers.
    let socket = again_when_interrupted(|| unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) })?;
    let socket = Descriptor(RawDescriptor::try_from(socket).map_err(|_| libc::EBADF)?);
    let mut address = libc::sockaddr_un { sun_family: 0, sun_path: [0; 108] };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| libc::EINVAL)?;
    let room = address.sun_path.len().saturating_sub(1);
    address.sun_path.iter_mut().zip(path.bytes().take(room)).for_each(|(to, from)| *to = c_char::from_ne_bytes([from]));
    // SAFETY: the kernel reads one sockaddr_un. By syscall(2) because libc's connect is a cancellation point.
    again_when_interrupted(|| unsafe {
        libc::syscall(libc::SYS_connect, socket.raw(), &raw const address, size_of::<libc::sockaddr_un>())
    })?;
    Ok(socket)
}

/// Sends bytes over a connected socket. Never waits, never raises SIGPIPE.
pub fn send(socket: &Descriptor, bytes: &[u8]) -> Result<usize, c_int> {
    const NOWHERE: *const libc::sockaddr = ptr::null();
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the kernel reads `bytes.len()` bytes from `bytes`. By syscall(2) because libc's send is a cancellation
    // point.
    again_when_interrupted(|| unsafe {
        libc::syscall(libc::SYS_sendto, socket.raw(), bytes.as_ptr(), bytes.len(), flags, NOWHERE, 0)
    })
}

/// The calling process's id.
pub fn process_id() -> libc::pid_t {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getpid() }
}

/// The inode of a socket; `None` where the descriptor is closed or is no socket.
pub fn socket_inode(descriptor: RawDescriptor) -> Option<u64> {
    // SAFETY: all-zero bytes are a valid `struct stat`, which is plain integers; fstat fills it and keeps no pointer.
    let (result, status) = unsafe {
        let mut status: libc::stat = core::mem::zeroed();
        (libc::fstat(descriptor, &mut status), status)
    };
    let socket = result == 0 && status.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "ino_t has 32 bits on some architectures")]
    socket.then_some(status.st_ino.into())
}

/// Repeats a call that a signal interrupted. What is not an error is a count of bytes.
pub(crate) fn again_when_interrupted(mut call: impl FnMut() -> c_long) -> Result<usize, c_int> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return Err(errno()),
        }
    }
}

pub(crate) fn check(result: impl Into<c_long>) -> Result<(), c_int> {
    if result.into() == 0 { Ok(()) } else { Err(errno()) }
}
