//! The kernel's side of supervision, seccomp_unotify(2): the filter, what it notifies of, and what the one who is notified
//! may look at and answer. Unsafe, because neither std nor nix has functions for it.

use std::ffi::{c_int, c_long, c_uint};
use std::fs::{self, File, Metadata};
use std::io::IoSliceMut;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// The numbers by which programs of an architecture call bind(2).
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// `AUDIT_ARCH_*` of linux/audit.h.
    architecture: u32,
    bind: u32,
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use super::Numbers;

    pub(super) const NATIVE: Numbers = Numbers { architecture: 0xC000_003E, bind: 49 };
    /// What is set in the numbers of x32's calls, whose architecture is the native one.
    pub(super) const VARIANT: u32 = 0x4000_0000;
    pub(super) const SMALL: Numbers = Numbers { architecture: 0x4000_0003, bind: 361 };
    /// socketcall(2) of 32-bit programs.
    pub(super) const SOCKETCALL: u32 = 102;
}

#[cfg(target_arch = "aarch64")]
mod machine {
    use super::Numbers;

    pub(super) const NATIVE: Numbers = Numbers { architecture: 0xC000_00B7, bind: 200 };
    pub(super) const VARIANT: u32 = 0;
    pub(super) const SMALL: Numbers = Numbers { architecture: 0x4000_0028, bind: 282 };
    /// 32-bit programs have none here: no call has this number.
    pub(super) const SOCKETCALL: u32 = u32::MAX;
}

use machine::{NATIVE, SMALL, SOCKETCALL, VARIANT};

/// `SYS_BIND` of linux/net.h, the first argument of socketcall(2).
const SOCKETCALL_BIND: u32 = 2;

/// A bind(2) that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// By which it is answered; never used again.
    pub id: u64,
    /// The calling thread, as this process sees it; 0 where it does not.
    pub thread: Pid,
    call: Call,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Bind(Bind),
    /// Where the three arguments are in the caller's memory, 32 bits each.
    Socketcall(u64),
}

/// The arguments of a bind(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The socket, as the caller numbers it.
    pub socket: RawFd,
    /// Where the address is in the caller's memory.
    pub address: u64,
    /// As the caller gives it, in bytes.
    pub length: u32,
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does what it would have done: it still checks everything.
    Continue,
    /// Success.
    Bound,
    /// This errno.
    Failed(i32),
}

/// Installs the filter in this process, for all that it becomes and starts: bind(2) waits for whoever holds the listener,
/// which is returned, close-on-exec. Sets no_new_privs, without which the kernel takes no filter from an ordinary user.
///
/// # Errors
/// EBUSY where there is a listener already; as prctl(2) and seccomp(2).
pub fn listen() -> nix::Result<OwnedFd> {
    const ARCHITECTURE: usize = mem::offset_of!(libc::seccomp_data, arch);
    const NUMBER: usize = mem::offset_of!(libc::seccomp_data, nr);
    // The lower half, on a little-endian machine.
    const FIRST_ARGUMENT: usize = mem::offset_of!(libc::seccomp_data, args);
    let mut program = [
        // The architecture first: it decides what a number means.
        load(ARCHITECTURE),
        equal(NATIVE.architecture, 0, 3),
        load(NUMBER),
        equal(NATIVE.bind, 8, 0),
        equal(NATIVE.bind | VARIANT, 7, 6),
        equal(SMALL.architecture, 0, 5),
        load(NUMBER),
        equal(SMALL.bind, 4, 0),
        equal(SOCKETCALL, 0, 2),
        load(FIRST_ARGUMENT),
        equal(SOCKETCALL_BIND, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        give(libc::SECCOMP_RET_USER_NOTIF),
    ];
    let length = program.len().try_into().map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    prctl::set_no_new_privs()?;
    let plain = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // Without it the signals by which Go's runtime preempts interrupt each bind, for ever. Linux 5.19.
    let killable = plain | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    install(&program, killable)
        .or_else(|errno| if errno == Errno::EINVAL { install(&program, plain) } else { Err(errno) })
}

fn install(program: &libc::sock_fprog, flags: libc::c_ulong) -> nix::Result<OwnedFd> {
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads the program, which is alive, and makes a descriptor that nobody else owns.
    unsafe {
        let listener = Errno::result(libc::syscall(libc::SYS_seccomp, operation, flags, ptr::from_ref(program)))?;
        Ok(OwnedFd::from_raw_fd(RawFd::try_from(listener).map_err(|_| Errno::EBADF)?))
    }
}

const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "codes of classic BPF have 16 bits")]
    libc::sock_filter { code: code as u16, jt, jf, k }
}

const fn load(offset: usize) -> libc::sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "seccomp_data is small")]
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32, 0, 0)
}

/// Skips so many instructions, where what was loaded is this, or where it is not.
const fn equal(value: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, if_so, if_not)
}

