//! The steps from the command line to the command, in order.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsStr, c_int};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{AccessFlags, access, execvpe, geteuid, getpid, getuid};
use rauthbind_wire::ask::is_broker_there;
use rauthbind_wire::channel::{self, Channel};
use rauthbind_wire::names::{self, HELPER, SHIM, VERBOSE};

use crate::accounts::Account;
use crate::arguments::{Mode, Run};
use crate::error::Error;
use crate::identity;
use crate::program::Program;
use crate::setup::{self, Problem, Source};
use crate::{say, supervise, sys};

/// Who serves the command from its start.
enum Server {
    /// A helper that was started for it, at the other end of this channel.
    Helper(Channel),
    /// The helper of the rauthbind that this one runs under.
    OuterHelper(Channel),
    /// The system's broker.
    Broker,
}

impl Server {
    fn channel(self) -> Option<Channel> {
        match self {
            Server::Helper(channel) | Server::OuterHelper(channel) => Some(channel),
            Server::Broker => None,
        }
    }
}

/// Becomes the command, or runs it under a supervisor, and then gives its exit status, or ends as it ended.
///
/// # Errors
/// [`Error`] where it does not; what only keeps the command from its ports is told on standard error instead.
pub fn launch(run: &Run) -> Result<c_int, Error> {
    if sys::is_secure_execution() {
        return Err(Error::Secure(std::env::current_exe().unwrap_or_else(|_| "rauthbind".into())));
    }
    let mut environment = sys::environment();
    if sys::has_capability() {
        sys::keep_others_out().map_err(Error::Capability)?;
    }
    if let Some(user) = &run.user {
        let account = identity::become_user(user, run.group.as_deref())?;
        if run.user_environment {
            let Account { name, home, shell } = account.ok_or_else(|| Error::NoAccount(user.clone()))?;
            let ours = [("HOME", &home), ("USER", &name), ("LOGNAME", &name), ("SHELL", &shell)];
            ours.into_iter().for_each(|(name, value)| set(&mut environment, name, value.as_bytes()));
        }
    }
    if run.user.is_none() && is_supervised(&environment) {
        if run.verbose {
            say(&"the supervisor of the outer rauthbind serves the command");
        }
        return execute(run, &environment).map(|never| match never {});
    }
    let server = setup::check_shim().and_then(|()| find_server(&environment, run.verbose));
    if !geteuid().is_root() {
        // What was root's, `-u` does not leave to anybody.
        let give_up = if run.user.is_some() { sys::give_up_all_capabilities } else { sys::give_up_the_capability };
        give_up().map_err(Error::Capability)?;
    }
    match &server {
        Ok(server) => explain_server(run, server),
        Err(problem) => say(problem),
    }
    match setup::check_rules() {
        // The broker may see others.
        Err(problem) if !is_broker_there() => say(&problem),
        Ok(()) | Err(_) => {}
    }
    if is_to_be_supervised(run) {
        return supervise_command(run, environment, server.ok());
    }
    if !matches!(server, Err(Problem::Shim(_))) {
        explain_preload(run);
        cover(&mut environment, server.ok(), run.depth);
    }
    execute(run, &environment).map(|never| match never {})
}

/// Whether whatever this process becomes is supervised already. Without no_new_privs the variable is from elsewhere.
fn is_supervised(environment: &[CString]) -> bool {
    value(environment, names::SUPERVISED).is_some() && prctl::get_no_new_privs().unwrap_or(false)
}

/// Whether the command's binds are to be answered from outside.
fn is_to_be_supervised(run: &Run) -> bool {
    let program = || run.command.first().and_then(|command| Program::of(command));
    match run.mode {
        Mode::Preload => false,
        Mode::Supervise => true,
        Mode::Auto => program().is_some_and(|program| {
            let barrier = program.barrier();
            if let (Some(barrier), true) = (barrier, run.verbose) {
                let path = program.path.display();
                say(&format_args!("{path} {barrier}, so that no library can be preloaded into it"));
            }
            barrier.is_some()
        }),
    }
}

