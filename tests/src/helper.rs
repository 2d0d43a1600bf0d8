//! The helper, and what it holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use nix::libc;

use crate::process::{Signal, Stranger, wait_until};

/// The one helper of a world.
#[derive(Debug)]
pub struct Helper(pub Stranger);

/// What a helper holds when it has nothing to do.
#[derive(Debug)]
pub struct Holdings {
    descriptors: BTreeMap<OsString, PathBuf>,
    /// Memory that is its own, in KiB.
    memory: u64,
}

impl Helper {
    /// Waits for it.
    ///
    /// # Panics
    /// None comes, or there is more than one.
    #[track_caller]
    #[must_use]
    pub fn find() -> Self {
        Self(Stranger::named("rauthbind-helper"))
    }

    /// Waits until it has dealt with everything that was sent.
    ///
    /// # Panics
    /// It never has, or it has ended.
    #[track_caller]
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        wait_until("the helper to be idle", || self.0.waits_in() == [libc::SYS_recvmsg]);
        let memory = self.0.file("smaps_rollup");
        let anonymous = memory.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix(" kB"));
        let memory = anonymous.and_then(|kilobytes| kilobytes.trim().parse().ok()).expect("as in proc_pid_smaps(5)");
        Holdings { descriptors: self.0.descriptors(), memory }
    }

    /// Sees that it holds open what it did, and has not grown by more than an allocator may do in passing: a leak of a
    /// few bytes in each of ten thousand requests is more.
    ///
    /// # Panics
    /// It holds something else.
    #[track_caller]
    pub fn assert_still_holds(&self, before: &Holdings) {
        let now = self.holdings();
        assert_eq!(now.descriptors, before.descriptors);
        assert!(now.memory <= before.memory + 64, "{} KiB, then {} KiB", before.memory, now.memory);
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
