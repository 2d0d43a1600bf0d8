//! Links libgcc's unwinder into the shim, so that no program under it has to load libgcc_s.so.1: measured, that is
//! two thirds of what the shim costs at each exec.

#![allow(clippy::panic, reason = "this is how a build script says what is missing")]

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=CC");
    let compiler = env::var("CC").unwrap_or_else(|_| String::from("cc"));
    let asked = Command::new(&compiler).arg("-print-file-name=libgcc_eh.a").output();
    let output =
        asked.unwrap_or_else(|error| panic!("{compiler}: {error}; install a C compiler, which Rust links with"));
    let archive = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let directory = Path::new(&archive).parent().filter(|directory| directory.is_absolute());
    let directory =
        directory.unwrap_or_else(|| panic!("{compiler} has no libgcc_eh.a; install the one that belongs to it"));
    println!("cargo:rustc-link-search=native={}", directory.display());
    println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
}
