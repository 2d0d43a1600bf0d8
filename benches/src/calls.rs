//! What a filter costs the system calls that it does not stop.

use crate::measure::Table;
use crate::ways::{ANY_FILTER, Processors, SUPERVISE, USER, Ways};

/// The shortest system call.
pub const GETPID: &str = "getpid(2) of a supervised program";
/// Data moved.
pub const KILOBYTE: &str = "write(2) and read(2) of 1 KiB in a supervised program";
/// A server's own.
pub const ACCEPT: &str = "accept(2) and close(2) in a supervised program";

const BATCHES: u32 = 500;

/// The tables of this module.
#[must_use]
pub fn tables<'w>(ways: &Ways<'w>) -> Vec<Table<'w>> {
    let table = |title, about, kind: &str| {
        let case = |way| ways.case(way, Processors::One, &format!("calls {kind} {BATCHES}"));
        Table {
            title, unit: "µs", about, is_more_better: false, cases: [USER, ANY_FILTER, SUPERVISE].map(case).into()
        }
    };
    vec![
        table(GETPID, "By syscall(2), the C library aside, on one processor.", "getpid"),
        table(KILOBYTE, "Both, through a socket pair, on one processor.", "kilobyte"),
        table(ACCEPT, "Both, of a TCP connection that has come before, on one processor.", "accept"),
    ]
}
