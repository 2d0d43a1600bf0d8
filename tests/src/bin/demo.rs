//! What `cargo xtask demo` shows, to be run in the sandbox: see [`rauthbind_tests::demo`].

fn main() {
    rauthbind_tests::demo::main();
}
