//! The system calls that need unsafe code, each in a small function.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{ForkResult, Pid};
use rauthbind_wire::capability::{self, Half, NET_BIND_SERVICE, THE_CAPABILITY};
use rauthbind_wire::sys::{Descriptor, RawDescriptor};

/// `CAP_SETPCAP`, without which the bounding set cannot be narrowed.
const SETPCAP: u8 = 8;

/// Whether the loader treats this program as privileged (AT_SECURE in getauxval(3)).
pub fn is_secure_execution() -> bool {
    // SAFETY: getauxval only looks up a number.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

fn capabilities() -> nix::Result<[Half; 2]> {
    capability::get().map_err(Errno::from_raw)
}

fn set_capabilities(halves: [Half; 2]) -> nix::Result<()> {
    capability::set(halves).map_err(Errno::from_raw)
}

/// Whether this process has the capability to hand over.
pub fn has_capability() -> bool {
    capabilities().is_ok_and(|[low, _]| low.permitted & THE_CAPABILITY != 0)
}

/// Gives up every capability but those that handing the one over takes, if they were permitted: the one, and what
/// [`bound_the_capability`] needs. In every set but the bounding set.
pub fn keep_what_handing_over_takes() -> nix::Result<()> {
    let [low, _] = capabilities()?;
    let bounding = low.permitted & (1 << SETPCAP);
    let kept = Half { effective: bounding, permitted: bounding | low.permitted & THE_CAPABILITY, inheritable: 0 };
    set_capabilities([kept, Half::default()])
}

/// Gives up every capability, in every set but the bounding set.
pub fn give_up_all_capabilities() -> nix::Result<()> {
    set_capabilities([Half::default(); 2])
}

/// Gives up the capability: the command is not to have what only the helper needs.
pub fn give_up_the_capability() -> nix::Result<()> {
    let [low, high] = capabilities()?;
    if (low.effective | low.permitted | low.inheritable) & THE_CAPABILITY == 0 {
        // A filter of system calls may forbid even to ask (SystemCallFilter=~@privileged in systemd.exec(5)).
        return Ok(());
    }
    let without = Half {
        effective: low.effective & !THE_CAPABILITY,
        permitted: low.permitted & !THE_CAPABILITY,
        inheritable: low.inheritable & !THE_CAPABILITY,
    };
    set_capabilities([without, high])
}

/// Keeps other processes of the user out of this one, until it becomes another program: who gives a capability up can be
/// traced by those who never had it, while what it started still has it (ptrace(2)).
pub fn keep_others_out() -> nix::Result<()> {
    prctl::set_dumpable(false)
}

/// Takes the capability out of the bounding set, where this process may (CAP_SETPCAP): then no program that the command
/// runs can get it.
pub fn bound_the_capability() {
    // SAFETY: this prctl takes a number and touches no memory.
    let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(NET_BIND_SERVICE), 0, 0, 0) };
}

/// Runs something that has children, and takes away the SIGCHLD that is pending afterwards and was not before: where it
/// is blocked, it would reach the command.
pub fn without_pending_children<T>(run: impl FnOnce() -> T) -> T {
    let before = is_child_signal_pending();
    let result = run();
    if !before && is_child_signal_pending() {
        let _ = SigSet::from(Signal::SIGCHLD).wait();
    }
    result
}

/// Runs something with SIGPIPE ignored.
pub fn without_broken_pipes(run: impl FnOnce()) {
    // SAFETY: the disposition is ignoring, and then what it was: the default or ignoring, as we have no handlers.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    run();
    // SAFETY: as above.
    let _ = unsafe { libc::signal(libc::SIGPIPE, before) };
}

fn is_child_signal_pending() -> bool {
    // SAFETY: the kernel fills the set, for which all-zero bytes are valid; sigismember only reads it.
    unsafe {
        let mut pending: libc::sigset_t = mem::zeroed();
        libc::sigpending(&raw mut pending) == 0 && libc::sigismember(&raw const pending, libc::SIGCHLD) == 1
    }
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
    raise_to(&descriptor, lowest)
}

