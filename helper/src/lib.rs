//! rauthbind-helper: the one program of rauthbind that has a capability.
//!
//! It serves one connected AF_UNIX socket, its standard input, until the other end is gone. Whoever holds that end may
//! send a socket and an address; where a rule grants the address to the user whom this process runs as, it binds the
//! socket. Run as root for a connection to the broker's socket, it first becomes the user at the other end. It knows
//! nothing else, reads no environment, and starts nothing.
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

use rauthbind_wire::log::{Weight, line};

/// The name in front of every line.
pub(crate) const NAME: &str = "rauthbind-helper";

/// Runs the program; gives its exit status. The one place that prints.
pub fn main() -> c_int {
    let asked = start::Asked::by(std::env::args_os());
    match start::start(&asked) {
        Ok(start::Started::Serving(helper)) => {
            helper.serve();
            0
        }
        Ok(start::Started::Told(text)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            0
        }
        Err(error) if asked.is_unheard() => {
            line(Weight::Notice, NAME, format_args!("{error}"));
            1
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{NAME}: {error}");
            1
        }
    }
}
