//! The system calls that only the asking side makes, each in a small function. What they return as an error is an errno.

use core::ffi::{CStr, c_char, c_int, c_long};
use core::ptr;

use crate::sys::{Descriptor, RawDescriptor, again_when_interrupted, check};

/// Makes a pipe, neither end of which ever waits: the end to read from, and the end to write to, both close-on-exec.
pub(super) fn pipe() -> Result<(Descriptor, Descriptor), c_int> {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two ints to `pair`, which has room for them.
    check(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    let [reader, writer] = pair;
    Ok((Descriptor::owning(reader), Descriptor::owning(writer)))
}

/// Lets the other end of a pair of sockets find the end behind what was sent, even where others hold this one open too.
pub(super) fn end_writing(socket: &Descriptor) -> Result<(), c_int> {
    // SAFETY: takes numbers.
    check(unsafe { libc::shutdown(socket.raw(), libc::SHUT_WR) })
}

/// Reads at most `buffer` bytes; 0 at the end.
pub(super) fn read(descriptor: &Descriptor, buffer: &mut [u8]) -> Result<usize, c_int> {
    again_when_interrupted(|| {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`. By syscall(2) because libc's read is a
        // cancellation point.
        unsafe { libc::syscall(libc::SYS_read, descriptor.raw(), buffer.as_mut_ptr(), buffer.len()) }
    })
}

/// Writes to a descriptor of the app's; what cannot be written is lost.
pub(super) fn write(descriptor: RawDescriptor, bytes: &[u8]) {
    // SAFETY: the kernel reads `bytes.len()` bytes from `bytes`. By syscall(2) because libc's write is a cancellation point.
    let _ = unsafe { libc::syscall(libc::SYS_write, descriptor, bytes.as_ptr(), bytes.len()) };
}

/// Whether this is a terminal, and one that is not stopped (Ctrl-S).
pub(super) fn is_terminal_with_room(descriptor: RawDescriptor) -> bool {
    // SAFETY: the C library looks at a number, and asks the kernel.
    let is_terminal = unsafe { libc::isatty(descriptor) } == 1;
    is_terminal && Patience::of_seconds(0).until_writable(descriptor).is_ok()
}

/// The calling process's real user id.
pub(super) fn user_id() -> libc::uid_t {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getuid() }
}

/// The port that an IP socket is bound to, in host order; 0 where it is bound to none, `None` where it is no such socket.
pub(super) fn local_port(socket: RawDescriptor) -> Option<u16> {
    // The start of sockaddr_in and sockaddr_in6: the port stands at the same place in both.
    let mut address = [0_u8; 4];
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes no more than `length` bytes to `address`, which has so many.
    check(unsafe { libc::getsockname(socket, address.as_mut_ptr().cast(), &raw mut length) }).ok()?;
    let [_, _, high, low] = address;
    Some(u16::from_be_bytes([high, low]))
}

/// Whether execve(2) gives no privileges to the calling thread (PR_SET_NO_NEW_PRIVS in prctl(2)).
pub(super) fn has_no_new_privileges() -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

/// What an errno means, in English.
pub(super) fn describe(errno: c_int) -> &'static str {
    unsafe extern "C" {
        /// Of glibc 2.32; missing in the libc crate. Safe to call in signal handlers, says strerror(3).
        safe fn strerrordesc_np(errno: c_int) -> *const c_char;
    }
    let text = strerrordesc_np(errno);
    // SAFETY: where it is not null, this is a string that lives as long as the C library.
    let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
    text.and_then(|text| text.to_str().ok()).unwrap_or("unknown error")
}

/// Whether a child of the calling thread would be process 1 of a new process namespace, with whose end nobody can be
/// forked into it any more (unshare(2), pid_namespaces(7)). Where there is no /proc to ask, it is taken not to be so.
pub(super) fn would_begin_process_namespace() -> bool {
    let is_there = |path: &CStr| {
        // SAFETY: the kernel reads a C string.
        unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::F_OK) == 0 }
    };
    // Missing as long as nobody is in it.
    !is_there(c"/proc/thread-self/ns/pid_for_children") && is_there(c"/proc/thread-self/ns/pid")
}

/// How long what cannot be done at once waits before it is tried again, in milliseconds: doubled from the one to the
/// other, so that many who wait leave the processor to the helper.
const NAPS: (u16, u16) = (1, 100);

/// How long a whole exchange may still wait. Signals do not prolong it.
pub(super) struct Patience(libc::timespec);

impl Patience {
    /// So many seconds from the first wait on.
    pub(super) fn of_seconds(seconds: u8) -> Patience {
        Patience(libc::timespec { tv_sec: seconds.into(), tv_nsec: 0 })
    }

    /// Waits until there is something to read, or nobody left who could write; ETIMEDOUT where patience ends.
    pub(super) fn until_readable(&mut self, descriptor: RawDescriptor) -> Result<(), c_int> {
        self.wait(descriptor, libc::POLLIN)
    }

    /// Waits until there is room to write, or nobody left who could read; ETIMEDOUT where patience ends.
    pub(super) fn until_writable(&mut self, descriptor: RawDescriptor) -> Result<(), c_int> {
        self.wait(descriptor, libc::POLLOUT)
    }

    /// Tries again, after a nap, as long as this is the error.
    pub(super) fn again_after_naps<T>(
        &mut self,
        error: c_int,
        mut attempt: impl FnMut() -> Result<T, c_int>,
    ) -> Result<T, c_int> {
        let (mut nap, longest) = NAPS;
        loop {
            match attempt() {
                Err(errno) if errno == error => self.nap(nap)?,
                result => return result,
            }
            nap = nap.saturating_mul(2).min(longest);
        }
    }

    /// Lets some milliseconds pass, less than a second; ETIMEDOUT where there is no patience for so many.
    fn nap(&mut self, milliseconds: u16) -> Result<(), c_int> {
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
