//! What `cargo xtask bench` measures: rauthbind beside native root, authbind and privbind, all in one run.
//!
//! | module | holds |
//! |---|---|
//! | [`measure`] | tables of cases, measured round by round; the best of them and their ratios |
//! | [`ways`] | the ways to run a program that wants port 80 |
//! | [`binds`] | how long binds take |
//! | [`calls`] | what a filter costs the system calls that it does not stop |
//! | [`starts`] | how long programs take to start |
//! | [`memory`] | what is held in memory while nothing happens |
//! | [`servers`] | requests per second of servers once they are bound |
//! | [`goals`] | what was to be reached |
//! | [`report`] | the text and the plot |
//!
//! The programs that measure are in C, below `programs/`.

// As a test does, it stops at the first surprise.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![forbid(unsafe_code)]

pub mod binds;
pub mod calls;
pub mod goals;
pub mod measure;
pub mod memory;
pub mod report;
pub mod servers;
pub mod starts;
pub mod ways;

use std::env;
use std::fs;
use std::path::Path;

use rauthbind_tests::World;

use crate::ways::Ways;

/// The program.
///
/// # Panics
/// As [`run`], or where the arguments are others.
pub fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [directory, rounds] = arguments.as_slice() else { panic!("usage: bench DIRECTORY ROUNDS") };
    run(Path::new(directory), rounds.parse().expect("a number of rounds"));
}

/// Measures everything so many times, prints what came of it, and writes it to `bench.md` and `bench.svg`.
///
/// # Panics
/// This is no sandbox, or something does not work that is to be measured.
pub fn run(directory: &Path, rounds: usize) {
    let world = World::new();
    let ways = Ways::prepare(&world);
    let modules = [binds::tables, calls::tables, starts::tables, memory::tables, servers::tables];
    let mut tables: Vec<_> = modules.iter().flat_map(|tables| tables(&ways)).collect();
    measure::measure(&mut tables, rounds);
    let text = report::text(&tables, &goals::goals(&tables), rounds);
    println!("{text}");
    fs::write(directory.join("bench.md"), &text).expect("the text can be written");
    fs::write(directory.join("bench.svg"), report::plot(&tables)).expect("the plot can be written");
}
