//! What rauthbind makes of hostile input: one property for each reader of something that a stranger wrote.
//!
//! Each module has a function `check`, which panics where its property does not hold. libFuzzer calls it, by the program
//! of the same name in `targets/` (`cargo xtask fuzz`); and so does [`bounded`], in the tests, over the corpus and over
//! mutations of it.
//!
//! | module | what is read | held against |
//! |---|---|---|
//! | [`request`], [`reply`] | the two frames of the wire | docs/protocol.md, written out; and their own writing |
//! | [`channel`] | the variable that tells of the channel | its own writing |
//! | [`byuid`] | the lines of a `byuid` file | [`byuid_model`], which is slow and easy to believe |
//! | [`sockaddr`] | the address of a bind | what the kernel makes of the same bytes |
//! | [`elf`] | the headers of a program | what the file was made to be; for garbage, itself read another way |
//! | [`helper`] | whole messages, descriptors and all, by the helper's own code in the real kernel | the rules that are there |
//!
//! [`sockaddr`] and [`helper`] bind any port, and [`helper`] writes rules: they run in the tests' sandbox only.

#![forbid(unsafe_code)]
// A property that does not hold is a panic; that is what it is for.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod bounded;
pub mod byuid;
pub mod byuid_model;
pub mod channel;
pub mod elf;
pub mod helper;
pub mod reply;
pub mod request;
pub mod sockaddr;
