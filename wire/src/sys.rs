//! The system calls of the asking side, each in a small function. What they return as an error is an errno.

use core::ffi::{c_int, c_long};
use core::mem::size_of;
use core::ptr;

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

/// Makes a pair of connected AF_UNIX SOCK_SEQPACKET sockets, close-on-exec.
pub fn seqpacket_pair() -> Result<(Descriptor, Descriptor), c_int> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two ints to `pair`, which has room for them. std has no SOCK_SEQPACKET.
    check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) })?;
    let [one, other] = pair;
    Ok((Descriptor(one), Descriptor(other)))
}

/// Makes a pipe, neither end of which ever waits: the end to read from, and the end to write to, both close-on-exec.
pub fn pipe() -> Result<(Descriptor, Descriptor), c_int> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two ints to `pair`, which has room for them.
    check(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    let [reader, writer] = pair;
    Ok((Descriptor(reader), Descriptor(writer)))
}

/// Sets a socket option of level SOL_SOCKET whose value is a C struct or an int.
fn set_socket_option<T>(socket: &Descriptor, option: c_int, value: &T) -> Result<(), c_int> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| libc::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes from `value`, which is that long and outlives the call.
    check(unsafe { libc::setsockopt(socket.raw(), libc::SOL_SOCKET, option, ptr::from_ref(value).cast(), length) })
}

/// Lets this AF_UNIX socket receive the kernel's word on who sent each message (SO_PASSCRED in unix(7)).
pub fn set_pass_credentials(socket: &Descriptor) -> Result<(), c_int> {
    set_socket_option(socket, libc::SO_PASSCRED, &1_i32)
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

/// How long a whole exchange may still wait. Signals do not prolong it.
pub struct Patience(libc::timespec);

impl Patience {
    /// So many seconds from the first wait on.
    pub fn of_seconds(seconds: u8) -> Patience {
        Patience(libc::timespec { tv_sec: seconds.into(), tv_nsec: 0 })
    }

    /// Waits until there is something to read, or nobody left who could write; ETIMEDOUT where patience ends.
    pub fn until_readable(&mut self, descriptor: RawDescriptor) -> Result<(), c_int> {
        self.wait(descriptor, libc::POLLIN)
    }

    /// Waits until there is room to write, or nobody left who could read; ETIMEDOUT where patience ends.
    pub fn until_writable(&mut self, descriptor: RawDescriptor) -> Result<(), c_int> {
        self.wait(descriptor, libc::POLLOUT)
    }

    /// Lets some milliseconds pass, less than a second; ETIMEDOUT where there is no patience for so many.
    pub fn nap(&mut self, milliseconds: u16) -> Result<(), c_int> {
        const SECOND: c_long = 1_000_000_000;
        let length = c_long::from(milliseconds).saturating_mul(SECOND / 1000);
        let mut nap = libc::timespec { tv_sec: 0, tv_nsec: length };
        self.0.tv_nsec = self.0.tv_nsec.saturating_sub(length);
        if self.0.tv_nsec < 0 {
            self.0.tv_nsec = self.0.tv_nsec.saturating_add(SECOND);
            self.0.tv_sec = self.0.tv_sec.saturating_sub(1);
        }
        if self.0.tv_sec < 0 {
            self.0 = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            return Err(libc::ETIMEDOUT);
        }
        // SAFETY: the kernel reads one timespec, in which it leaves what a signal cut off (nanosleep(2)).
        again_when_interrupted(|| unsafe { libc::syscall(libc::SYS_nanosleep, &raw const nap, &raw mut nap) }).map(drop)
    }

    fn wait(&mut self, descriptor: RawDescriptor, events: i16) -> Result<(), c_int> {
        let mut poll = libc::pollfd { fd: descriptor, events, revents: 0 };
        let ready = again_when_interrupted(|| {
            // SAFETY: the kernel reads and writes one pollfd and one timespec, in which it leaves what is left of the
            // time (ppoll(2)); no signal mask. By syscall(2) because libc's poll is a cancellation point.
            unsafe {
                libc::syscall(libc::SYS_ppoll, &raw mut poll, 1, &raw mut self.0, ptr::null::<libc::sigset_t>(), 0)
            }
        })?;
        if ready == 1 { Ok(()) } else { Err(libc::ETIMEDOUT) }
    }
}

/// Reads at most `buffer` bytes; 0 at the end.
pub fn read(descriptor: &Descriptor, buffer: &mut [u8]) -> Result<usize, c_int> {
    again_when_interrupted(|| {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`. By syscall(2) because libc's read is a
        // cancellation point.
        unsafe { libc::syscall(libc::SYS_read, descriptor.raw(), buffer.as_mut_ptr(), buffer.len()) }
    })
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

fn check(result: c_int) -> Result<(), c_int> {
    if result == 0 { Ok(()) } else { Err(errno()) }
}
