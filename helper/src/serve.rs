//! One request after the other: receive, judge, bind, reply, close, log.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Uid};
use rauthbind_policy::{Protocol, Refusal, Request as Question, Rule, Rules};
use rauthbind_wire::fdpass::{self, Received};
use rauthbind_wire::log::Weight;
use rauthbind_wire::message::{Reply, Request};
use rauthbind_wire::names;
use rauthbind_wire::sys::Descriptor;

use crate::log::Log;
use crate::start::{CHANNEL, keep_the_capability};
use crate::sys;

/// How many descriptors whose close waits may be waited for at once.
const CLOSERS: usize = 16;

/// How long the next has to wait for one of them to end. Shorter than the apps' patience.
const PATIENCE: Duration = Duration::from_secs(5);

/// The helper at work.
#[derive(Debug)]
pub struct Helper {
    uid: Uid,
    gid: Option<Gid>,
    network_namespace: u64,
    port_start: File,
    log: Log,
}

/// A request that a rule grants.
struct Grant<'a> {
    socket: &'a Descriptor,
    request: Request,
    question: Question,
    rule: Rule,
}

/// Who sent a message, for the log.
struct App(i32);

impl fmt::Display for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pid {}", self.0)?;
        // What it calls itself; nothing, where it has ended or is not to be seen (hidepid in proc(5)).
        let name = fs::read(format!("/proc/{}/comm", self.0)).unwrap_or_default();
        match String::from_utf8_lossy(&name).trim_end_matches('\n') {
            "" => Ok(()),
            name => write!(out, " {name:?}"),
        }
    }
}

/// What became of a message.
enum Outcome {
    /// Granted, and bound.
    Bound(Question, Rule),
    /// Granted, but the kernel said no.
    Failed(Question, Rule, Errno),
    /// Not granted.
    Denied(Denial),
}

/// Why a request is refused. What it is to the app, [`Outcome::reply`] tells.
#[derive(Debug)]
enum Denial {
    Cut,
    NoCredentials,
    NotMyUser(u32),
    NotMyGroup(u32),
    Malformed,
    NoSocket,
    NoReplyChannel,
    Withdrawn,
    NotASocket(Errno),
    NoPorts(sys::SocketKind),
    OtherNetworkNamespace,
    BadAddress,
    NoPort,
    UnknownPrivilege,
    NotPrivileged(Question),
    Refused(Question, Refusal),
}

impl fmt::Display for Denial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Cut => write!(out, "the message is longer, or brings more descriptors, than a request"),
            Denial::NoCredentials => write!(out, "the message comes without credentials"),
            Denial::NotMyUser(uid) => write!(out, "the sender's user id is {uid}, not the helper's"),
            Denial::NotMyGroup(gid) => write!(out, "the sender's group id is {gid}, not the helper's"),
            Denial::Malformed => write!(out, "the message is no request of this version"),
            Denial::NoSocket => write!(out, "the message does not bring a reply channel and a socket"),
            Denial::NoReplyChannel => write!(out, "the reply channel is not a pipe that never waits"),
            Denial::Withdrawn => write!(out, "the sender no longer waits for a reply"),
            Denial::NotASocket(errno) => write!(out, "the descriptor is not a socket: {}", errno.desc()),
            Denial::NoPorts(kind) => write!(
                out,
                "sockets of domain {}, type {}, protocol {} have no ports to grant",
                kind.domain, kind.socket_type, kind.protocol
            ),
            Denial::OtherNetworkNamespace => write!(out, "the socket is of another network namespace"),
            Denial::BadAddress => write!(out, "the address is none for this socket"),
            Denial::NoPort => write!(out, "port 0 is nobody's to grant"),
            Denial::UnknownPrivilege => {
                write!(out, "{} cannot be read", names::UNPRIVILEGED_PORT_START)
            }
            Denial::NotPrivileged(question) => {
                write!(out, "{question}: the port is not privileged, so it was not the port that was refused")
            }
            Denial::Refused(question, refusal) => write!(out, "{question}: {refusal}"),
        }
    }
}