/// Runs the command under a supervisor, or becomes it where there can be none.
fn supervise_command(run: &Run, mut environment: Vec<CString>, server: Option<Server>) -> Result<c_int, Error> {
    explain_supervision(run);
    let channel = server.and_then(Server::channel);
    // The supervisor's alone.
    channel.iter().for_each(|channel| sys::close_at_exec(channel.descriptor));
    uncover(&mut environment);
    set(&mut environment, names::SUPERVISED, b"1");
    let launcher = getpid().to_string();
    let mut execute_as_itself = |is_supervised: bool| {
        // What a service manager meant for the launcher is the command's (sd_listen_fds(3), sd_watchdog_enabled(3)).
        for name in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            if value(&environment, name) == Some(launcher.as_bytes()) {
                set(&mut environment, name, getpid().to_string().as_bytes());
            }
        }
        if !is_supervised {
            unset(&mut environment, names::SUPERVISED);
        }
        execute(run, &environment)
    };
    match supervise::run(channel.as_ref(), &mut execute_as_itself) {
        Ok(status) => Ok(status),
        Err(problem) => {
            say(&problem);
            execute_as_itself(false).map(|never| match never {})
        }
    }
}

/// Starts a helper for the command, or finds who serves it without.
fn find_server(environment: &[CString], verbose: bool) -> Result<Server, Problem> {
    let outer = value(environment, names::CHANNEL).and_then(|value| Channel::parse(value).ok());
    let outer = outer.filter(Channel::is_there);
    match setup::source().and_then(|source| start_helper(environment, source, verbose)) {
        Ok(channel) => {
            // The command is to hold one channel, not two.
            outer.iter().for_each(|outer| sys::close_at_exec(outer.descriptor));
            Ok(Server::Helper(channel))
        }
        Err(problem) => match outer {
            Some(outer) => Ok(Server::OuterHelper(outer)),
            None if is_broker_there() => Ok(Server::Broker),
            None => Err(problem),
        },
    }
}

