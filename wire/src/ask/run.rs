//! The helper, run for one request by a process that the app cannot notice.
//!
//! A child that executes a program is seen by whoever waits for any child, and its end raises SIGCHLD, because execve(2)
//! resets the exit signal. So there is one between: made without an exit signal it is nobody's business (__WCLONE in
//! wait(2)), and as it never executes anything it stays so. It runs the helper, waits for its end, and ends.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::names::{HELPER_FILE, ONCE};
use crate::sys::{Descriptor, RawDescriptor, again_when_interrupted, errno};

/// In bytes. Two of them are in the frame of the calling thread, whose whole stack may be 8 KiB, for signals.
const STACK: usize = 1024;

/// Where a process that shares the app's memory keeps its few variables; the stack grows down from the end.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

/// What the three processes share.
struct Errand {
    input: RawDescriptor,
    next: *mut c_void,
    /// Why the helper was not run, as an errno.
    failure: c_int,
}

impl Stack {
    fn top(&self) -> *mut c_void {
        // SAFETY: one beyond the end is as far as a pointer into an object may go.
        unsafe { self.0.get().add(1).cast() }
    }
}

/// clone(2) as the C library has it. (What follows the last argument is for flags that are not used here.)
type Clone = unsafe extern "C" fn(Entry, *mut c_void, c_int, *mut c_void, ...) -> c_int;

/// Where a new process begins.
type Entry = extern "C" fn(*mut c_void) -> c_int;

/// The C library's own clone, or null where [`find_clone`] has not found it.
static CLONE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Finds the C library's own clone behind those of other libraries: ThreadSanitizer's takes every child for a fork.
pub(super) fn find_clone() {
    // SAFETY: both names are C strings. The C library is never unloaded, so that the handle need not be given back.
    let found = unsafe {
        let library = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if library.is_null() { library } else { libc::dlsym(library, c"clone".as_ptr()) }
    };
    CLONE.store(found, Ordering::Relaxed);
}

/// # Safety
/// As for clone(2).
unsafe fn clone(entry: Entry, stack: *mut c_void, flags: c_int, argument: *mut c_void) -> c_int {
    let found = CLONE.load(Ordering::Relaxed);
    // SAFETY: what is called clone in libc.so.6 is of this type; the rest is the caller's promise.
    unsafe {
        let clone = if found.is_null() { libc::clone } else { mem::transmute::<*mut c_void, Clone>(found) };
        clone(entry, stack, flags, argument)
    }
}

/// Runs the helper with this standard input and no environment, to its end.
///
/// # Errors
/// The errno of clone(2) or execve(2). Whether the helper has served, only the reply channel tells.
#[inline(never)]
pub(super) fn run_helper(input: &Descriptor) -> Result<(), c_int> {
    let stacks = [const { Stack(UnsafeCell::new([0; STACK])) }; 2];
    let [stack, next] = &stacks;
    let mut errand = Errand { input: input.raw(), next: next.top(), failure: 0 };
    // Not SIGSYS: where it is blocked, a seccomp filter that raises it kills the app.
    let before = block_signals(!(1 << (libc::SIGSYS - 1)));
    // With the app's own table of descriptors, until there is one without them: a copy would keep open what other threads
    // close meanwhile.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    // SAFETY: the child runs `run_and_wait` on a stack of its own, and this thread stands still until it has ended
    // (CLONE_VFORK), so that nobody else uses `errand` or the stacks, nor errno, which the two share.
    let child = unsafe { clone(run_and_wait, stack.top(), flags, ptr::from_mut(&mut errand).cast()) };
    let made = if child == -1 { Err(errno()) } else { Ok(()) };
    if made.is_ok() {
        wait_for(child);
    }
    block_signals(before);
    made.and(if errand.failure == 0 { Ok(()) } else { Err(errand.failure) })
}

/// The process between.
extern "C" fn run_and_wait(errand: *mut c_void) -> c_int {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // A handler of the app's must not run on a stack as small as this.
    block_signals(!0);
    // SAFETY: `run_helper` made `errand`, and stands still. The child runs on the other stack, and this process stands
    // still in its turn until it has become the helper, or ended.
    unsafe {
        let errand = errand.cast::<Errand>();
        let child =
            if take_input((*errand).input) { clone(become_helper, (*errand).next, flags, errand.cast()) } else { -1 };
        if child == -1 {
            (*errand).failure = errno();
        } else {
            wait_for(child);
        }
    }
    0
}

/// Makes this 0, 1 and 2 of this process alone, and closes what else the app has open; false for errno. All three, because
/// the C library of a program with a capability opens devices where one of them is closed, and where there are none, ends.
fn take_input(input: RawDescriptor) -> bool {
    // SAFETY: takes numbers. The first call below gives this process a table of descriptors of its own, and what comes
    // behind it changes that alone.
    let done = |call, a: c_int, b: c_int, c: c_uint| unsafe { libc::syscall(call, a, b, c) } != -1;
    done(libc::SYS_close_range, input.saturating_add(1), c_int::MAX, libc::CLOSE_RANGE_UNSHARE)
        // At once: a socket that the app closes meanwhile keeps its port for as long as there is a copy.
        && (input == 0 || done(libc::SYS_close_range, 0, input.saturating_sub(1), 0))
        && match input {
            0 => done(libc::SYS_fcntl, 0, libc::F_SETFD, 0),
            _ => done(libc::SYS_dup3, input, 0, 0),
        }
        && done(libc::SYS_dup3, 0, 1, 0)
        && done(libc::SYS_dup3, 0, 2, 0)
        && done(libc::SYS_close_range, 3, c_int::MAX, 0)
}

/// The process that becomes the helper. By syscall(2), as a library that was preloaded may have an execve of its own, for
/// which this stack is too small.
extern "C" fn become_helper(errand: *mut c_void) -> c_int {
    let arguments: [*const c_char; 3] = [HELPER_FILE.as_ptr(), ONCE.as_ptr(), ptr::null()];
    let environment: [*const c_char; 1] = [ptr::null()];
    // SAFETY: as in `run_and_wait`. The arguments are C strings in lists that end with a null pointer.
    unsafe {
        libc::syscall(libc::SYS_execve, HELPER_FILE.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        (*errand.cast::<Errand>()).failure = errno();
    }
    1
}

/// Waits for the end of a child, if it is still there: where SIGCHLD is ignored, the kernel takes it away.
fn wait_for(child: libc::pid_t) {
    let (status, usage) = (ptr::null_mut::<c_int>(), ptr::null_mut::<c_void>());
    // SAFETY: both pointers may be null (wait4(2)). By syscall(2) because libc's wait4 is a cancellation point; with
    // __WALL because a child without an exit signal is not found without it.
    let _ = again_when_interrupted(|| unsafe { libc::syscall(libc::SYS_wait4, child, status, libc::__WALL, usage) });
}

/// Blocks these signals and no others, number 1 in the lowest bit; gives those that were blocked.
fn block_signals(signals: u64) -> u64 {
    let mut before = 0;
    // SAFETY: the kernel reads and writes sets of 64 bits. By syscall(2) because libc's wrapper leaves out the two that
    // it uses itself, one of which is pthread_cancel(3)'s.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const signals,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    before
}