impl Helper {
    /// A helper for sockets of one network namespace, asked by one user; and, as the broker, by one with this group id:
    /// it has the effective one of whoever connected, which may be a setgid program's.
    pub fn new(uid: Uid, gid: Option<Gid>, network_namespace: u64, port_start: File, log: Log) -> Helper {
        Helper { uid, gid, network_namespace, port_start, log }
    }

    /// Serves until the last holder of the channel's other end is gone.
    pub fn serve(mut self) {
        // A stream has no empty messages, and the kernel gives its end credentials: those of process 0.
        let is_stream = sys::socket_kind(CHANNEL).is_ok_and(|kind| kind.socket_type == libc::SOCK_STREAM);
        while let Ok(received) = fdpass::receive(CHANNEL) {
            if received.is_end() || (is_stream && received.bytes().is_empty()) {
                return;
            }
            self.answer(received);
        }
    }

    fn answer(&mut self, received: Received) {
        let outcome = self.outcome(&received);
        let reply = outcome.reply();
        let [reply_channel, socket] = received.descriptors;
        match outcome {
            // Whatever is done with it may wait, where a stranger holds a lock of it.
            Outcome::Denied(Denial::NotMyUser(_) | Denial::NotMyGroup(_)) => elsewhere(move || {
                drop(socket);
                drop(give(reply_channel, reply));
            }),
            // Before the reply: an app that closes the socket at once must find the port free again.
            Outcome::Bound(..) => {
                drop(socket);
                close(give(reply_channel, reply));
            }
            Outcome::Failed(..) | Outcome::Denied(_) => {
                close(socket);
                close(give(reply_channel, reply));
            }
        }
        let is_first = self.tell(&outcome, App(received.sender.map_or(0, |sender| sender.pid)));
        drop(outcome);
        if is_first {
            // Most apps bind at their start, and never again.
            sys::unmap_program();
        }
    }

    fn outcome(&self, received: &Received) -> Outcome {
        match self.judge(received) {
            Err(denial) => Outcome::Denied(denial),
            Ok(Grant { socket, request, question, rule }) => match bind(socket, &request) {
                Ok(()) => Outcome::Bound(question, rule),
                Err(errno) => Outcome::Failed(question, rule, errno),
            },
        }
    }

    /// Only what passes every line of this is bound.
    fn judge<'a>(&self, received: &'a Received) -> Result<Grant<'a>, Denial> {
        if received.cut {
            return Err(Denial::Cut);
        }
        let sender = received.sender.ok_or(Denial::NoCredentials)?;
        if sender.uid != self.uid.as_raw() {
            return Err(Denial::NotMyUser(sender.uid));
        }
        if self.gid.is_some_and(|gid| sender.gid != gid.as_raw()) {
            return Err(Denial::NotMyGroup(sender.gid));
        }
        let request = Request::from_bytes(received.bytes()).ok_or(Denial::Malformed)?;
        let [Some(reply_channel), Some(socket)] = &received.descriptors else { return Err(Denial::NoSocket) };
        if !sys::is_ready_pipe(reply_channel.raw()) {
            return Err(Denial::NoReplyChannel);
        }
        let question = self.question(socket, &request)?;
        let verdict = Rules::open(Path::new(names::RULES)).map_err(Refusal::from);
        match verdict.and_then(|rules| rules.decide(&question)) {
            Ok(rule) if !sys::is_hung_up(reply_channel) => Ok(Grant { socket, request, question, rule }),
            Ok(_) => Err(Denial::Withdrawn),
            Err(refusal) => Err(Denial::Refused(question, refusal)),
        }
    }

    /// What is asked for, if it is something that a rule can grant.
    fn question(&self, socket: &Descriptor, request: &Request) -> Result<Question, Denial> {
        let kind = sys::socket_kind(socket.raw()).map_err(Denial::NotASocket)?;
        let protocol = Protocol::of_socket(kind.socket_type, kind.protocol).ok_or(Denial::NoPorts(kind))?;
        let address = match kind.domain {
            libc::AF_INET | libc::AF_INET6 => request.address.on_socket_of(kind.domain).ok_or(Denial::BadAddress)?,
            _ => return Err(Denial::NoPorts(kind)),
        };
        if sys::network_namespace(socket.raw()) != Ok(self.network_namespace) {
            return Err(Denial::OtherNetworkNamespace);
        }
        let question = Question { protocol, address };
        match rauthbind_policy::first_unprivileged_port(&self.port_start) {
            _ if address.port() == 0 => Err(Denial::NoPort),
            None => Err(Denial::UnknownPrivilege),
            Some(start) if u32::from(address.port()) >= start => Err(Denial::NotPrivileged(question)),
            Some(_) => Ok(question),
        }
    }

    /// Whether that was the first grant of an address.
    fn tell(&mut self, outcome: &Outcome, app: App) -> bool {
        let uid = self.uid;
        match outcome {
            Outcome::Bound(question, rule) => {
                if self.log.is_first(*question) {
                    self.log.line(Weight::Info, format_args!("granted {question} to uid {uid}, {app}, by {rule}"));
                    return true;
                }
            }
            Outcome::Failed(question, rule, errno) => self.log.line(
                Weight::Info,
                format_args!("granted {question} to uid {uid}, {app}, by {rule}, but bind: {}", errno.desc()),
            ),
            Outcome::Denied(denial) => {
                self.log.line(Weight::Notice, format_args!("refused uid {uid}, {app}: {denial}"));
            }
        }
        false
    }
}