fn raise_to(descriptor: &Descriptor, lowest: RawDescriptor) -> nix::Result<Descriptor> {
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
    // What is free from `lowest` on may lie beyond the end.
    let raised =
        (first..end).rev().find_map(|lowest| raise_to(&descriptor, lowest).ok().filter(|free| free.raw() < end));
    raised.ok_or(Errno::EMFILE)
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

/// What the process between us and the helper, and the helper until it has memory of its own, share with us.
#[derive(Clone, Copy)]
struct Orphan {
    program: *const c_char,
    arguments: *const *const c_char,
    input: RawDescriptor,
    hand_over: bool,
    flags: c_int,
    complaint: &'static [u8],
}

/// Where a process that shares our memory keeps its few variables; the stack grows down from the end.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; 2048]>);

// SAFETY: `start_orphan` hands each to one process, once.
unsafe impl Sync for Stack {}

static STACKS: [Stack; 2] = [const { Stack(UnsafeCell::new([0; 2048])) }; 2];

impl Stack {
    fn top(&self) -> *mut c_void {
        // SAFETY: one beyond the end is as far as a pointer into an object may go.
        unsafe { self.0.get().add(1).cast() }
    }
}

/// Starts a program with this standard input, no environment, and no parent: in a session of its own, orphaned, so that
/// the command, which has our process id, never has a child that it did not start. To be called once.
///
/// Like vfork(2), without a copy of our memory: what a launch costs is page faults, for the most part. With `hand_over`
/// it is given the capability that this process has, as an ambient one (capabilities(7)); then, or where it may have one
/// for another reason, it has memory of its own when this returns.
///
/// # Errors
/// Where no process can be made. Where the program cannot be executed, `complaint` goes to standard error, later.
pub fn start_orphan(
    program: &str,
    arguments: &[&str],
    input: &Descriptor,
    hand_over: bool,
    complaint: String,
) -> nix::Result<()> {
    // None of this is freed: when the helper reads it we may be another program already.
    let text = |text: &str| CString::new(text).map(|text| text.into_raw().cast_const()).map_err(|_| Errno::EINVAL);
    let (program, complaint) = (text(program)?, complaint.leak().as_bytes());
    let arguments: nix::Result<Vec<*const c_char>> = arguments.iter().map(|argument| text(argument)).collect();
    let arguments = [&[program], &*arguments?, &[ptr::null()]].concat().leak().as_ptr();
    // What still has the capability must not share memory with what has given it up, and can be traced.
    let flags = if has_capability() { libc::CLONE_VM | libc::CLONE_VFORK } else { libc::CLONE_VM };
    let orphan = Box::leak(Box::new(Orphan { program, arguments, input: input.raw(), hand_over, flags, complaint }));
    // No exit signal: where SIGCHLD is blocked, the command would find one pending that is not its own.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let [stack, _] = &STACKS;
    // As a subreaper we would be the one to adopt the orphan.
    let subreaper = prctl::get_child_subreaper()?;
    prctl::set_child_subreaper(false)?;
    // SAFETY: the child runs `orphan_and_end` on a stack of its own and only reads `orphan`, which is never freed; we
    // stand still until it has ended (CLONE_VFORK).
    let child = Errno::result(unsafe { libc::clone(orphan_and_end, stack.top(), flags, ptr::from_mut(orphan).cast()) });
    let ended = child.and_then(wait_for);
    // Not sooner: the one between may be seen to have left our memory before its child has been given away.
    prctl::set_child_subreaper(subreaper)?;
    if ended? == 0 { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// Waits for the end of a child without an exit signal; gives its wait status.
fn wait_for(child: libc::pid_t) -> nix::Result<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one int; __WCLONE waits for a child without an exit signal.
        match Errno::result(unsafe { libc::waitpid(child, &raw mut status, libc::__WCLONE) }) {
            Err(Errno::EINTR) => {}
            waited => return waited.map(|_| status),
        }
    }
}

/// The process between: starts the next and ends, which orphans that.
extern "C" fn orphan_and_end(orphan: *mut c_void) -> c_int {
    let [_, stack] = &STACKS;
    // SAFETY: `start_orphan` made `orphan`. The next process runs on the other stack and only reads `orphan`, while the
    // launcher goes on.
    c_int::from(unsafe { libc::clone(become_program, stack.top(), (*orphan.cast::<Orphan>()).flags, orphan) } == -1)
}

/// The orphan. It shares memory with the launcher, errno too, so it makes system calls and nothing else.
extern "C" fn become_program(orphan: *mut c_void) -> c_int {
    // SAFETY: `start_orphan` made `orphan`, and what it points to, valid for as long as this memory exists. dup2 replaces
    // standard input alone, and `input` is another number.
    unsafe {
        let Orphan { program, arguments, input, hand_over, complaint, .. } = *orphan.cast::<Orphan>();
        libc::setsid();
        if hand_over {
            let low = Half { effective: 0, permitted: THE_CAPABILITY, inheritable: THE_CAPABILITY };
            let _ = capability::set([low, Half::default()]);
            let capability = libc::c_ulong::from(NET_BIND_SERVICE);
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0);
        }
        libc::dup2(input, 0);
        libc::execve(program, arguments, [ptr::null()].as_ptr());
        libc::write(2, complaint.as_ptr().cast(), complaint.len());
    }
    1
}

