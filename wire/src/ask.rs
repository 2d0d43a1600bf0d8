//! The asking side: one request out, one reply in, by whichever way there is a helper. No lock, no allocation, no signal,
//! no child that the app could see.
//!
//! | module | holds |
//! |---|---|
//! | this one | the three ways, in their order |
//! | `run` | the helper, run for one request and unseen by the app |
//! | `sys` | system calls that only this side makes |

#[allow(unsafe_code)]
mod run;
#[allow(unsafe_code)]
mod sys;

use core::ffi::c_int;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::channel::{self, Channel, PATIENCE_SECONDS};
use crate::fdpass;
use crate::log::{self, Weight};
use crate::message::{REPLY_SIZE, Reply, Request};
use crate::names::{BROKER, CTL, HELPER};
use crate::sys::{Descriptor, RawDescriptor, SocketType, connect, set_pass_credentials};

use self::sys::Patience;

/// What bind(2) gives in place of the kernel's EACCES. A helper binds `socket`: over the channel; where that is gone or
/// serves another user, by a helper that is run for this one request; where that cannot be, by the broker. Nobody is asked
/// where it cannot be the port that was refused.
///
/// # Errors
/// [`Refusal`]. Where no helper could be asked (no descriptor is free, none is there, or none answers), the system's log
/// says so, once for each process.
pub fn ask(channel: Option<&Channel>, socket: RawDescriptor, request: &Request) -> Result<(), Refusal> {
    if !request.address.may_be_privileged() {
        return Err(Refusal::Kernels);
    }
    // In case a helper dies behind its bind.
    let was_unbound = sys::local_port(socket) == Some(0);
    let is_bound = || was_unbound && sys::local_port(socket) == request.address.port();
    let mut exchange = Exchange::of(socket, request);
    let mut failures = [Failure::Untried; 3];
    let ways = [Exchange::over_channel, Exchange::with_helper_run_once, Exchange::with_broker];
    for (way, failure) in ways.into_iter().zip(&mut failures) {
        *failure = match way(&mut exchange, channel) {
            Ok(Reply::Bound) => return Ok(()),
            Ok(Reply::Failed(errno)) => return Err(Refusal::Helpers(errno)),
            Ok(Reply::NotMyUser) => Failure::NotMyUser,
            Ok(Reply::Unable) => Failure::Unable,
            Err(_) if is_bound() => return Ok(()),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Errno(libc::ETIMEDOUT)) {
            break;
        }
    }
    tell(failures);
    Err(Refusal::Kernels)
}

/// Why a bind fails, and by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel's own EACCES stands: no helper was asked.
    Kernels,
    /// A helper's, with this errno: EACCES where no rule grants the port, or what the kernel has said to it.
    Helpers(c_int),
}

impl Refusal {
    /// The errno that bind(2) is to fail with.
    pub fn errno(self) -> c_int {
        match self {
            Refusal::Kernels => libc::EACCES,
            Refusal::Helpers(errno) => errno,
        }
    }

    /// Says what to do about it, once for each process, where no rule grants the port and `errors` is a terminal that
    /// takes a line without a wait.
    #[inline(never)]
    pub fn hint(self, errors: RawDescriptor, request: &Request) {
        static TOLD: AtomicBool = AtomicBool::new(false);
        let Some(port) = request.address.port().filter(|_| self == Refusal::Helpers(libc::EACCES)) else { return };
        if sys::is_terminal_with_room(errors) && !TOLD.swap(true, Ordering::Relaxed) {
            let uid = sys::user_id();
            sys::write(errors, log::Line::of(format_args!(
                "rauthbind: port {port} is refused to user id {uid}; as root, '{CTL} explain {port} --user {uid}' says why, \
                 '{CTL} allow {port} {uid}' grants it\n"
            )).bytes());
        }
    }
}

/// Says in the log why nobody could be asked, once for each process. A function of its own, to spare the others its stack.
#[inline(never)]
fn tell([channel, helper, broker]: [Failure; 3]) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        let text = format_args!("no helper served a bind: channel: {channel}; {HELPER}: {helper}; {BROKER}: {broker}");
        log::line(Weight::Notice, "rauthbind", text);
    }
}

/// Does at load what may not be done in a bind: it takes locks of the loader.
pub fn prepare() {
    run::find_clone();
}

/// Whether somebody listens at the broker's socket, for this user.
pub fn is_broker_there() -> bool {
    connect_to_broker(&mut Patience::of_seconds(1)).is_ok()
}

/// Asks over this channel, and by no other way.
///
/// # Errors
/// [`Failure`] where no reply came.
pub fn ask_over(channel: &Channel, socket: RawDescriptor, request: &Request) -> Result<Reply, Failure> {
    Exchange::of(socket, request).over_channel(Some(channel))
}

