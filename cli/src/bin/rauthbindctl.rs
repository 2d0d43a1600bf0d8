//! rauthbindctl(8). All that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rauthbind::ctl::main()
}
