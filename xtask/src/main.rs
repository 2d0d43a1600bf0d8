//! `cargo xtask`: see [`xtask::args`] for the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
