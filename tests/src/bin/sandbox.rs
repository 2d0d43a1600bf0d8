//! `sandbox COMMAND [ARG...]`: see [`rauthbind_tests::sandbox`].

use std::process::ExitCode;

fn main() -> ExitCode {
    rauthbind_tests::sandbox::main()
}
