//! librauthbind.so: what `rauthbind` preloads into an app.
//!
//! It replaces bind(2) and nothing else. The real one goes first; only where the kernel refuses an IP address with a
//! port by EACCES, the helper is asked. Whatever goes wrong then, the kernel's refusal stands.
//!
//! This code runs in other people's programs: in signal handlers, beside any number of threads, in children of vfork.
//! A bind takes no lock, allocates nothing and keeps nothing; where the channel is was read once, at load.
//!
//! | module | holds |
//! |---|---|
//! | this one | the hook, and what runs at load |
//! | [`environment`] | the variables of the launcher: reading them, counting them down, taking them away |

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod environment;

use std::num::NonZeroUsize;
use std::slice;

use libc::{c_int, sockaddr, socklen_t};
use once_cell::race::OnceNonZeroUsize;
use rauthbind_wire::address::{LONGEST, RawAddress};
use rauthbind_wire::ask::{ask, prepare};
use rauthbind_wire::channel::Channel;
use rauthbind_wire::message::Request;
use rauthbind_wire::sys::{errno, set_errno};

/// What libc's bind gives when it fails.
const FAILED: c_int = -1;

#[allow(unsafe_code, reason = "a hook is called from C; redhook makes the exported symbol and finds the real function")]
mod hook {
    use super::{
        FAILED, LONGEST, RawAddress, Request, ask, c_int, channel, errno, set_errno, slice, sockaddr, socklen_t,
    };

    redhook::hook! {
        unsafe fn bind(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int => bind_or_ask {
            let before = errno();
            // SAFETY: the app's own arguments, untouched, for the function that it meant to call.
            let result = unsafe { redhook::real!(bind)(socket, address, length) };
            if result != FAILED || errno() != libc::EACCES {
                return result;
            }
            let length = length as usize;
            if address.is_null() || length > LONGEST {
                // Not the kernel's refusal then, but that of another library between it and us.
                return result;
            }
            // SAFETY: the kernel has just read these bytes, as it found them to be an address that it refuses; or a seccomp
            // filter said EACCES in its place, and then an app that passes a bad pointer finds that out here.
            let bytes = unsafe { slice::from_raw_parts(address.cast::<u8>(), length) };
            let Some(address) = RawAddress::new(bytes) else { return result };
            let request = Request { address };
            match ask(channel().as_ref(), socket, &request) {
                Ok(()) => {
                    set_errno(before);
                    0
                }
                Err(refusal) => {
                    refusal.hint(libc::STDERR_FILENO, &request);
                    set_errno(refusal.errno());
                    FAILED
                }
            }
        }
    }

    /// Finds the real bind before the app can fork or handle signals: redhook looks it up once, behind a lock.
    pub(super) fn find_real() {
        let _ = redhook::real!(bind);
    }
}

/// The channel that the launcher left open; read from the environment once, since apps change it.
fn channel() -> Option<Channel> {
    static DESCRIPTOR: OnceNonZeroUsize = OnceNonZeroUsize::new();
    static INODE: OnceNonZeroUsize = OnceNonZeroUsize::new();
    const NONE: NonZeroUsize = NonZeroUsize::MAX;

    let found = || environment::channel().and_then(Result::ok);
    let stored = |number: Option<usize>| number.and_then(NonZeroUsize::new).unwrap_or(NONE);
    let descriptor = DESCRIPTOR.get_or_init(|| {
        // One more, so that 0 can be stored.
        stored(found().and_then(|channel| usize::try_from(channel.descriptor).ok()?.checked_add(1)))
    });
    let inode = INODE.get_or_init(|| stored(found().and_then(|channel| usize::try_from(channel.inode).ok())));
    if descriptor == NONE || inode == NONE {
        return None;
    }
    let descriptor = c_int::try_from(descriptor.get().checked_sub(1)?).ok()?;
    Some(Channel { descriptor, inode: u64::try_from(inode.get()).ok()? })
}

/// Runs when the library is loaded, before the app's main.
extern "C" fn load() {
    hook::find_real();
    prepare();
    let _ = channel();
    environment::heed();
}

#[allow(unsafe_code, reason = "the loader calls what stands in this section")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
