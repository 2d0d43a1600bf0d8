//! What is checked, opened and given up before the first request is read.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{
    alarm, chdir, dup2_stderr, dup2_stdout, getegid, geteuid, getgid, getuid, setgroups, setresgid, setresuid,
};
use rauthbind_wire::capability::{self, Half, THE_CAPABILITY};
use rauthbind_wire::sys::set_pass_credentials;
use rauthbind_wire::{PROTOCOL, names};

use crate::log::Log;
use crate::serve::Helper;
use crate::sys::{self, SocketKind};

/// The channel: whoever starts the helper connects its standard input.
pub(crate) const CHANNEL: RawFd = 0;

/// The most descriptors that are open at once: our own few, a request's two, and those that wait to be closed.
const DESCRIPTORS: u64 = 64;

/// How long a connection to the broker may last, in seconds.
const BROKER_PATIENCE: u32 = 3;

const USAGE: &str = "\
rauthbind-helper binds privileged ports for programs under rauthbind(1). It is
started by rauthbind and its library, or by a service manager as the broker;
there is nothing to run by hand. See rauthbind-helper(8).";

/// What the arguments ask for.
#[derive(Debug, Default)]
pub struct Asked {
    text: Option<String>,
    protocol: Option<String>,
    once: bool,
    broker: bool,
    verbose: bool,
}

/// What came of the start.
#[derive(Debug)]
pub enum Started {
    /// Everything is in place.
    Serving(Helper),
    /// The arguments asked for this text and nothing else.
    Told(String),
}

/// Why the helper does not start.
#[derive(Debug)]
pub enum Error {
    /// The launcher speaks another protocol.
    Protocol(String),
    /// Standard input is not the channel.
    NoChannel,
    /// The user at the other end of a connection to the broker is not known.
    NoPeer(Errno),
    /// Root asks the broker, which answers nobody as root.
    RootPeer,
    /// The broker cannot become the user at the other end.
    Identity(&'static str, Errno),
    /// Installed setuid or setgid.
    Setuid,
    /// Installed without its capability, or that was taken away.
    NoCapability,
    /// The kernel does not tell which ports are privileged.
    PrivilegedPorts(std::io::Error),
    /// The kernel does not tell network namespaces apart.
    NetworkNamespace(Errno),
    /// A step of giving up what is not needed failed.
    Confinement(&'static str, Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let helper = names::HELPER;
        match self {
            Error::Protocol(theirs) => write!(
                out,
                "{helper} speaks protocol {PROTOCOL}, the rauthbind that started it speaks {theirs}; install both from \
                 one release"
            ),
            Error::NoChannel => {
                write!(out, "standard input is not a channel of rauthbind(1), which starts this program; run that")
            }
            Error::NoPeer(errno) => write!(out, "the user who asks the broker is not known: {}", errno.desc()),
            Error::RootPeer => write!(out, "root asks the broker, which serves other users only"),
            Error::Identity(step, errno) => write!(
                out,
                "the broker cannot become the user who asks it ({step}: {}); it must be run as root, with CAP_SETUID, \
                 CAP_SETGID and CAP_NET_BIND_SERVICE",
                errno.desc()
            ),
            Error::Setuid => write!(
                out,
                "{helper} is setuid or setgid, or the program that it is run for is; as root, run: chmod u-s,g-s {helper}"
            ),
            Error::NoCapability => write!(
                out,
                "{helper} has no capability to bind privileged ports (if getcap shows it, see rauthbind-helper(8)); as \
                 root, run: setcap cap_net_bind_service=p {helper}"
            ),
            Error::PrivilegedPorts(error) => write!(out, "{}: {error}; mount /proc", names::UNPRIVILEGED_PORT_START),
            Error::NetworkNamespace(errno) => {
                write!(out, "network namespaces cannot be told apart ({}); Linux 5.14 or later is needed", errno.desc())
            }
            Error::Confinement(step, errno) => write!(out, "{step}: {}", errno.desc()),
        }
    }
}

/// Does all that is to be done once.
///
/// # Errors
/// [`Error`]; nothing has been served then.
pub fn start(asked: &Asked) -> Result<Started, Error> {
    if let Some(theirs) = &asked.protocol {
        if *theirs != PROTOCOL.to_string() {
            return Err(Error::Protocol(theirs.clone()));
        }
    }
    if let Some(text) = &asked.text {
        return Ok(Started::Told(text.clone()));
    }
    check_channel(asked)?;
    if asked.broker {
        become_peer()?;
    }
    check_installation()?;
    close_strangers()?;
    let port_start = File::open(names::UNPRIVILEGED_PORT_START).map_err(Error::PrivilegedPorts)?;
    let network_namespace = own_network_namespace()?;
    confine(asked.verbose)?;
    if !asked.is_unheard() {
        // It will stay.
        sys::unmap_program();
    }
    let gid = asked.broker.then(getgid);
    Ok(Started::Serving(Helper::new(getuid(), gid, network_namespace, port_start, Log::new(asked.verbose))))
}

impl Asked {
    /// Heeds the arguments that it knows and ignores all others.
    pub fn by(arguments: impl Iterator<Item = OsString>) -> Asked {
        let mut asked = Asked::default();
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_bytes() {
                b"--protocol" => {
                    asked.protocol = Some(arguments.next().unwrap_or_default().to_string_lossy().into_owned());
                }
                b"--help" => asked.text = Some(USAGE.to_owned()),
                b"--version" => asked.text = Some(concat!("rauthbind-helper ", env!("CARGO_PKG_VERSION")).to_owned()),
                argument if argument == names::ONCE.to_bytes() => asked.once = true,
                argument if argument == names::VERBOSE.as_bytes() => asked.verbose = true,
                argument if argument == names::BROKER_ARGUMENT.to_bytes() => asked.broker = true,
                _ => {}
            }
        }
        asked
    }

