//! What arrives at /dev/log.

use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread;

use crate::process::Watched;

/// What the helper calls an app in its lines: by process id, and by the name that it gives itself.
///
/// # Panics
/// It has ended.
#[track_caller]
#[must_use]
pub fn app(pid: impl Display) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("the app lives");
    format!("pid {pid} {:?}", name.trim_end())
}

/// A log daemon that keeps what it hears.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Arc<Watched<Vec<String>>>,
}

impl Log {
    /// Listens at /dev/log from now on.
    pub(crate) fn listen() -> Self {
        // Of this network namespace, for sockets made from now on: nobody waits for the log, and no line is to be lost.
        fs::write("/proc/sys/net/unix/max_dgram_qlen", "10000").expect("root sets the length of queues");
        let socket = UnixDatagram::bind("/dev/log").expect("the sandbox has no log yet");
        fs::set_permissions("/dev/log", Permissions::from_mode(0o666)).expect("a socket of our own");
        let lines: Arc<Watched<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(length) = socket.recv(&mut buffer) {
                let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.change(|lines| lines.push(line));
            }
        });
        Self { lines }
    }

    /// Everything so far, a datagram each, as it came.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.get().clone()
    }

    /// Waits for a line that has this in it.
    #[track_caller]
    #[must_use]
    pub fn line(&self, part: &str) -> String {
        self.lines
            .wait(&format!("a log line with {part:?}"), |lines| lines.iter().find(|line| line.contains(part)).cloned())
    }
}
