//! What is held in memory while nothing happens.

use std::fs;

use nix::unistd::Pid;
use rauthbind_tests::{Stranger, wait_until};

use crate::measure::{Case, Table};
use crate::servers::{NGINX_SERVER, stop};
use crate::ways::{RAUTHBIND, SUPERVISE, Ways, privbind};

/// The one table of this module.
pub const AT_REST: &str = "Memory at rest";

/// The tables of this module.
#[must_use]
pub fn tables<'w>(ways: &Ways<'w>) -> Vec<Table<'w>> {
    let about = "Proportional set size of what runs beside an nginx that listens on port 80: the helper; under supervision \
                 the launcher and the supervisor too.";
    // How many there are beside the command.
    let cases = [(RAUTHBIND, 1), (SUPERVISE, 3), (privbind(), 1)].map(|(name, count)| case(ways, name, count));
    vec![Table { title: AT_REST, unit: "KiB", about, is_more_better: false, cases: cases.into() }]
}

fn case<'w>(ways: &Ways<'w>, name: &'static str, count: usize) -> Case<'w> {
    let (world, way) = (ways.world, ways.way(name));
    Case::new(name, move || {
        let before = processes();
        let running = NGINX_SERVER.start(world, &way, 80);
        let others = || processes().into_iter().filter(|pid| !before.contains(pid) && !is_the_command(*pid));
        wait_until("everything to rest", || others().count() == count && others().all(is_at_rest));
        let others: Vec<_> = others().map(Stranger::of).collect();
        let size: u32 = others.iter().map(|process| process.memory("Pss")).sum();
        stop(running);
        others.iter().for_each(Stranger::wait);
        size.into()
    })
}

fn processes() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("proc is there").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}

fn is_the_command(process: Pid) -> bool {
    stat(process).contains(" (nginx) ")
}

fn is_at_rest(process: Pid) -> bool {
    stat(process).contains(") S ")
}

/// What proc_pid_stat(5) has; nothing where the process has ended.
fn stat(process: Pid) -> String {
    fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default()
}
