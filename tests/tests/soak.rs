//! The soak goes on working.

use rauthbind_tests::soak::{Way, run};
use rauthbind_tests::world_test;

world_test! {
    /// A few hundred binds of `cargo xtask soak` in each way, with all its kills and restarts: nothing is lost, nothing grows.
    fn a_short_soak_loses_nothing(_world) {
        run([(Way::Channel, 800), (Way::Once, 400), (Way::Supervisor, 600)]);
    }
}