/// Why a way of asking brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A way before this one brought something, or took all the time there was.
    Untried,
    /// The channel was closed, or never there.
    NoChannel,
    /// The helper serves another user.
    NotMyUser,
    /// The helper trusts no rules that it sees, or its capability counts for nothing there.
    Unable,
    /// The helper would have no capability.
    NoNewPrivileges,
    /// The next child would be the first process of a new namespace, which ends with it.
    NoFirstProcess,
    /// The helper ended, or said what is no reply.
    NoReply,
    /// A system call failed; ETIMEDOUT where patience ended.
    Errno(c_int),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Untried => write!(out, "not tried"),
            Failure::NoChannel => write!(out, "closed, or never there"),
            Failure::NotMyUser => write!(out, "serves another user"),
            Failure::Unable => write!(out, "cannot serve where it is, as it says itself"),
            Failure::NoNewPrivileges => write!(out, "no_new_privs is set"),
            Failure::NoFirstProcess => write!(out, "would be the first process of its namespace"),
            Failure::NoReply => write!(out, "ended without a reply"),
            Failure::Errno(errno) => write!(out, "{}", sys::describe(*errno)),
        }
    }
}

impl From<c_int> for Failure {
    fn from(errno: c_int) -> Failure {
        Failure::Errno(errno)
    }
}

struct Exchange<'a> {
    socket: RawDescriptor,
    request: &'a Request,
    patience: Patience,
}

impl Exchange<'_> {
    fn of(socket: RawDescriptor, request: &Request) -> Exchange<'_> {
        Exchange { socket, request, patience: Patience::of_seconds(PATIENCE_SECONDS) }
    }

    fn over_channel(&mut self, channel: Option<&Channel>) -> Result<Reply, Failure> {
        let channel = channel.filter(|channel| channel.is_there()).ok_or(Failure::NoChannel)?;
        let reply_channel = self.send(channel.descriptor)?;
        self.wait_for_reply(&reply_channel)
    }

    fn with_helper_run_once(&mut self, _: Option<&Channel>) -> Result<Reply, Failure> {
        if sys::has_no_new_privileges() {
            return Err(Failure::NoNewPrivileges);
        }
        if sys::would_begin_process_namespace() {
            return Err(Failure::NoFirstProcess);
        }
        let (ours, helpers) = channel::create()?;
        let reply_channel = self.send(ours.raw())?;
        // So that the helper finds one request, and then the end, whatever another thread's fork has made a copy of.
        sys::end_writing(&ours)?;
        drop(ours);
        run::run_helper(&helpers)?;
        read_reply(&reply_channel)
    }

    fn with_broker(&mut self, _: Option<&Channel>) -> Result<Reply, Failure> {
        let broker = connect_to_broker(&mut self.patience)?;
        // The broker may be about to ask for them itself; what is sent before comes without.
        set_pass_credentials(broker.raw())?;
        let reply_channel = self.send(broker.raw())?;
        self.wait_for_reply(&reply_channel)
    }

    /// Sends the request; gives the end of a pipe from which the reply can be read. Fresh for each request: many processes
    /// and threads share the channel, and no answer may reach the wrong one.
    fn send(&mut self, to: RawDescriptor) -> Result<Descriptor, c_int> {
        // The end to write to is closed on return, so that the helper's copy is the last: if it dies, we see the end.
        let (ours, theirs) = sys::pipe()?;
        let bytes = self.request.to_bytes();
        loop {
            // unix(7): more descriptors in flight than the user's RLIMIT_NOFILE. They are taken in as we speak.
            let sent = self
                .patience
                .again_after_naps(libc::ETOOMANYREFS, || fdpass::send(to, &bytes, [theirs.raw(), self.socket]));
            match sent {
                // The channel is full: the helper is behind, or was stopped.
                Err(libc::EAGAIN) => self.patience.until_writable(to)?,
                sent => return sent.map(|()| ours),
            }
        }
    }

    fn wait_for_reply(&mut self, reply_channel: &Descriptor) -> Result<Reply, Failure> {
        self.patience.until_readable(reply_channel.raw())?;
        read_reply(reply_channel)
    }
}

fn connect_to_broker(patience: &mut Patience) -> Result<Descriptor, c_int> {
    let mut reach = |socket_type| patience.again_after_naps(libc::EAGAIN, || connect(BROKER, socket_type));
    match reach(SocketType::Seqpacket) {
        Err(libc::EPROTOTYPE) => reach(SocketType::Stream),
        connected => connected,
    }
}

fn read_reply(reply_channel: &Descriptor) -> Result<Reply, Failure> {
    let mut reply = [0; REPLY_SIZE];
    let length = sys::read(reply_channel, &mut reply).unwrap_or_default();
    reply.get(..length).and_then(Reply::from_bytes).ok_or(Failure::NoReply)
}
