//! What `cargo xtask soak` does, to be run in the sandbox: see [`rauthbind_tests::soak`].

fn main() {
    rauthbind_tests::soak::main();
}
