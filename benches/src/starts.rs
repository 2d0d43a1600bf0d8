//! How long programs take to start.

use crate::measure::Table;
use crate::ways::{AUTHBIND, Processors, RAUTHBIND, SUPERVISE, USER, Ways, privbind};

/// A launch, everything on one processor.
pub const ON_ONE: &str = "From the launch to the end of true(1), on one processor";
/// The same, left to the scheduler.
pub const ON_ALL: &str = "From the launch to the end of true(1), on all processors";
/// What each program of a tree pays.
pub const EXEC: &str = "From the start to the end of true(1) in a tree that was launched before";

const STARTS: u32 = 100;

/// The tables of this module.
#[must_use]
pub fn tables<'w>(ways: &Ways<'w>) -> Vec<Table<'w>> {
    let every_way = [USER, RAUTHBIND, SUPERVISE, AUTHBIND, privbind()];
    let launch = |title, processors| {
        let case = |way| ways.case_around(way, processors, &format!("starts {STARTS}"), "true");
        let about = "From before posix_spawn(3) of the launcher to after wait(2): what `time rauthbind true` shows.";
        Table { title, unit: "µs", about, is_more_better: false, cases: every_way.map(case).into() }
    };
    let exec = |way| ways.case(way, Processors::One, &format!("starts {STARTS} true"));
    let about = "The same of true(1) alone, by a program that runs under the launcher, on one processor.";
    vec![
        launch(ON_ONE, Processors::One),
        launch(ON_ALL, Processors::All),
        Table { title: EXEC, unit: "µs", about, is_more_better: false, cases: every_way.map(exec).into() },
    ]
}
