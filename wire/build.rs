//! Works out where the programs are installed, so that `names` can hold plain constants.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=RAUTHBIND_PREFIX");
    let prefix = env::var("RAUTHBIND_PREFIX").unwrap_or_else(|_| String::from("/usr/local"));
    // ld.so(8) splits LD_PRELOAD at spaces and colons and knows no way to quote them; `$` begins its tokens.
    assert!(
        prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains([' ', ':', '$', '\n']),
        "RAUTHBIND_PREFIX={prefix:?}: must be an absolute path without a slash at its end, and without space, colon or dollar"
    );
    println!("cargo:rustc-env=RAUTHBIND_PREFIX={prefix}");
}
