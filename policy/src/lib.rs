//! May this subject bind this address?
//!
//! The subject is whoever runs this code: its real user id, group id and supplementary groups. So the kernel, not this
//! crate, reads mode bits, groups and POSIX ACLs (access(2)).
//!
//! | module | holds |
//! |---|---|
//! | [`request`] | the question: protocol, address, port; and which ports are privileged |
//! | [`keys`] | the names of the rule files that may answer it, in order |
//! | [`byuid`] | the lines of a `byuid` file |
//! | [`rules`] | the directory of rules, and the decision |

#![forbid(unsafe_code)]

pub mod byuid;
pub mod keys;
pub mod request;
pub mod rules;

pub use request::{Protocol, Request, first_unprivileged_port};
pub use rules::{Distrust, Refusal, Rule, Rules, Untrusted, Verdict};
