//! How long binds take.

use crate::measure::Table;
use crate::ways::{AUTHBIND, BY_BROKER, ONCE, Processors, RAUTHBIND, ROOT, SUPERVISE, USER, Ways, privbind};

/// A port that was granted, everything on one processor.
pub const ON_ONE: &str = "A bind of a granted port, on one processor";
/// The same, left to the scheduler.
pub const ON_ALL: &str = "A bind of a granted port, on all processors";
/// A port that needs no grant.
pub const HIGH: &str = "A bind of port 8080";
/// No port at all.
pub const LOCAL: &str = "A bind of a UNIX socket";

/// As QUIC servers bind.
pub const PEER: &str = "A UDP socket for one peer of a server, as with QUIC";
/// Many at once.
const CROWDS: [(&str, u32); 4] = [
    ("Binds by 1 process", 1),
    ("Binds by 4 processes at once", 4),
    ("Binds by 16 processes at once", 16),
    ("Binds by 64 processes at once", 64),
];

/// Those that start a program for each bind take long enough.
const FEW: u32 = 200;
const MANY: u32 = 2000;

const ABOUT: &str = "bind(2) of 127.0.0.1:80, TCP, by one thread: the time in that call alone.";

/// The tables of this module.
#[must_use]
pub fn tables<'w>(ways: &Ways<'w>) -> Vec<Table<'w>> {
    let every_way = [ROOT, RAUTHBIND, ONCE, BY_BROKER, SUPERVISE, AUTHBIND, privbind()];
    let granted = |title, about, processors| {
        let case = |way| {
            let count = if [ONCE, BY_BROKER, AUTHBIND].contains(&way) { FEW } else { MANY };
            ways.case(way, processors, &format!("binds granted {count}"))
        };
        Table { title, unit: "µs", about, is_more_better: false, cases: every_way.map(case).into() }
    };
    let free = |title, about, kind: &str| {
        let case = |way| ways.case(way, Processors::One, &format!("binds {kind} {MANY}"));
        Table {
            title,
            unit: "µs",
            about,
            is_more_better: false,
            cases: [USER, RAUTHBIND, SUPERVISE, AUTHBIND, privbind()].map(case).into(),
        }
    };
    let beside = [ROOT, RAUTHBIND, SUPERVISE, AUTHBIND, privbind()];
    let count = |way| if way == AUTHBIND { FEW } else { MANY };
    let peer = |way| ways.case(way, Processors::One, &format!("binds peer {}", count(way)));
    let crowd = |(title, processes): (_, u32)| {
        let case = |way| {
            let each = count(way).div_ceil(processes);
            ways.case(way, Processors::All, &format!("binds granted {each} {processes}"))
        };
        let about = "Of 127.0.0.1:80, beside each other (SO_REUSEPORT): the time for all, divided by their number.";
        Table { title, unit: "µs", about, is_more_better: false, cases: beside.map(case).into() }
    };
    let peers = Table {
        title: PEER,
        unit: "µs",
        about: "socket(2), bind(2) beside others (SO_REUSEPORT) and connect(2), on one processor.",
        is_more_better: false,
        cases: beside.map(peer).into(),
    };
    let mut tables = vec![
        granted(ON_ONE, ABOUT, Processors::One),
        granted(ON_ALL, ABOUT, Processors::All),
        free(HIGH, "The same of a port that is everybody's, on one processor.", "high"),
        free(LOCAL, "The same of an address in the abstract namespace, on one processor.", "local"),
        peers,
    ];
    tables.extend(CROWDS.map(crowd));
    tables
}