    /// Whether standard error is nobody's who could do something about what is wrong.
    pub fn is_unheard(&self) -> bool {
        self.once || self.broker
    }
}

/// Becomes the user at the other end, before a byte of theirs is read, and keeps one capability.
fn become_peer() -> Result<(), Error> {
    let (uid, gid) = sys::peer(CHANNEL).map_err(Error::NoPeer)?;
    let groups = sys::peer_groups(CHANNEL).map_err(Error::NoPeer)?;
    if uid.is_root() {
        return Err(Error::RootPeer);
    }
    let step = |name, result: nix::Result<()>| result.map_err(|errno| Error::Identity(name, errno));
    step("PR_SET_KEEPCAPS", prctl::set_keepcaps(true))?;
    step("setgroups", setgroups(&groups))?;
    step("setresgid", setresgid(gid, gid, gid))?;
    step("setresuid", setresuid(uid, uid, uid))?;
    step("capset", keep_the_capability(false))?;
    step("SO_PASSCRED", set_pass_credentials(CHANNEL).map_err(Errno::from_raw))?;
    // Nobody is to keep a process by saying nothing.
    step("SIGALRM", sys::heed_alarm())?;
    alarm::set(BROKER_PATIENCE);
    Ok(())
}

fn check_installation() -> Result<(), Error> {
    if geteuid() != getuid() || getegid() != getgid() {
        return Err(Error::Setuid);
    }
    match capability::get() {
        Ok([low, _]) if low.permitted & THE_CAPABILITY != 0 => Ok(()),
        Ok(_) | Err(_) => Err(Error::NoCapability),
    }
}

fn check_channel(asked: &Asked) -> Result<(), Error> {
    match sys::socket_kind(CHANNEL) {
        Ok(SocketKind { domain: libc::AF_UNIX, socket_type: libc::SOCK_SEQPACKET, .. }) => Ok(()),
        // What super-servers know. Each request is one sendmsg(2) there too, and what arrives otherwise is none.
        Ok(SocketKind { domain: libc::AF_UNIX, socket_type: libc::SOCK_STREAM, .. }) if asked.broker => Ok(()),
        Ok(_) | Err(_) => Err(Error::NoChannel),
    }
}

/// Closes what was inherited beyond 0, 1 and 2, and fills the gaps among these, so that nothing we open becomes
/// somebody's standard error.
fn close_strangers() -> Result<(), Error> {
    sys::close_from(3).map_err(|errno| Error::Confinement("close_range", errno))?;
    loop {
        let filler = nowhere()?;
        if filler.as_raw_fd() > 2 {
            return Ok(());
        }
        std::mem::forget(filler);
    }
}

/// A descriptor that can be neither read nor written, and that needs no device.
fn nowhere() -> Result<OwnedFd, Error> {
    open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|errno| Error::Confinement("open /", errno))
}

fn own_network_namespace() -> Result<u64, Error> {
    let socket = UnixDatagram::unbound()
        .map_err(|error| Error::Confinement("socket", Errno::try_from(error).unwrap_or(Errno::EIO)))?;
    sys::network_namespace(socket.as_raw_fd()).map_err(Error::NetworkNamespace)
}

/// Gives up all capabilities but one, which is effective or can be made so.
pub(crate) fn keep_the_capability(is_effective: bool) -> nix::Result<()> {
    let effective = if is_effective { THE_CAPABILITY } else { 0 };
    let low = Half { effective, permitted: THE_CAPABILITY, inheritable: 0 };
    capability::set([low, Half::default()]).map_err(Errno::from_raw)
}

/// Gives up whatever the work ahead does not need.
fn confine(is_heard: bool) -> Result<(), Error> {
    let step = |name, result: nix::Result<()>| result.map_err(|errno| Error::Confinement(name, errno));
    step("capset", keep_the_capability(false))?;
    step("PR_SET_NO_NEW_PRIVS", prctl::set_no_new_privs())?;
    // Nobody may trace this process, or read its descriptors with pidfd_getfd(2), but who may trace anything.
    step("PR_SET_DUMPABLE", prctl::set_dumpable(false))?;
    step("chdir /", chdir("/"))?;
    step("SIGPIPE", sys::ignore_broken_pipes())?;
    step("RLIMIT_NOFILE", limit_descriptors())?;
    // Whoever waits for the end of the app's output must not wait for ours.
    let nowhere = nowhere()?;
    step("dup2", dup2_stdout(&nowhere).and_then(|()| if is_heard { Ok(()) } else { dup2_stderr(&nowhere) }))
}

fn limit_descriptors() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard)
}
