//! The system calls that need unsafe code, each in a small function.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{execve, setsid};
use rauthbind_wire::sys::{Descriptor, RawDescriptor};

/// `CAP_NET_BIND_SERVICE` of linux/capability.h.
const NET_BIND_SERVICE: u8 = 10;

/// Whether the loader treats this program as privileged (AT_SECURE in getauxval(3)).
pub fn is_secure_execution() -> bool {
    // SAFETY: getauxval only looks up a number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The environment as it is, entries without `=` included, which std leaves out.
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: environ(7) is null or a list of C strings with a null pointer at its end; this program has one thread and
    // never changes its environment.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            entries.push(CStr::from_ptr(*entry).to_owned());
            entry = entry.add(1);
        }
    }
    entries
}

/// Whether a program with the file capability can get it at all: whether it is in the bounding set.
pub fn is_bound_capability_available() -> bool {
    // SAFETY: this prctl takes a number and touches no memory.
    unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(NET_BIND_SERVICE), 0, 0, 0) == 1 }
}

/// Whether the file has the capability in its permitted set (`struct vfs_cap_data` in linux/capability.h).
pub fn has_file_capability(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut data = [0_u8; 64];
    // SAFETY: both names are C strings, and the kernel writes at most `data.len()` bytes to `data`.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), data.as_mut_ptr().cast(), data.len()) };
    match usize::try_from(length) {
        Ok(length) => {
            let permitted = data.get(..length).and_then(|data| data.get(4..8)?.try_into().ok()).map(u32::from_le_bytes);
            Ok(permitted.is_some_and(|permitted| permitted & (1 << NET_BIND_SERVICE) != 0))
        }
        Err(_) if Errno::last() == Errno::ENODATA => Ok(false),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Moves a descriptor to the first free number from `lowest` on, close-on-exec.
pub fn raise(descriptor: Descriptor, lowest: RawDescriptor) -> nix::Result<Descriptor> {
    // SAFETY: makes a new descriptor; no memory is touched.
    let raised = Errno::result(unsafe { libc::fcntl(descriptor.raw(), libc::F_DUPFD_CLOEXEC, lowest) })?;
    Ok(Descriptor::owning(raised))
}

/// Moves a descriptor as high as it goes, but not above what select(2) can take, close-on-exec: away from the numbers
/// that programs expect, and from `listen` descriptors from 3 on.
pub fn raise_high(descriptor: Descriptor, listen: i32) -> nix::Result<Descriptor> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let end = RawDescriptor::try_from(soft).unwrap_or(RawDescriptor::MAX).min(1024);
    let first = listen.clamp(0, end).saturating_add(3);
    let free = (first..end).rev().find_map(|lowest| {
        // SAFETY: as in `raise`.
        Errno::result(unsafe { libc::fcntl(descriptor.raw(), libc::F_DUPFD_CLOEXEC, lowest) }).ok()
    });
    free.map(Descriptor::owning).ok_or(Errno::EMFILE)
}

/// Leaves a descriptor open for the programs that this process becomes.
pub fn leave_open(descriptor: Descriptor) -> nix::Result<()> {
    set_descriptor_flags(descriptor.into_raw(), 0)
}

/// Closes a descriptor when this process becomes another program.
pub fn close_at_exec(descriptor: RawDescriptor) {
    let _ = set_descriptor_flags(descriptor, libc::FD_CLOEXEC);
}

fn set_descriptor_flags(descriptor: RawDescriptor, flags: c_int) -> nix::Result<()> {
    // SAFETY: sets a flag; no memory is touched.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETFD, flags) }).map(drop)
}

/// Starts a program with this standard input, no environment, and no parent: in a session of its own, orphaned, so that
/// the command, which has our process id, never has a child that it did not start.
pub fn start_orphan(program: &str, arguments: &[&str], input: &Descriptor) -> nix::Result<()> {
    let program = CString::new(program).map_err(|_| Errno::EINVAL)?;
    let arguments: Result<Vec<CString>, _> = arguments.iter().map(|argument| CString::new(*argument)).collect();
    let mut all = vec![program.clone()];
    all.extend(arguments.map_err(|_| Errno::EINVAL)?);
    match fork_silently()? {
        0 => {
            let grandchild = fork_silently();
            if grandchild == Ok(0) {
                let Err(errno) = become_program(&program, &all, input);
                crate::say(&crate::setup::Problem::Helper(errno));
            }
            // SAFETY: ends this child without running what the parent registered for its own end.
            unsafe { libc::_exit(c_int::from(grandchild.is_err())) }
        }
        child => {
            let mut status = 0;
            loop {
                // SAFETY: the kernel writes one int; __WCLONE waits for a child without an exit signal.
                let waited = Errno::result(unsafe { libc::waitpid(child, &raw mut status, libc::__WCLONE) });
                match waited {
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno),
                    Ok(_) if status == 0 => return Ok(()),
                    Ok(_) => return Err(Errno::EAGAIN),
                }
            }
        }
    }
}

fn become_program(program: &CStr, arguments: &[CString], input: &Descriptor) -> nix::Result<Infallible> {
    setsid()?;
    // SAFETY: makes standard input a copy of `input`, which is another number; no memory is touched.
    Errno::result(unsafe { libc::dup2(input.raw(), 0) })?;
    execve(program, arguments, &[] as &[CString])
}

/// fork(2) without an exit signal: where SIGCHLD is blocked, the command would find one pending that is not its own.
fn fork_silently() -> nix::Result<libc::pid_t> {
    let none = ptr::null::<u8>();
    // SAFETY: without CLONE_VM this is fork(2) for a program with one thread, which this one is.
    let child = Errno::result(unsafe { libc::syscall(libc::SYS_clone, 0, none, none, none, none) })?;
    libc::pid_t::try_from(child).map_err(|_| Errno::EOVERFLOW)
}