/// fork(2); this program has one thread.
pub fn fork() -> nix::Result<ForkResult> {
    // SAFETY: no other thread can hold a lock that the child would need.
    unsafe { nix::unistd::fork() }
}

/// Takes over a descriptor that the kernel has just made.
pub fn own(raw: RawDescriptor) -> OwnedFd {
    // SAFETY: the caller has it from the kernel, and nobody else will close it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Closes every descriptor but these and 0, 1 and 2.
pub fn close_all_but(kept: &[RawDescriptor]) {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for end in kept.into_iter().filter(|kept| *kept >= 3).chain([c_int::MAX]) {
        if first < end {
            // SAFETY: what is closed is used no more; the call touches no memory.
            unsafe { libc::syscall(libc::SYS_close_range, first, end.saturating_sub(1), 0) };
        }
        first = end.saturating_add(1);
    }
}

/// Puts a directory that cannot be read in the place of 0, 1 and 2, open or not.
pub fn close_standard_descriptors() {
    // SAFETY: the path is a C string; dup2 replaces what nobody uses any more.
    unsafe {
        let nowhere = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        for standard in 0..3 {
            libc::dup2(nowhere, standard);
        }
        if nowhere > 2 {
            libc::close(nowhere);
        }
    }
}

/// waitid(2) for a child that has ended, or stopped: its process id, what has become of it (`CLD_EXITED` and so on), and
/// by which status or signal. Past nix, for which a real-time signal is none. `None` where there is nothing to tell.
pub fn what_became_of_a_child() -> nix::Result<Option<(Pid, c_int, c_int)>> {
    // SAFETY: the kernel fills one siginfo_t, which is plain numbers, and those of a child where it has one to tell of.
    unsafe {
        let mut child: libc::siginfo_t = mem::zeroed();
        let flags = libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG;
        Errno::result(libc::waitid(libc::P_ALL, 0, &raw mut child, flags))?;
        let (pid, status) = (child.si_pid(), child.si_status());
        Ok((pid != 0).then_some((Pid::from_raw(pid), child.si_code, status)))
    }
}

/// What SIGCHLD does to this process; gives what it did.
pub fn set_child_action(action: libc::sighandler_t) -> libc::sighandler_t {
    // SAFETY: the action is the default, or what it was before: the default or ignoring, as we have no handlers.
    unsafe { libc::signal(libc::SIGCHLD, action) }
}

/// Takes a signal that is pending for this process; false where none is.
pub fn take_pending_signal(signal: c_int) -> bool {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set is made before it is used; the kernel reads it and one timespec, and writes nothing.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) == signal
    }
}

/// Makes no capability effective, without giving any up.
pub fn let_capabilities_rest() -> nix::Result<()> {
    let [low, high] = capabilities()?;
    if low.effective | high.effective == 0 {
        return Ok(());
    }
    set_capabilities([Half { effective: 0, ..low }, Half { effective: 0, ..high }])
}

/// Makes every capability effective that this process has.
pub fn wake_capabilities() -> nix::Result<()> {
    let [low, high] = capabilities()?;
    set_capabilities([Half { effective: low.permitted, ..low }, Half { effective: high.permitted, ..high }])
}

/// Whether the file would have other privileges than its caller: setuid, setgid or capabilities.
pub fn has_privileges(file: &File) -> bool {
    let mode = file.metadata().map_or(0, |file| file.permissions().mode());
    // SAFETY: the name is a C string; without a buffer nothing is written.
    let length = unsafe { libc::fgetxattr(file.as_raw_fd(), c"security.capability".as_ptr(), ptr::null_mut(), 0) };
    mode & 0o6000 != 0 || length > 0
}

/// kill(2), for every number there is.
pub fn send_signal(process: Pid, signal: c_int) -> nix::Result<()> {
    // SAFETY: takes numbers.
    Errno::result(unsafe { libc::kill(process.as_raw(), signal) }).map(drop)
}

/// Does to this process what a signal does to one that does nothing about it. Gives back where the signal was a stop that
/// is over, or does nothing; it is blocked again then.
pub fn suffer(signal: c_int) {
    // SAFETY: no handler is installed. The set is made before it is used, and the kernel keeps no pointer to it.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::signal(signal, libc::SIG_DFL);
        // Blocked, so that it comes once, whether or not one is pending.
        libc::kill(libc::getpid(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
    }
}
