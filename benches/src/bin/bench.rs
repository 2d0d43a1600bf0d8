//! `bench DIRECTORY ROUNDS`, to be run in the sandbox: see [`rauthbind_benches`].

fn main() {
    rauthbind_benches::main();
}
