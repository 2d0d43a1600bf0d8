//! What was to be reached.

use crate::measure::{Table, ratio};
use crate::ways::{AUTHBIND, ONCE, RAUTHBIND, SUPERVISE, USER, privbind};
use crate::{binds, calls};

/// One thing beside another.
#[derive(Debug)]
pub struct Goal {
    /// Which two.
    pub what: String,
    /// What their ratio may be at most.
    pub most: f64,
    /// What it is.
    pub is: f64,
}

/// All of them, from the figures of their tables.
#[must_use]
pub fn goals(tables: &[Table<'_>]) -> Vec<Goal> {
    let figures = |title: &str, way: &str| {
        let table = tables.iter().find(|table| table.title == title);
        table.unwrap_or_else(|| panic!("no table {title}")).figures(way).to_vec()
    };
    let goal = |title: &str, way: &str, other: &str, most: f64| {
        let is = ratio(&figures(title, way), &figures(title, other));
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
    goals.extend([calls::GETPID, calls::KILOBYTE, calls::ACCEPT].map(|title| goal(title, SUPERVISE, USER, 1.01)));
    goals
}
