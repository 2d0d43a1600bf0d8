//! authbind(1), as rauthbind has it. All that it does is in the library.

#![no_main]

use std::ffi::c_int;

/// In place of std's start-up, as in rauthbind.rs.
#[allow(unsafe_code, reason = "the C library calls the symbol `main`, and nothing else here has that name")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    rauthbind::authbind_main()
}
