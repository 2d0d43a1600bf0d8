//! What app, shim, launcher and helper say to each other, and how.
//!
//! | module | holds |
//! |---|---|
//! | [`names`] | paths and variable names |
//! | [`channel`] | the pre-opened channel: its making, its description in the environment, its check before use |
//! | [`address`] | a socket address as an app passed it, and what the kernel makes of it |
//! | [`message`] | the two frames, request and reply, as bytes |
//! | [`fdpass`] | one message with descriptors and the sender's credentials, there and back |
//! | [`ask`] | the asking side: one request out, one reply in, by whichever way there is a helper |
//! | [`log`] | lines for the system's log |
//! | [`capability`] | what the launcher hands over and the helper uses |
//! | [`sys`] | the system calls of both sides |
//!
//! The asking side runs inside other people's programs, in signal handlers and in vfork children too. So this crate
//! is `no_std` without `alloc`: it cannot allocate, lock, or panic its way through an unwinder; and it enters the
//! kernel by syscall(2) alone, because the wrappers of libc are cancellation points (pthreads(7)) and bind(2) is none.

#![no_std]
#![deny(unsafe_code)]

pub mod address;
pub mod ask;
#[allow(unsafe_code)]
pub mod capability;
pub mod channel;
#[allow(unsafe_code)]
pub mod fdpass;
pub mod log;
pub mod message;
pub mod names;
#[allow(unsafe_code)]
pub mod sys;

/// The version of all that is said between launcher, shim and helper: frames, variables and the helper's arguments.
///
/// To be raised with every change of these; a release that leaves them alone keeps it, so that a tree of processes
/// started before an upgrade goes on being served after it.
pub const PROTOCOL: u16 = 1;
