//! The demo goes on telling the truth.

use rauthbind_tests::world_test;

world_test! {
    /// Everything that `cargo xtask demo` shows happens as told.
    fn demo_happens_as_told(_world) {
        rauthbind_tests::demo::main();
    }
}
