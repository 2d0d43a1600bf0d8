//! The one capability that all of this is about, and the sets that a thread has it in (capabilities(7)).

use core::ffi::c_int;

use crate::sys::check;

/// `CAP_NET_BIND_SERVICE` of linux/capability.h.
pub const NET_BIND_SERVICE: u8 = 10;

/// [`NET_BIND_SERVICE`] in the first half of a set.
pub const THE_CAPABILITY: u32 = 1 << NET_BIND_SERVICE;

/// Half of the three sets of capget(2), in which each capability is a bit. [`THE_CAPABILITY`] is in the first half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Half {
    /// What counts.
    pub effective: u32,
    /// What can be made to count.
    pub permitted: u32,
    /// What is left of it after execve(2); and what is not in here is not ambient either.
    pub inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities, in two halves; and the calling thread.
const HEADER: [u32; 2] = [0x2008_0522, 0];

/// The calling thread's sets.
pub fn get() -> Result<[Half; 2], c_int> {
    let mut header = HEADER;
    let mut halves = [Half::default(); 2];
    // SAFETY: capget(2) reads the header, where it may also write, and writes both halves, as version 3 has it.
    check(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), halves.as_mut_ptr()) })?;
    Ok(halves)
}

/// Makes them the calling thread's. Only makes a system call.
pub fn set(halves: [Half; 2]) -> Result<(), c_int> {
    // SAFETY: capset(2) reads the header and both halves, and keeps no pointer.
    check(unsafe { libc::syscall(libc::SYS_capset, HEADER.as_ptr(), halves.as_ptr()) })
}
