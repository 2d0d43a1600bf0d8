//! rauthbind-helper: the one program of rauthbind that has a capability.
//!
//! It serves one connected AF_UNIX SOCK_SEQPACKET socket, its standard input, until the other end is gone. Whoever
//! holds that end may send a socket and an address; where a rule grants the address to the user whom this process runs
//! as, it binds the socket. It knows nothing else, reads no environment, and starts nothing.
//!
//! | module | holds |
//! |---|---|
//! | [`start`] | what is checked, opened and given up before the first request is read |
//! | [`serve`] | one request: receive, judge, bind, reply, close, log |
//! | [`log`] | the line in the system's log, after the reply |
//! | [`sys`] | the system calls that need unsafe code |

#![deny(unsafe_code)]

pub mod log;
pub mod serve;
pub mod start;
#[allow(unsafe_code)]
pub mod sys;

use std::ffi::c_int;
use std::io::Write as _;

/// Runs the program; gives its exit status. The one place that prints.
pub fn main() -> c_int {
    match start::start(std::env::args_os()) {
        Ok(start::Started::Serving(helper)) => {
            helper.serve();
            0
        }
        Ok(start::Started::Told(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            0
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "rauthbind-helper: {error}");
            1
        }
    }
}
