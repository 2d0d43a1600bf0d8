//! The steps from the command line to the command, in order.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::{execvpe, getuid};
use rauthbind_wire::channel::{self, Channel};
use rauthbind_wire::names::{self, HELPER, SHIM};

use crate::arguments::Run;
use crate::error::Error;
use crate::setup::{self, Problem};
use crate::{identity, say, sys};

/// Becomes the command.
///
/// # Errors
/// [`Error`] where it does not; what only keeps the command from its ports is told on standard error instead.
pub fn launch(run: &Run) -> Result<Infallible, Error> {
    if sys::is_secure_execution() {
        return Err(Error::Secure);
    }
    if let Some(user) = &run.user {
        identity::become_user(user, run.group.as_deref())?;
    }
    let mut environment = sys::environment();
    hang_up_on_outer_helper(&environment);
    forget(&mut environment);
    match setup::check_programs().and_then(|()| start_helper(&environment)) {
        Ok(channel) => {
            cover(&mut environment, &channel, run.depth);
            explain(run, &channel);
        }
        Err(problem) => say(&problem),
    }
    if let Err(problem) = setup::check_rules() {
        say(&problem);
    }
    execute(run, &environment)
}

/// Starts the helper at one end of a new channel and leaves the other open for the command.
fn start_helper(environment: &[CString]) -> Result<Channel, Problem> {
    let start = || -> nix::Result<Channel> {
        let (apps, helper) = channel::create().map_err(Errno::from_raw)?;
        // Out of the way of 0, 1 and 2, which may be closed, and so that what we print cannot go there.
        let helper = sys::raise(helper, 3)?;
        let apps = sys::raise_high(apps, listen_descriptors(environment))?;
        let protocol = rauthbind_wire::PROTOCOL.to_string();
        let complaint = format!("rauthbind: {}\n", Problem::NoProgram);
        sys::start_orphan(HELPER, &["--protocol", &protocol], &helper, complaint)?;
        let channel = Channel::behind(&apps).ok_or(Errno::ENOTSOCK)?;
        sys::leave_open(apps)?;
        Ok(channel)
    };
    start().map_err(Problem::Channel)
}

/// How many descriptors from 3 on are the command's own (sd_listen_fds(3)).
fn listen_descriptors(environment: &[CString]) -> i32 {
    value(environment, "LISTEN_FDS").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

/// Where rauthbind runs under rauthbind, the command is to hold one channel, not two.
fn hang_up_on_outer_helper(environment: &[CString]) {
    if let Some(Ok(outer)) = value(environment, names::CHANNEL).map(Channel::parse) {
        if outer.is_there() {
            sys::close_at_exec(outer.descriptor);
        }
    }
}

/// Takes out what an outer rauthbind put in.
fn forget(environment: &mut Vec<CString>) {
    environment.retain(|entry| [names::CHANNEL, names::DEPTH].iter().all(|name| value_of(entry, name).is_none()));
}

/// Adds what makes the shim load and find the channel. LD_PRELOAD keeps what was in it, before ours.
fn cover(environment: &mut Vec<CString>, channel: &Channel, depth: Option<u32>) {
    // Of two, ld.so(8) heeds the last.
    let mut preload =
        environment.iter().rev().find_map(|entry| value_of(entry, names::LD_PRELOAD)).unwrap_or_default().to_vec();
    if !preload.split(|byte| matches!(byte, b':' | b' ')).any(|item| item == SHIM.as_bytes()) {
        if !preload.is_empty() {
            preload.push(b':');
        }
        preload.extend_from_slice(SHIM.as_bytes());
    }
    environment.retain(|entry| value_of(entry, names::LD_PRELOAD).is_none());
    let depth = depth.map(|depth| (names::DEPTH, depth.to_string().into_bytes()));
    let ours = [(names::LD_PRELOAD, preload), (names::CHANNEL, channel.to_string().into_bytes())];
    environment.extend(ours.into_iter().chain(depth).filter_map(|(name, value)| {
        // No value has a NUL byte in it: they come from C strings and numbers.
        CString::new([name.as_bytes(), b"=", &value].concat()).ok()
    }));
}

fn explain(run: &Run, channel: &Channel) {
    if run.verbose {
        say(&format_args!(
            "user id {} is served by {HELPER} over descriptor {}; rules are in {}",
            getuid(),
            channel.descriptor,
            names::RULES
        ));
        let reach =
            run.depth.map_or_else(|| "every program in it".to_owned(), |depth| format!("programs {depth} deep"));
        say(&format_args!("{SHIM} is preloaded into the command and covers {reach}"));
    }
}

fn execute(run: &Run, environment: &[CString]) -> Result<Infallible, Error> {
    let failed = |errno| {
        let command = run.command.first().map(|command| command.to_string_lossy().into_owned());
        Error::Command(command.unwrap_or_default(), errno)
    };
    let arguments: Result<Vec<CString>, _> = run.command.iter().map(|argument| c_string(argument)).collect();
    let arguments = arguments.map_err(failed)?;
    let command = arguments.first().ok_or_else(|| failed(Errno::ENOENT))?;
    execvpe(command, &arguments, environment).map_err(failed)
}

fn c_string(text: &OsStr) -> nix::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL)
}

/// The first value of a variable, which is the one that getenv(3) finds.
fn value<'a>(environment: &'a [CString], name: &str) -> Option<&'a [u8]> {
    environment.iter().find_map(|entry| value_of(entry, name))
}

fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}