impl Outcome {
    fn reply(&self) -> Reply {
        match self {
            Outcome::Bound(..) => Reply::Bound,
            // With the capability effective: so it is not the port that is refused, but the capability.
            Outcome::Failed(_, _, Errno::EACCES) => Reply::Unable,
            Outcome::Denied(Denial::Refused(_, Refusal::Untrusted(_))) => Reply::Unable,
            Outcome::Failed(_, _, errno) => Reply::Failed(*errno as i32),
            Outcome::Denied(Denial::NotMyUser(_) | Denial::NotMyGroup(_)) => Reply::NotMyUser,
            Outcome::Denied(_) => Reply::Failed(libc::EACCES),
        }
    }
}

/// The one bind(2) of this program, and the only time in which the capability is effective.
fn bind(socket: &Descriptor, request: &Request) -> nix::Result<()> {
    keep_the_capability(true)?;
    let result = rauthbind_wire::sys::bind(socket.raw(), &request.address).map_err(Errno::from_raw);
    if keep_the_capability(false).is_err() {
        process::abort();
    }
    result
}

/// Replies, where what came as the reply channel is one; else gives it back, to be closed.
fn give(reply_channel: Option<Descriptor>, reply: Reply) -> Option<Descriptor> {
    let pipe = reply_channel.as_ref().filter(|channel| sys::is_ready_pipe(channel.raw()));
    match pipe {
        Some(pipe) => sys::write_now(pipe, &reply.to_bytes()),
        None => return reply_channel,
    }
    None
}

/// Closes what a sender sent, elsewhere if that may wait: no sender is to hold up the others.
fn close(descriptor: Option<Descriptor>) {
    if let Some(descriptor) = descriptor.filter(|descriptor| sys::may_wait_at_close(descriptor.raw())) {
        elsewhere(move || drop(descriptor));
    }
}

/// Does what may wait in a thread of its own.
fn elsewhere(work: impl FnOnce() + Send + 'static) {
    static WAITING: Mutex<usize> = Mutex::new(0);
    static ONE_LESS: Condvar = Condvar::new();
    let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut waiting, timeout) = ONE_LESS
        .wait_timeout_while(waiting, PATIENCE, |waiting| *waiting >= CLOSERS)
        .unwrap_or_else(PoisonError::into_inner);
    if timeout.timed_out() {
        // Somebody means it. Without a helper at least nobody waits.
        process::exit(1);
    }
    let closer = thread::Builder::new().spawn(move || {
        work();
        *WAITING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ONE_LESS.notify_one();
    });
    // Without a thread the closure, and the descriptors in it, were dropped here.
    if closer.is_ok() {
        *waiting += 1;
    }
}
