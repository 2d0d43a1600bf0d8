//! The line in the system's log (facility auth): never before the reply, and never waited for.

use std::fmt;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rauthbind_policy::Request;
use rauthbind_wire::log::{Weight, line};

use crate::NAME;

/// At most so many lines in each [`WINDOW`].
const LINES: u32 = 20;

/// The time in which [`LINES`] are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How many addresses are remembered as told.
const REMEMBERED: usize = 256;

/// Writes to the system's log, and with `-v` of rauthbind(1) to standard error; where either is missing or full, nothing
/// changes.
#[derive(Debug)]
pub struct Log {
    is_heard: bool,
    window_began: Instant,
    written: u32,
    suppressed: u64,
    told: Vec<Request>,
}

impl Log {
    /// A log in which nothing has been written; heard on standard error or not.
    pub fn new(is_heard: bool) -> Log {
        Log { is_heard, window_began: Instant::now(), written: 0, suppressed: 0, told: Vec::new() }
    }

    /// Whether this is the first grant of an address, for all that is remembered.
    pub fn is_first(&mut self, request: Request) -> bool {
        let first = !self.told.contains(&request);
        if first && self.told.len() < REMEMBERED {
            self.told.push(request);
        }
        first
    }

    /// Writes one line, unless there were too many lately; how many were not written is told with the next that is.
    pub fn line(&mut self, weight: Weight, text: fmt::Arguments<'_>) {
        let now = Instant::now();
        if now.duration_since(self.window_began) >= WINDOW {
            self.window_began = now;
            self.written = 0;
        }
        if self.written >= LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return;
        }
        self.written += 1;
        match std::mem::take(&mut self.suppressed) {
            0 => self.write(weight, text),
            count => self.write(weight, format_args!("{text} ({count} lines before this one were suppressed)")),
        }
    }

    fn write(&self, weight: Weight, text: fmt::Arguments<'_>) {
        line(weight, NAME, text);
        let mut errors = stderr();
        let room = || poll(&mut [PollFd::new(errors.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO);
        if self.is_heard && room() == Ok(1) {
            let _ = errors.write_all(format!("{NAME}: {text}\n").as_bytes());
        }
    }
}