/// Starts the helper at one end of a new channel and leaves the other open for the command.
fn start_helper(environment: &[CString], source: Source, verbose: bool) -> Result<Channel, Problem> {
    let start = || -> nix::Result<Channel> {
        let (apps, helper) = channel::create().map_err(Errno::from_raw)?;
        // Out of the way of 0, 1 and 2, which may be closed, and so that what we print cannot go there.
        let helper = sys::raise(helper, 3)?;
        let apps = sys::raise_high(apps, listen_descriptors(environment))?;
        let protocol = rauthbind_wire::PROTOCOL.to_string();
        let complaint = format!("rauthbind: {}\n", Problem::NoProgram);
        let hand_over = source == Source::HandedOver;
        let arguments: Vec<_> = ["--protocol", &protocol].into_iter().chain(verbose.then_some(VERBOSE)).collect();
        sys::start_orphan(HELPER, &arguments, &helper, hand_over, complaint)?;
        if hand_over {
            // The file capability cannot serve, so nothing that the command runs has a use for it.
            sys::bound_the_capability();
        }
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

/// Adds what makes the shim load and find the channel, in the place of what an outer rauthbind put in. LD_PRELOAD keeps
/// what was in it, before ours.
fn cover(environment: &mut Vec<CString>, server: Option<Server>, depth: Option<u32>) {
    // Of two, ld.so(8) heeds the last.
    let mut preload =
        environment.iter().rev().find_map(|entry| value_of(entry, names::LD_PRELOAD)).unwrap_or_default().to_vec();
    if !preload.split(|byte| matches!(byte, b':' | b' ')).any(|item| item == SHIM.as_bytes()) {
        if !preload.is_empty() {
            preload.push(b':');
        }
        preload.extend_from_slice(SHIM.as_bytes());
    }
    set(environment, names::LD_PRELOAD, &preload);
    for name in [names::CHANNEL, names::DEPTH, names::SUPERVISED] {
        unset(environment, name);
    }
    if let Some(channel) = server.and_then(Server::channel) {
        set(environment, names::CHANNEL, channel.to_string().as_bytes());
    }
    if let Some(depth) = depth {
        set(environment, names::DEPTH, depth.to_string().as_bytes());
    }
}

/// Takes out what an outer rauthbind put in.
fn uncover(environment: &mut Vec<CString>) {
    unset(environment, names::CHANNEL);
    unset(environment, names::DEPTH);
    environment.retain_mut(|entry| {
        let preload = value_of(entry, names::LD_PRELOAD).unwrap_or_default();
        let items = preload.split(|byte| matches!(byte, b':' | b' '));
        if !items.clone().any(|item| item == SHIM.as_bytes()) {
            return true;
        }
        let others: Vec<&[u8]> = items.filter(|item| !item.is_empty() && *item != SHIM.as_bytes()).collect();
        let rest = CString::new([names::LD_PRELOAD.as_bytes(), b"=", &others.join(&b':')].concat());
        let is_any = !others.is_empty();
        let _ = rest.map(|rest| *entry = rest);
        is_any
    });
}

fn explain_server(run: &Run, server: &Server) {
    if !run.verbose {
        return;
    }
    let uid = getuid();
    match server {
        Server::Helper(channel) => {
            say(&format_args!("user id {uid} is served by {HELPER} over descriptor {}", channel.descriptor));
        }
        Server::OuterHelper(channel) => {
            let descriptor = channel.descriptor;
            say(&format_args!(
                "user id {uid} is served by the helper of the outer rauthbind over descriptor {descriptor}"
            ));
        }
        Server::Broker => say(&format_args!("user id {uid} is served by the broker, {}", names::BROKER)),
    }
    say(&format_args!("rules are in {}", names::RULES));
    if uid.is_root() {
        say(&"the command is root's, who may bind every port without a rule; -u USER makes it another user's");
    }
}

fn explain_preload(run: &Run) {
    if !run.verbose {
        return;
    }
    let reach = run.depth.map_or_else(|| "every program in it".to_owned(), |depth| format!("programs {depth} deep"));
    say(&format_args!("{SHIM} is preloaded into the command and covers {reach}"));
}

fn explain_supervision(run: &Run) {
    match setup::check_ptrace_scope() {
        // Root needs no rule.
        Err(problem) if run.verbose || !geteuid().is_root() => say(&problem),
        Ok(scope) if run.verbose => {
            let yama =
                scope.map_or_else(|| "not there".to_owned(), |scope| format!("kernel.yama.ptrace_scope={scope}"));
            say(&format_args!("the supervisor may look into the command (Yama: {yama})"));
        }
        Ok(_) | Err(_) => {}
    }
    if run.verbose {
        say(&"binds of the command, and of all that it starts, are answered from outside, under no_new_privs");
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
    execvpe(command, &arguments, environment).map_err(|errno| match command.to_str() {
        Ok(path) if errno == Errno::ENOENT && path.contains('/') && access(path, AccessFlags::F_OK).is_ok() => {
            Error::Interpreter(path.to_owned())
        }
        _ => failed(errno),
    })
}

fn c_string(text: &OsStr) -> nix::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Errno::EINVAL)
}

/// The first value of a variable, which is the one that getenv(3) finds.
fn value<'a>(environment: &'a [CString], name: &str) -> Option<&'a [u8]> {
    environment.iter().find_map(|entry| value_of(entry, name))
}

/// Sets a variable, which has one entry afterwards.
fn set(environment: &mut Vec<CString>, name: &str, value: &[u8]) {
    unset(environment, name);
    // No value has a NUL byte in it: they come from C strings, numbers, and lines of text.
    environment.extend(CString::new([name.as_bytes(), b"=", value].concat()));
}

fn unset(environment: &mut Vec<CString>, name: &str) {
    environment.retain(|entry| value_of(entry, name).is_none());
}

fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}
