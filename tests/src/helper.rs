//! Helpers and supervisors, and what they hold.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::process::{Running, Signal, Stranger, processes_named, wait_until};

const NAME: &str = "rauthbind-helper";

/// The one helper of a world.
#[derive(Debug)]
pub struct Helper(pub Stranger);

/// What a process holds when it has nothing to do.
#[derive(Debug)]
pub struct Holdings {
    /// What is open.
    pub descriptors: BTreeMap<OsString, PathBuf>,
    /// Memory that is its own, in KiB.
    pub memory: u32,
}

impl Holdings {
    /// Waits until the process has nothing to do, which is when its one thread waits in this system call.
    ///
    /// # Panics
    /// It always has, or it has ended.
    #[track_caller]
    #[must_use]
    pub fn at_rest(process: &Stranger, call: i64) -> Self {
        wait_until("the process to be idle", || process.waits_in() == [call]);
        Self { descriptors: process.descriptors(), memory: process.memory("Anonymous") }
    }

    /// Whether there are more descriptors than before, or more memory than an allocator may take in passing: a leak of a
    /// few bytes in each of ten thousand requests is more.
    #[must_use]
    pub fn have_grown_since(&self, before: &Self) -> bool {
        self.descriptors.len() > before.descriptors.len() || self.memory > before.memory + 64
    }
}

impl Helper {
    /// Waits for it.
    ///
    /// # Panics
    /// None comes, or there is more than one.
    #[track_caller]
    #[must_use]
    pub fn find() -> Self {
        Self(Stranger::named(NAME))
    }

    /// Waits until it has dealt with everything that was sent.
    ///
    /// # Panics
    /// It never has, or it has ended.
    #[track_caller]
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings::at_rest(&self.0, libc::SYS_recvmsg)
    }

    /// Sees that it holds open what it did, and has not grown.
    ///
    /// # Panics
    /// It holds something else.
    #[track_caller]
    pub fn assert_still_holds(&self, before: &Holdings) {
        let now = self.holdings();
        assert_eq!(now.descriptors, before.descriptors);
        assert!(!now.have_grown_since(before), "{} KiB, then {} KiB", before.memory, now.memory);
    }

    /// Stops it, and waits until it stands still.
    #[track_caller]
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Has it go on after a stop.
    #[track_caller]
    pub fn go_on(&self) {
        self.0.kill(Signal::SIGCONT);
    }
}

/// Waits until some helper runs, and kills all that do; gives their number.
#[track_caller]
pub fn kill_helpers() -> usize {
    let mut killed = 0;
    wait_until("a helper to be killed", || {
        killed = processes_named(NAME).into_iter().filter(|pid| kill(*pid, Signal::SIGKILL).is_ok()).count();
        killed > 0
    });
    killed
}

/// Waits until there is no helper, the one of the launcher included, nor what is left of one.
#[track_caller]
pub fn no_helper_stays() {
    wait_until("the end of all helpers", || processes_named(NAME).is_empty());
}

/// Waits until this many processes are the launcher's and its supervisor's; what becomes the helper is for a moment one,
/// too.
#[track_caller]
#[must_use]
pub fn wait_for_rauthbinds(count: usize) -> Vec<Pid> {
    wait_until("launcher and supervisor alone", || processes_named("rauthbind").len() == count);
    processes_named("rauthbind")
}

/// The supervisor of a command whose launcher this is.
///
/// # Panics
/// None comes, or other launchers run.
#[track_caller]
#[must_use]
pub fn supervisor_of(launcher: &Running) -> Stranger {
    let others = wait_for_rauthbinds(2).into_iter().filter(|pid| *pid != launcher.pid).collect::<Vec<_>>();
    let [supervisor] = others[..] else { panic!("not one supervisor: {others:?}") };
    Stranger::of(supervisor)
}
