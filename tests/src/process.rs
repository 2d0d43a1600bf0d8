//! A program under test, from start to end.
//!
//! Nothing here sleeps: threads listen to the program's output and wait for its end, and whoever waits for something is
//! woken when more is known. The deadline only turns a hang into a failure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal;
pub use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{net, sys};

/// How long anything may be waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Something that threads add to and others wait for.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn get(&self) -> MutexGuard<'_, T> {
        // A test that failed while it looked has changed nothing.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.get());
        self.changed.notify_all();
    }

    /// Waits until there is an answer.
    #[track_caller]
    pub(crate) fn wait<R>(&self, what: &str, answer: impl Fn(&T) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        let mut value = self.get();
        loop {
            if let Some(answer) = answer(&value) {
                return answer;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited for {what} for {PATIENCE:?}");
            value = self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What is known of a program by now.
#[derive(Debug, Default)]
pub(crate) struct Life {
    streams: [Stream; 2],
    status: Option<ExitStatus>,
}

#[derive(Debug, Default)]
struct Stream {
    said: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// The first line with this in it that has come to its end.
    fn line_with(&self, part: &str) -> Option<String> {
        let text = self.text();
        let lines = text.split_inclusive('\n').filter(|line| self.ended || line.ends_with('\n'));
        lines.map(str::trim_end).find(|line| line.contains(part)).map(String::from)
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => writeln!(f, "  {status}")?,
            None => writeln!(f, "  still runs")?,
        }
        for (name, stream) in ["stdout", "stderr"].iter().zip(&self.streams) {
            for line in stream.text().lines() {
                writeln!(f, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}

/// A program that was started.
#[derive(Debug)]
pub struct Running {
    /// Its process id.
    pub pid: Pid,
    life: Arc<Watched<Life>>,
}

/// A program that has ended, as have all that held its output open.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote there.
    pub stderr: String,
}

impl Finished {
    /// Insists on exit status 0.
    ///
    /// # Panics
    /// It was another.
    #[track_caller]
    pub fn successful(self) -> Self {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// A child's process id, as nix has it.
pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits pid_t"))
}

impl Running {
    /// Starts a command with nothing on its stdin, and listens to what it says.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self::start_on(Stdio::null(), command)
    }

    /// Starts a command with this as its stdin.
    #[track_caller]
    pub(crate) fn start_on(stdin: Stdio, command: &mut Command) -> Self {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let running = Self { pid: pid_of(&child), life: Arc::default() };
        running.listen(0, child.stdout.take().expect("a pipe"));
        running.listen(1, child.stderr.take().expect("a pipe"));
        running.await_end(child);
        running
    }

    fn listen(&self, stream: usize, mut pipe: impl Read + Send + 'static) {
        let life = Arc::clone(&self.life);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                life.change(|life| life.streams[stream].said.extend_from_slice(&buffer[..length]));
            }
            life.change(|life| life.streams[stream].ended = true);
        });
    }

    fn await_end(&self, mut child: Child) {
        let life = Arc::clone(&self.life);
        thread::spawn(move || {
            let status = child.wait().expect("nobody else waits for it");
            life.change(|life| life.status = Some(status));
        });
    }

    pub(crate) fn life(&self) -> Arc<Watched<Life>> {
        Arc::clone(&self.life)
    }

    /// Waits for a line on stdout that has this in it.
    ///
    /// # Panics
    /// Stdout was closed without it.
    #[track_caller]
    pub fn stdout_line(&self, part: &str) -> String {
        self.line(0, part)
    }

    /// Waits for a line on stderr that has this in it.
    ///
    /// # Panics
    /// Stderr was closed without it.
    #[track_caller]
    pub fn stderr_line(&self, part: &str) -> String {
        self.line(1, part)
    }

    #[track_caller]
    fn line(&self, stream: usize, part: &str) -> String {
        let found = self.life.wait(&format!("a line with {part:?}"), |life| {
            let stream = &life.streams[stream];
            let line = stream.line_with(part);
            (line.is_some() || stream.ended).then_some(line)
        });
        found.unwrap_or_else(|| panic!("no line with {part:?} before the output was closed"))
    }

    /// Waits until something listens on this TCP port.
    ///
    /// # Panics
    /// The program ended before.
    #[track_caller]
    pub fn wait_listening(&self, port: u16) {
        wait_until(&format!("port {port}"), || {
            let status = self.life.get().status;
            let listening = net::is_listening(port);
            assert!(
                listening || status.is_none(),
                "ended before port {port} was listened to: {}",
                status.unwrap_or_default()
            );
            listening
        });
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    #[track_caller]
    pub fn kill(&self, signal: Signal) {
        signal::kill(self.pid, signal).expect("it runs");
    }

    /// Waits for the program itself to end; others may hold its output open.
    #[track_caller]
    pub fn exited(&self) -> ExitStatus {
        self.life.wait("the program's end", |life| life.status)
    }

    /// Waits for the program to end and for all that it has written.
    #[track_caller]
    pub fn wait(self) -> Finished {
        self.life.wait("the end of the program and its output", |life| {
            let [stdout, stderr] = &life.streams;
            let status = life.status.filter(|_| stdout.ended && stderr.ended)?;
            Some(Finished { status, stdout: stdout.text(), stderr: stderr.text() })
        })
    }
}

/// A process that somebody else has started.
#[derive(Debug)]
pub struct Stranger {
    /// Its process id.
    pub pid: Pid,
    pidfd: OwnedFd,
}

impl Stranger {
    /// Watches a process.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    #[must_use]
    pub fn of(pid: Pid) -> Self {
        Self { pid, pidfd: sys::pidfd_open(pid).expect("there is such a process") }
    }

    /// Waits for the first process of this name, which the kernel cuts to 15 characters.
    ///
    /// # Panics
    /// None comes, or there is more than one.
    #[track_caller]
    #[must_use]
    pub fn named(name: &str) -> Self {
        wait_until(&format!("a process {name}"), || !processes_named(name).is_empty());
        let found = processes_named(name);
        assert_eq!(found.len(), 1, "processes of the name {name}: {found:?}");
        Self::of(found[0])
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    #[track_caller]
    pub fn kill(&self, signal: Signal) {
        signal::kill(self.pid, signal).expect("it runs");
    }

    /// Stops it, and waits until it stands still.
    ///
    /// # Panics
    /// It has ended.
    #[track_caller]
    pub fn stop(&self) {
        self.kill(Signal::SIGSTOP);
        wait_until("the process to stop", || self.file("stat").contains(") T "));
    }

    /// What is in a file of its directory in /proc.
    ///
    /// # Panics
    /// It has ended, or there is no such file.
    #[track_caller]
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The numbers of the system calls in which its threads wait; -1 for one that waits in none.
    #[must_use]
    pub fn waits_in(&self) -> Vec<i64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let calls = threads.filter_map(|thread| fs::read_to_string(thread.path().join("syscall")).ok());
        calls.map(|call| call.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(-1)).collect()
    }

    /// What it holds open, by descriptor.
    ///
    /// # Panics
    /// It has ended.
    #[track_caller]
    #[must_use]
    pub fn descriptors(&self) -> BTreeMap<OsString, PathBuf> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs").flatten();
        open.filter_map(|entry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?))).collect()
    }

    /// How much memory of this kind it has, in KiB (`smaps_rollup` of proc_pid_smaps(5)): `Anonymous` is its own.
    ///
    /// # Panics
    /// It has ended, or there is no such kind.
    #[track_caller]
    #[must_use]
    pub fn memory(&self, kind: &str) -> u32 {
        let rollup = self.file("smaps_rollup");
        let value = rollup.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(':')?.strip_suffix(" kB"));
        value.and_then(|kilobytes| kilobytes.trim().parse().ok()).expect("as in proc_pid_smaps(5)")
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ends_within(PollTimeout::ZERO)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It goes on.
    #[track_caller]
    pub fn wait(&self) {
        let patience = PollTimeout::try_from(PATIENCE).expect("not that long");
        assert!(self.ends_within(patience), "waited for the end of process {} for {PATIENCE:?}", self.pid);
    }

    fn ends_within(&self, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).expect("a descriptor of ours") > 0
    }
}

/// Every process of this name, which the kernel cuts to 15 characters.
#[must_use]
pub fn processes_named(name: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        fs::read_to_string(entry.path().join("comm"))
            .is_ok_and(|comm| comm.trim_end() == name.get(..15).unwrap_or(name))
    });
    named.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}

/// Waits until something is so that the kernel tells only when it is asked.
///
/// # Panics
/// It never is.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what} for {PATIENCE:?}");
        thread::yield_now();
    }
}
