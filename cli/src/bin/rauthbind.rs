//! rauthbind(1). All that it does is in the library.

#![no_main]

use std::ffi::c_int;

/// In place of std's start-up, which opens /dev/null where 0, 1 or 2 is closed and changes what SIGPIPE does: the
/// command is to find both as we did.
#[allow(unsafe_code, reason = "the C library calls the symbol `main`, and nothing else here has that name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    rauthbind::main()
}
