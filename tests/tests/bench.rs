//! The benchmark goes on working.

use std::fs;
use std::path::Path;

use rauthbind_tests::world_test;

world_test! {
    /// One round of `cargo xtask bench` runs through, whatever the figures.
    fn a_round_of_the_benchmark_runs_through(_world) {
        let directory = Path::new("/run/tmp");
        rauthbind_benches::run(directory, 1);
        let text = fs::read_to_string(directory.join("bench.md")).expect("written");
        for nonsense in ["NaN", "inf"] {
            assert!(!text.contains(nonsense), "{text}");
        }
        assert!(fs::read_to_string(directory.join("bench.svg")).expect("written").ends_with("</svg>\n"));
    }
}
