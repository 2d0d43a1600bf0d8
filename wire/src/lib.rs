//! What app, shim, launcher and helper of rauthbind say to each other, and how.
//!
//! A program that wants its privileged ports without `rauthbind` in front of it calls [`bind()`]. That is the interface to
//! rely on: it changes by the rules of semantic versioning. The modules are for the programs of one release. What they say
//! to each other is written down in docs/protocol.md, for those who ask from another language.
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
//! is `no_std` without `alloc`: it cannot allocate, lock, or panic its way through an unwinder; and it enters the kernel
//! by syscall(2) alone, because the wrappers of libc are cancellation points (pthreads(7)) and bind(2) is none. The feature
//! `std`, which brings [`bind()`], is the exception; shim and helper are built without it.

#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

pub mod address;
pub mod ask;
#[cfg(feature = "std")]
mod bind;
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

#[cfg(feature = "std")]
pub use crate::bind::bind;

/// The version of all that is said between launcher, shim and helper: frames, variables and the helper's arguments.
///
/// To be raised with every change of these; a release that leaves them alone keeps it, so that a tree of processes
/// started before an upgrade goes on being served after it.
pub const PROTOCOL: u16 = 1;
