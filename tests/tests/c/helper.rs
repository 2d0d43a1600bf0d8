//! The helper of a world, and what it holds.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use nix::libc;
use rauthbind_tests::{Signal, Stranger, wait_until};

/// The one helper of this world.
pub(crate) struct Helper(pub(crate) Stranger);

/// What a helper holds when it has nothing to do.
#[derive(Debug)]
pub(crate) struct Holdings {
    descriptors: BTreeMap<OsString, PathBuf>,
    /// Memory that is its own, in KiB.
    memory: u64,
}

impl Helper {
    pub(crate) fn find() -> Helper {
        Helper(Stranger::named("rauthbind-helper"))
    }

    /// Waits until it has dealt with everything that was sent.
    pub(crate) fn holdings(&self) -> Holdings {
        wait_until("the helper to be idle", || self.0.waits_in() == [libc::SYS_recvmsg]);
        let memory = self.0.file("smaps_rollup");
        let anonymous = memory.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix(" kB")).unwrap();
        Holdings { descriptors: self.0.descriptors(), memory: anonymous.trim().parse().unwrap() }
    }

    /// Sees that it holds open what it did, and has not grown by more than an allocator may do in passing: a leak of a
    /// few bytes in each of ten thousand requests is more.
    #[track_caller]
    pub(crate) fn assert_still_holds(&self, before: &Holdings) {
        let now = self.holdings();
        assert_eq!(now.descriptors, before.descriptors);
        assert!(now.memory <= before.memory + 64, "{} KiB, then {} KiB", before.memory, now.memory);
    }

    /// Stops it, and waits until it stands still.
    pub(crate) fn stop(&self) {
        self.0.kill(Signal::SIGSTOP);
        wait_until("the helper to stop", || self.0.file("stat").contains(") T "));
    }

    pub(crate) fn go_on(&self) {
        self.0.kill(Signal::SIGCONT);
    }
}
