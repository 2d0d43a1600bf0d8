//! What was to be reached.

use crate::measure::Table;
use crate::ways::{AUTHBIND, ONCE, RAUTHBIND, ROOT, SUPERVISE, USER, privbind};
use crate::{binds, calls, memory, servers, starts};

/// One thing, most often beside another.
#[derive(Debug)]
pub struct Goal {
    /// Which, and in the place of what.
    pub what: String,
    /// What it, or its ratio to the other, may be at most.
    pub most: f64,
    /// What it is.
    pub is: f64,
}

/// All of them, from the figures of their tables.
#[must_use]
pub fn goals(tables: &[Table<'_>]) -> Vec<Goal> {
    let best = |title: &str, way: &str| {
        let table = tables.iter().find(|table| table.title == title);
        table.unwrap_or_else(|| panic!("no table {title}")).best(way)
    };
    let goal = |title: &str, way: &str, other: &str, most: f64| {
        let is = best(title, way) / best(title, other);
        Goal { what: format!("{title}: {way} / {other}"), most, is }
    };
    let mut goals = Vec::new();
    for title in [binds::ON_ONE, binds::ON_ALL] {
        goals.extend([
            goal(title, RAUTHBIND, privbind(), 1.25),
            goal(title, RAUTHBIND, AUTHBIND, 1.0 / 30.0),
            goal(title, ONCE, AUTHBIND, 1.0),
            goal(title, SUPERVISE, privbind(), 1.0),
            goal(title, SUPERVISE, AUTHBIND, 1.0 / 30.0),
        ]);
    }
    goals.extend([binds::HIGH, binds::LOCAL].map(|title| goal(title, RAUTHBIND, USER, 1.03)));
    let extra = |way| best(starts::EXEC, way) - best(starts::EXEC, USER);
    let what = format!("{}, what it takes longer: {RAUTHBIND} / {AUTHBIND}", starts::EXEC);
    goals.push(Goal { what, most: 0.8, is: extra(RAUTHBIND) / extra(AUTHBIND) });
    goals.extend([starts::ON_ONE, starts::ON_ALL].map(|title| goal(title, RAUTHBIND, AUTHBIND, 1.0)));
    let what = format!("{}, in KiB: {RAUTHBIND}", memory::AT_REST);
    goals.push(Goal { what, most: 500.0, is: best(memory::AT_REST, RAUTHBIND) });
    for title in [servers::NGINX, servers::NODE] {
        // Within noise, which is about that.
        goals.extend([RAUTHBIND, SUPERVISE].map(|way| goal(title, ROOT, way, 1.02)));
    }
    goals.extend([calls::GETPID, calls::KILOBYTE, calls::ACCEPT].map(|title| goal(title, SUPERVISE, USER, 1.01)));
    goals
}
