//! End-to-end tests: the installed rauthbind with real programs, each test in a world of its own.
//!
//! | module | holds |
//! |---|---|
//! | [`sandbox`] | the program that makes the namespaces, and what is in them |
//! | [`world`] | what a test says: rules, users, commands; and what is printed when it fails |
//! | [`process`] | a program under test, from start to end |
//! | [`net`] | who listens, and what a web server answers |
//! | [`helper`] | helpers and supervisors, and what they hold |
//! | [`proof`] | what proves that a server works and is the user's |
//! | [`readme`] | what README.md tells its reader to type |
//! | [`packages`] | the packages, and a sandbox to install them in |
//! | [`log`] | what arrives at /dev/log |
//! | [`sys`] | system calls that nix does not have |
//! | [`demo`] | what `cargo xtask demo` shows |
//! | [`soak`] | what `cargo xtask soak` does |
//!
//! A test is a world, a command, an expectation:
//!
//! ```ignore
//! rauthbind_tests::world_test! {
//!     /// A granted port can be bound.
//!     fn granted(world) {
//!         world.grant("byport/80", "alice");
//!         let server = world.command("alice", ["rauthbind", "python3", "-m", "http.server", "80"]).start();
//!         server.wait_listening(80);
//!         assert!(http_get("127.0.0.1", 80, "/").starts_with("HTTP/1.0 200 "));
//!     }
//! }
//! ```

// A test stops at the first surprise; that is what it is for.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![deny(unsafe_code)]

pub mod demo;
pub mod helper;
pub mod log;
pub mod net;
pub mod packages;
pub mod process;
pub mod proof;
pub mod readme;
pub mod sandbox;
pub mod soak;
#[allow(unsafe_code)]
pub mod sys;
pub mod world;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use crate::net::{ask_by_datagram, holders, http_get, http_get_over};
pub use crate::process::{Finished, Running, Signal, Stranger, processes_named, wait_until};
pub use crate::world::World;

/// A test that runs in a sandbox of its own and is given its [`World`].
#[macro_export]
macro_rules! world_test {
    ($(#[$attribute:meta])+ fn $name:ident($world:ident) $body:block) => {
        $(#[$attribute])+
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::run_test(path, env!("CARGO_BIN_EXE_sandbox"), |$world: &$crate::World| $body);
        }
    };
}

/// The checkout that this was built from.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The text of a file of the checkout.
///
/// # Panics
/// There is no such file.
#[must_use]
pub fn source(path: impl AsRef<Path>) -> String {
    let path = checkout().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The installed tree under test.
///
/// # Panics
/// No tree was named.
#[must_use]
pub fn stage() -> PathBuf {
    env::var_os("RAUTHBIND_STAGE").expect("RAUTHBIND_STAGE names no installed tree: run `cargo xtask test`").into()
}

/// What [`world_test!`] makes of a test: outside of the sandbox, this same test inside of one.
///
/// # Panics
/// The test failed, or could not be run.
pub fn run_test(path: &str, sandbox: &str, body: impl FnOnce(&World)) {
    if sandbox::is_inside() {
        return body(&World::new());
    }
    let stage = stage();
    assert!(nix::unistd::geteuid().is_root(), "not root: run `cargo xtask test`");
    let (_crate_name, test) = path.split_once("::").expect("a path of crate and test");
    let mut inside = Command::new(sandbox);
    inside.arg(env::current_exe().expect("the path of this test program"));
    inside.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    let output = inside.env("RAUTHBIND_STAGE", stage).output().expect("the sandbox can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    // A name that matches no test would pass as well.
    let passed = output.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "in the sandbox, {}:\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
}
