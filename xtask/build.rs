//! Tells xtask what this machine is called among cargo's targets.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=HOST={}", env::var("TARGET").unwrap_or_default());
}