const fn give(action: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

/// Has caller and listener woken on one processor (Linux 6.6): measured, a quarter of the time for each bind.
pub fn wake_in_step(listener: BorrowedFd<'_>) {
    const FD_SYNC_WAKE_UP: u64 = 1;
    // SAFETY: this ioctl takes a number.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, FD_SYNC_WAKE_UP) };
}

/// Waits for the next bind(2).
///
/// # Errors
/// ENOENT where the caller was gone before, EINTR; anything else is the end.
pub fn receive(listener: BorrowedFd<'_>) -> nix::Result<Notification> {
    // SAFETY: plain integers; the kernel insists that they are zero, and fills them.
    let mut notification: libc::seccomp_notif = unsafe { mem::zeroed() };
    let pointer = &raw mut notification;
    // SAFETY: the kernel writes one seccomp_notif.
    Errno::result(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, pointer) })?;
    let libc::seccomp_data { nr, arch, args, .. } = notification.data;
    let [first, second, third, ..] = args;
    let is_socketcall = arch == SMALL.architecture && u32::try_from(nr) == Ok(SOCKETCALL);
    // The kernel takes descriptor and length for ints, whatever is in the upper halves.
    #[expect(clippy::cast_possible_truncation, reason = "as the kernel does it")]
    let bind = Bind { socket: first as RawFd, address: second, length: third as u32 };
    let call = if is_socketcall { Call::Socketcall(second) } else { Call::Bind(bind) };
    let thread = Pid::from_raw(i32::try_from(notification.pid).unwrap_or(0));
    Ok(Notification { id: notification.id, thread, call })
}

/// Whether the caller still waits: so that what was read was its own, and not another's with the same number.
pub fn still_waits(listener: BorrowedFd<'_>, notification: &Notification) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, ptr::from_ref(&notification.id)) == 0
    }
}

/// Answers; a caller that is gone needs none.
pub fn answer(listener: BorrowedFd<'_>, notification: &Notification, answer: Answer) {
    let (error, flags) = match answer {
        Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Answer::Bound => (0, 0),
        Answer::Failed(errno) => (errno.saturating_neg(), 0),
    };
    #[expect(clippy::cast_possible_truncation, reason = "there is one flag, 1")]
    let mut response = libc::seccomp_notif_resp { id: notification.id, val: 0, error, flags: flags as u32 };
    // SAFETY: the kernel reads one seccomp_notif_resp.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
}

impl Notification {
    /// The arguments, read from the caller's memory where they are there.
    ///
    /// # Errors
    /// As process_vm_readv(2).
    pub fn bind(&self) -> nix::Result<Bind> {
        let address = match self.call {
            Call::Bind(bind) => return Ok(bind),
            Call::Socketcall(address) => address,
        };
        let (mut socket, mut pointer, mut length) = ([0; 4], [0; 4], [0; 4]);
        for (word, at) in [(&mut socket, 0), (&mut pointer, 4), (&mut length, 8)] {
            self.read(address.saturating_add(at), word)?;
        }
        let address = u32::from_ne_bytes(pointer).into();
        Ok(Bind { socket: RawFd::from_ne_bytes(socket), address, length: u32::from_ne_bytes(length) })
    }

    /// Fills the buffer from the caller's memory.
    ///
    /// # Errors
    /// EFAULT where not all of it is there; as process_vm_readv(2).
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> nix::Result<()> {
        let length = buffer.len();
        let base = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
        let read = process_vm_readv(self.thread, &mut [IoSliceMut::new(buffer)], &[RemoteIoVec { base, len: length }])?;
        if read == length { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// A descriptor of what the caller has under this number.
    ///
    /// # Errors
    /// As pidfd_open(2) and pidfd_getfd(2).
    pub fn descriptor(&self, number: RawFd) -> nix::Result<OwnedFd> {
        /// `PIDFD_THREAD` of linux/pidfd.h, Linux 6.9.
        const THREAD: c_int = libc::O_EXCL;
        if let Ok(process) = open(self.thread, THREAD).or_else(|_| open(self.thread, 0)) {
            return take(&process, number);
        }
        // Only a process's first thread can be opened; it may have other descriptors.
        let socket = File::from(take(&open(leader(self.thread)?, 0)?, number)?);
        let identity = |file: Metadata| (file.dev(), file.ino());
        let own = fs::metadata(format!("/proc/{}/fd/{number}", self.thread)).map(identity);
        match (own, socket.metadata().map(identity)) {
            (Ok(own), Ok(taken)) if own == taken => Ok(socket.into()),
            _ => Err(Errno::EBADF),
        }
    }
}

fn take(process: &OwnedFd, number: RawFd) -> nix::Result<OwnedFd> {
    descriptor(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0)
}

fn open(pid: Pid, flags: c_int) -> nix::Result<OwnedFd> {
    descriptor(libc::SYS_pidfd_open, pid.as_raw(), flags, 0)
}

fn descriptor(call: c_long, first: c_int, second: c_int, third: c_uint) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers and makes a descriptor that nobody else owns.
    unsafe {
        let made = Errno::result(libc::syscall(call, first, second, third))?;
        Ok(OwnedFd::from_raw_fd(RawFd::try_from(made).map_err(|_| Errno::EBADF)?))
    }
}

/// The process that a thread is of.
fn leader(thread: Pid) -> nix::Result<Pid> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::ESRCH)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.and_then(|pid| pid.trim().parse().ok()).map(Pid::from_raw).ok_or(Errno::ESRCH)
}
