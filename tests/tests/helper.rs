//! What the installed helper makes of whatever a hostile holder of the channel sends it.
//!
//! Every request is written here byte by byte, as `rauthbind_wire::message` says, and sent by threads that are alice,
//! bob or root to the kernel. That a sender changes its bytes while they are looked at needs no test: a message of a
//! socket is the kernel's copy.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::ManuallyDrop;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_name;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixCredentials, listen, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{mkfifo, pipe2, read, write};
use rauthbind_tests::log::app;
use rauthbind_tests::sys::{pidfd_open, set_socket_option, socket};
use rauthbind_tests::{Running, Signal, Stranger, World, wait_until, world_test};

const HELPER: &str = "/usr/local/libexec/rauthbind/rauthbind-helper";

/// Where alice has a grant in most tests.
const GRANTED: &str = "127.0.0.1:80";

const REQUEST_SIZE: usize = 136;

/// A `struct sockaddr_in` or `sockaddr_in6`.
fn sockaddr(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        SocketAddr::V4(v4) => [&[2, 0][..], &v4.port().to_be_bytes(), &v4.ip().octets(), &[0; 8]].concat(),
        SocketAddr::V6(v6) => {
            [&[10, 0][..], &v6.port().to_be_bytes(), &[0; 4], &v6.ip().octets(), &v6.scope_id().to_ne_bytes()].concat()
        }
    }
}

/// A request for this `struct sockaddr`, with the magic, the version and the length that it should have.
fn request(sockaddr: &[u8]) -> Vec<u8> {
    let length = u16::try_from(sockaddr.len()).unwrap();
    let mut bytes = [b"rab?", &1_u16.to_ne_bytes()[..], &length.to_ne_bytes(), sockaddr].concat();
    bytes.resize(REQUEST_SIZE, 0);
    bytes
}

fn request_for(address: &str) -> Vec<u8> {
    request(&sockaddr(address))
}

/// What comes back at the reply channel.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Bound,
    Failed(Errno),
    NotMyUser,
    /// Not a byte, and nobody left who could write one.
    Nothing,
}

const REFUSED: Answer = Answer::Failed(Errno::EACCES);

impl Answer {
    /// Reads the reply, and sees that nothing comes after it.
    fn read(reader: &OwnedFd) -> Answer {
        let mut bytes = Vec::new();
        loop {
            let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(60_000_u16)), Ok(1), "no answer");
            let mut buffer = [0; 64];
            match read(reader, &mut buffer).unwrap() {
                0 => return Answer::of(&bytes),
                length => bytes.extend_from_slice(&buffer[..length]),
            }
        }
    }

    fn of(bytes: &[u8]) -> Answer {
        if bytes.is_empty() {
            return Answer::Nothing;
        }
        let frame = |verdict: u16, errno: i32| {
            [b"rab!", &1_u16.to_ne_bytes()[..], &verdict.to_ne_bytes(), &errno.to_ne_bytes()].concat()
        };
        let errno = i32::from_ne_bytes(bytes[bytes.len() - 4..].try_into().unwrap());
        match bytes {
            bytes if bytes == frame(0, 0) => Answer::Bound,
            bytes if bytes == frame(2, 0) => Answer::NotMyUser,
            bytes if bytes == frame(1, errno) && errno > 0 => Answer::Failed(Errno::from_raw(errno)),
            _ => panic!("no reply of this version: {bytes:?}"),
        }
    }
}

/// A reply channel as it should be: to read from, and to write to.
fn reply_channel() -> (OwnedFd, OwnedFd) {
    pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap()
}

/// Sends one message as whoever the calling thread is.
fn send(
    channel: &OwnedFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    credentials: Option<UnixCredentials>,
) -> nix::Result<()> {
    let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = (!raw.is_empty()).then_some(ControlMessage::ScmRights(&raw));
    let credentials = credentials.as_ref().map(ControlMessage::ScmCredentials);
    let control: Vec<_> = rights.into_iter().chain(credentials).collect();
    sendmsg::<()>(channel.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Sends a message with a reply channel before the other descriptors, and waits for the answer.
fn ask(channel: &OwnedFd, bytes: &[u8], others: &[BorrowedFd<'_>]) -> Answer {
    let (reader, writer) = reply_channel();
    let descriptors: Vec<_> = [writer.as_fd()].into_iter().chain(others.iter().copied()).collect();
    send(channel, bytes, &descriptors, None).unwrap();
    drop(writer);
    Answer::read(&reader)
}

fn tcp() -> OwnedFd {
    socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap()
}

fn tcp6() -> OwnedFd {
    socket(libc::AF_INET6, libc::SOCK_STREAM, 0).unwrap()
}

/// Where a socket is bound, if it is one of an address and a port.
fn bound_to(socket: impl AsFd) -> Option<SocketAddr> {
    TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap()).local_addr().ok()
}

/// A helper that alice has started, and both ends of its channel.
struct Helper<'w> {
    world: &'w World,
    running: Running,
    process: Stranger,
    /// Where requests are sent to.
    channel: OwnedFd,
    /// What the helper reads from: the same open file, so that its options can be set from here.
    standard_input: OwnedFd,
}

impl<'w> Helper<'w> {
    /// Starts one. alice has been granted [`GRANTED`].
    fn start(world: &'w World) -> Helper<'w> {
        let helper = Helper::start_as(world, "alice");
        helper.serves();
        helper
    }

    fn start_as(world: &'w World, user: &str) -> Helper<'w> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (channel, standard_input) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        setsockopt(&standard_input, sockopt::PassCred, &true).unwrap();
        let running = world.command(user, [HELPER]).stdin(standard_input.try_clone().unwrap()).start();
        let process = Stranger::of(running.pid);
        Helper { world, running, process, channel, standard_input }
    }

    fn ask(&self, bytes: &[u8], others: &[BorrowedFd<'_>]) -> Answer {
        self.ask_as("alice", bytes, others)
    }

    fn ask_as(&self, user: &str, bytes: &[u8], others: &[BorrowedFd<'_>]) -> Answer {
        self.world.as_user(user, || ask(&self.channel, bytes, others))
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        self.world.as_user("alice", || send(&self.channel, bytes, descriptors, None)).unwrap();
    }

    /// Sees that a good request is answered well.
    #[track_caller]
    fn serves(&self) {
        let socket = tcp();
        assert_eq!(self.ask(&request_for(GRANTED), &[socket.as_fd()]), Answer::Bound);
        assert_eq!(bound_to(&socket), Some(GRANTED.parse().unwrap()));
    }

    /// Has it find all at once what is done meanwhile.
    fn while_stopped(&self, act: impl FnOnce()) {
        self.running.kill(Signal::SIGSTOP);
        wait_until("the helper to be stopped", || self.process.file("stat").contains(") T "));
        act();
        self.running.kill(Signal::SIGCONT);
    }

    /// Whether it waits for the next message: everything that was sent has been dealt with.
    fn is_idle(&self) -> bool {
        self.process.waits_in().contains(&libc::SYS_recvmsg)
    }

    fn wait_idle(&self) {
        wait_until("the helper to be idle", || self.is_idle());
    }

    /// What it holds open when it is idle and has closed all that had to be closed elsewhere.
    fn descriptors(&self) -> BTreeMap<OsString, PathBuf> {
        wait_until("the helper to be idle, and alone", || self.process.waits_in() == [libc::SYS_recvmsg]);
        self.process.descriptors()
    }

    /// Waits for exactly this line of it in the log.
    #[track_caller]
    fn logged(&self, weight: u8, text: &str) {
        let line = format!("<{weight}>rauthbind-helper[{}]: {text}", self.running.pid);
        assert_eq!(self.world.log().line(&line), line);
    }

    /// Waits for the refusal of alice's message in the log.
    #[track_caller]
    fn logged_refusal(&self, reason: &str) {
        self.logged(37, &format!("refused uid 4001, {}: {reason}", app(process::id())));
    }
}

/// Sees that a helper of its own refuses this message, says why in the log, binds nothing, closes everything that came
/// with it, and goes on.
#[track_caller]
fn refuses(world: &World, what: &str, bytes: &[u8], others: &[&dyn AsFd], reason: &str) {
    let others: Vec<_> = others.iter().map(|other| other.as_fd()).collect();
    let helper = Helper::start(world);
    let before = (helper.descriptors(), others.iter().map(bound_to).collect::<Vec<_>>());
    assert_eq!(helper.ask(bytes, &others), REFUSED, "{what}");
    assert_eq!((helper.descriptors(), others.iter().map(bound_to).collect()), before, "{what}");
    helper.logged_refusal(reason);
    helper.serves();
}

/// A world in which alice has been granted port 80, and whose log is heard.
fn granted(world: &World) {
    let _ = world.log();
    world.grant("byport/80", "alice");
}

const CUT: &str = "the message is longer, or brings more descriptors, than a request";
const MALFORMED: &str = "the message is no request of this version";
const NO_SOCKET: &str = "the message does not bring a reply channel and a socket";
const NO_REPLY_CHANNEL: &str = "the reply channel is not a pipe that never waits";
const BAD_ADDRESS: &str = "the address is none for this socket";

world_test! {
    /// A good request is answered by the socket being bound or by the kernel's own word, and logged once.
    fn good_requests_are_answered(world) {
        granted(world);
        let helper = Helper::start(world);
        let by = |address| format!("granted {address} to uid 4001, {}, by byport/80", app(process::id()));
        for (domain, kind, address) in [
            (libc::AF_INET, libc::SOCK_STREAM, "0.0.0.0:80"),
            (libc::AF_INET, libc::SOCK_DGRAM, "127.0.0.9:80"),
            (libc::AF_INET6, libc::SOCK_STREAM, "[::1]:80"),
            (libc::AF_INET6, libc::SOCK_DGRAM, "[::ffff:127.0.0.8]:80"),
        ] {
            let socket = socket(domain, kind, 0).unwrap();
            assert_eq!(helper.ask(&request_for(address), &[socket.as_fd()]), Answer::Bound, "{address}");
            assert_eq!(bound_to(&socket), Some(address.parse().unwrap()));
            assert_eq!(helper.ask(&request_for(address), &[socket.as_fd()]), Answer::Failed(Errno::EINVAL), "again");
        }
        let nowhere = helper.ask(&request_for("192.0.2.1:80"), &[tcp().as_fd()]);
        assert_eq!(nowhere, Answer::Failed(Errno::EADDRNOTAVAIL));
        helper.logged(38, &format!("{}, but bind: {}", by("192.0.2.1:80/tcp"), Errno::EADDRNOTAVAIL.desc()));
        helper.serves();
        let mut unspecified = sockaddr("0.0.0.0:80");
        unspecified[0] = 0;
        assert_eq!(helper.ask(&request(&unspecified), &[tcp().as_fd()]), Answer::Bound);
        refuses(world, "no rule", &request_for("127.0.0.1:81"), &[&tcp()], "127.0.0.1:81/tcp: there is no rule for it");
        let lines = world.log().lines();
        let own = format!("<38>rauthbind-helper[{}]: {}", helper.running.pid, by("127.0.0.1:80/tcp"));
        assert_eq!(lines.iter().filter(|line| **line == own).count(), 1);
    }
}

world_test! {
    /// A message of any size but the one is refused.
    fn messages_of_wrong_size_are_refused(world) {
        granted(world);
        for size in (0..=300).chain([65536]).filter(|size| *size != REQUEST_SIZE) {
            let mut bytes = request_for(GRANTED);
            bytes.resize(size, 0);
            let reason = if size < REQUEST_SIZE { MALFORMED } else { CUT };
            refuses(world, &format!("{size} bytes"), &bytes, &[&tcp()], reason);
        }
    }
}

world_test! {
    /// A message of the right size with a wrong magic, version or length is refused.
    fn messages_with_wrong_fields_are_refused(world) {
        granted(world);
        let with = |at: usize, field: &[u8]| {
            let mut bytes = request_for(GRANTED);
            bytes[at..at + field.len()].copy_from_slice(field);
            bytes
        };
        let magics = (0..4).map(|at| with(at, b"!"));
        let versions = [0_u16, 2, 256, u16::MAX].into_iter().map(|version| with(4, &version.to_ne_bytes()));
        let lengths = [129_u16, 256, u16::MAX].into_iter().map(|length| with(6, &length.to_ne_bytes()));
        for bytes in magics.chain(versions).chain(lengths) {
            refuses(world, &format!("{:?}", &bytes[..8]), &bytes, &[&tcp()], MALFORMED);
        }
        for length in 0..16_u16 {
            refuses(world, &format!("length {length}"), &with(6, &length.to_ne_bytes()), &[&tcp()], BAD_ADDRESS);
        }
        for length in 0..24 {
            let bytes = request(&sockaddr("[::1]:80")[..length]);
            refuses(world, &format!("length {length}"), &bytes, &[&tcp6()], BAD_ADDRESS);
        }
        let longest = [sockaddr(GRANTED), vec![0xff; 112]].concat();
        assert_eq!(Helper::start(world).ask(&request(&longest), &[tcp().as_fd()]), Answer::Bound);
    }
}

world_test! {
    /// A message brings two descriptors, in their order: fewer or more are refused, and closed.
    fn messages_with_too_few_or_too_many_descriptors_are_refused(world) {
        granted(world);
        let good = request_for(GRANTED);
        refuses(world, "a reply channel alone", &good, &[], NO_SOCKET);
        for count in [3, 4, 10, 253] {
            let others: Vec<_> = (1..count).map(|_| tcp()).collect();
            let others: Vec<_> = others.iter().map(|other| other as &dyn AsFd).collect();
            refuses(world, &format!("{count} descriptors"), &good, &others, CUT);
        }
        let (_reader, writer) = reply_channel();
        let socket = tcp();
        let raw = [writer.as_raw_fd(), socket.as_raw_fd(), socket.as_raw_fd()];
        let helper = Helper::start(world);
        let in_two_parts = [ControlMessage::ScmRights(&raw[..2]), ControlMessage::ScmRights(&raw[2..])];
        let part = IoSlice::new(&good);
        world.as_user("alice", || {
            sendmsg::<()>(helper.channel.as_raw_fd(), &[part], &in_two_parts, MsgFlags::empty(), None).unwrap()
        });
        helper.logged_refusal(CUT);
        for (descriptors, reason) in [
            (&[][..], NO_SOCKET),
            (&[socket.as_fd()], NO_SOCKET),
            (&[socket.as_fd(), writer.as_fd()], NO_REPLY_CHANNEL),
        ] {
            let helper = Helper::start(world);
            let before = helper.descriptors();
            helper.send(&good, descriptors);
            assert_eq!(helper.descriptors(), before);
            helper.logged_refusal(reason);
            helper.serves();
            assert_eq!(bound_to(&socket).unwrap().port(), 0);
        }
    }
}

world_test! {
    /// Nothing that the kernel adds to a message, because of options that a hostile owner sets on the helper's own end
    /// of the channel, stays open in the helper or makes a bad message good.
    fn other_ancillary_data_is_refused_and_closed(world) {
        granted(world);
        let (anonymous, pidfd, time) = ((libc::SO_PASSCRED, 0), (libc::SO_PASSPIDFD, 1), (libc::SO_TIMESTAMP, 1));
        let nobody = "the message comes without credentials";
        for (options, count, answer, reason) in [
            (&[pidfd][..], 0, Answer::Nothing, CUT),
            (&[pidfd], 1, REFUSED, CUT),
            (&[pidfd], 2, REFUSED, CUT),
            (&[time], 0, Answer::Nothing, CUT),
            (&[time], 2, Answer::Nothing, CUT),
            (&[anonymous], 0, Answer::Nothing, nobody),
            (&[anonymous], 2, REFUSED, nobody),
            (&[anonymous], 3, REFUSED, CUT),
            (&[anonymous], 10, REFUSED, CUT),
            (&[anonymous], 11, REFUSED, CUT),
            (&[anonymous, pidfd], 2, REFUSED, CUT),
            (&[anonymous, pidfd], 4, REFUSED, CUT),
            (&[anonymous, time], 2, REFUSED, CUT),
        ] {
            let what = format!("{options:?}, {count} descriptors");
            let helper = Helper::start(world);
            let before = helper.descriptors();
            let set = |option, value| set_socket_option(&helper.standard_input, option, value).unwrap();
            options.iter().for_each(|(option, value)| set(*option, *value));
            let (reader, writer) = reply_channel();
            let sockets: Vec<_> = (1..count).map(|_| tcp()).collect();
            let descriptors: Vec<_> = [&writer].into_iter().chain(&sockets).take(count).map(AsFd::as_fd).collect();
            helper.send(&request_for(GRANTED), &descriptors);
            drop(writer);
            assert_eq!(Answer::read(&reader), answer, "{what}");
            assert_eq!(helper.descriptors(), before, "{what}");
            let sender = if options.contains(&anonymous) { "pid 0".to_owned() } else { app(process::id()) };
            helper.logged(37, &format!("refused uid 4001, {sender}: {reason}"));
            assert!(sockets.iter().all(|socket| bound_to(socket).unwrap().port() == 0), "{what}");
            options.iter().for_each(|(option, value)| set(*option, 1 - value));
            helper.serves();
        }
    }
}

world_test! {
    /// What is no socket is refused, and is closed.
    fn descriptors_that_are_no_sockets_are_refused(world) {
        granted(world);
        let path_of = |path: &str| File::options().read(true).custom_flags(libc::O_PATH).open(path).unwrap();
        let inet = tcp();
        let _listener = UnixListener::bind("/run/tmp/listener").unwrap();
        let (reader, writer) = reply_channel();
        let no_socket: [(&str, &dyn AsFd); 10] = [
            ("file", &File::open("/etc/passwd").unwrap()),
            ("directory", &File::open("/").unwrap()),
            ("device", &File::open("/dev/null").unwrap()),
            ("pipe to read from", &reader),
            ("pipe to write to", &writer),
            ("eventfd", &EventFd::new().unwrap()),
            ("epoll", &Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap().0),
            ("memfd", &memfd_create("memfd", MFdFlags::MFD_CLOEXEC).unwrap()),
            ("pidfd", &pidfd_open(nix::unistd::Pid::this()).unwrap()),
            ("namespace", &File::open("/proc/self/ns/net").unwrap()),
        ];
        for (what, other) in no_socket {
            let reason = format!("the descriptor is not a socket: {}", Errno::ENOTSOCK.desc());
            refuses(world, what, &request_for(GRANTED), &[other], &reason);
        }
        for path in ["/run/tmp/listener", &format!("/proc/self/fd/{}", inet.as_raw_fd())] {
            let reason = format!("the descriptor is not a socket: {}", Errno::EBADF.desc());
            refuses(world, path, &request_for(GRANTED), &[&path_of(path)], &reason);
        }
    }
}

world_test! {
    /// Sockets that have no ports, or whose ports no rule names, are refused.
    fn sockets_without_ports_are_refused(world) {
        granted(world);
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
        let any_frame = i32::from(u16::try_from(libc::ETH_P_ALL).unwrap().to_be());
        let ordinary = [
            (libc::AF_UNIX, libc::SOCK_STREAM, 0),
            (libc::AF_UNIX, libc::SOCK_DGRAM, 0),
            (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
            (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            (libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_GENERIC),
            (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
        ];
        let of_root = [
            (libc::AF_PACKET, libc::SOCK_RAW, any_frame),
            (libc::AF_PACKET, libc::SOCK_DGRAM, any_frame),
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_TCP),
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP),
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW),
            (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_TCP),
        ];
        for (user, kinds) in [("alice", &ordinary[..]), ("root", &of_root[..])] {
            for (domain, kind, protocol) in kinds {
                let socket = world.as_user(user, || socket(*domain, *kind, *protocol)).unwrap();
                let address = if *domain == libc::AF_INET6 { "[::1]:80" } else { GRANTED };
                // What packet(7) calls protocol is a property of the address, not of the socket.
                let protocol = if *domain == libc::AF_PACKET { 0 } else { *protocol };
                let what = format!("sockets of domain {domain}, type {kind}, protocol {protocol}");
                refuses(world, &what, &request_for(address), &[&socket], &format!("{what} have no ports to grant"));
            }
        }
    }
}

world_test! {
    /// An address of another family than the socket's, or without a port, is refused.
    fn addresses_that_do_not_fit_are_refused(world) {
        granted(world);
        world.grant("byport/0", "alice");
        let of_family = |family: u8, address: &str| {
            let mut bytes = sockaddr(address);
            bytes[0] = family;
            bytes
        };
        let no_port = "port 0 is nobody's to grant";
        for (socket, address, reason) in [
            (tcp(), sockaddr("[::1]:80"), BAD_ADDRESS),
            (tcp(), of_family(10, GRANTED), BAD_ADDRESS),
            (tcp(), of_family(0, GRANTED), BAD_ADDRESS),
            (tcp(), of_family(1, GRANTED), BAD_ADDRESS),
            (tcp6(), sockaddr(GRANTED), BAD_ADDRESS),
            (tcp6(), of_family(2, "[::1]:80"), BAD_ADDRESS),
            (tcp6(), of_family(0, "[::]:80"), BAD_ADDRESS),
            (tcp(), sockaddr("127.0.0.1:0"), no_port),
            (tcp6(), sockaddr("[::1]:0"), no_port),
        ] {
            refuses(world, &format!("{address:?}"), &request(&address), &[&socket], reason);
        }
    }
}

world_test! {
    /// Which ports are privileged is the kernel's word of now; the others are refused, whatever a rule says.
    fn only_privileged_ports_are_bound(world) {
        let _ = world.log();
        ["4001", "!4001"].into_iter().for_each(|name| world.byuid(name, "0.0.0.0/0,1-65535\n"));
        for start in [1024, 1, 2, 81, 443, 1023, 32768] {
            let helper = Helper::start(world);
            fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", start.to_string()).unwrap();
            let ask = |port: u16| {
                let socket = tcp();
                let answer = helper.ask(&request_for(&format!("127.0.0.1:{port}")), &[socket.as_fd()]);
                (answer, bound_to(&socket).unwrap().port())
            };
            if start > 1 {
                assert_eq!(ask(start - 1), (Answer::Bound, start - 1));
            }
            for port in [start, 65535] {
                assert_eq!(ask(port), (REFUSED, 0), "{port}, not below {start}");
                let reason = "the port is not privileged, so it was not the port that was refused";
                helper.logged_refusal(&format!("127.0.0.1:{port}/tcp: {reason}"));
            }
            fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024").unwrap();
        }
    }
}

world_test! {
    /// Where the kernel's word cannot be had, nothing is bound.
    fn without_the_kernels_word_no_port_is_bound(world) {
        const STAND_IN: &str = "/run/tmp/port_start";
        const PORT_START: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
        granted(world);
        fs::write(STAND_IN, "1024\n").unwrap();
        mount(Some(STAND_IN), PORT_START, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let helper = Helper::start(world);
        for word in ["", "many\n", "-1\n"] {
            fs::write(STAND_IN, word).unwrap();
            let socket = tcp();
            assert_eq!(helper.ask(&request_for(GRANTED), &[socket.as_fd()]), REFUSED, "{word:?}");
            assert_eq!(bound_to(&socket).unwrap().port(), 0, "{word:?}");
            helper.logged_refusal(&format!("{PORT_START} cannot be read"));
        }
    }
}

world_test! {
    /// root is a user like others: that it may run what anyone may run grants nothing.
    fn root_is_granted_what_the_mode_says(world) {
        let helper = Helper::start_as(world, "root");
        // The grant last: the helper has given up by then whatever else it may have kept.
        for (owner, mode, answer) in [("alice", 0o710, REFUSED), ("root", 0o011, REFUSED), ("root", 0o700, Answer::Bound)] {
            world.rule("byport/80", owner, "alice", mode);
            let socket = tcp();
            let told = helper.ask_as("root", &request_for(GRANTED), &[socket.as_fd()]);
            assert_eq!(told, answer, "{owner}'s rule of mode {mode:04o}");
        }
    }
}

world_test! {
    /// A socket of another network namespace is refused: there, the port may be somebody else's to grant.
    fn sockets_of_another_network_namespace_are_refused(world) {
        granted(world);
        let elsewhere = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).map(|()| (tcp(), tcp6())));
        let (v4, v6) = elsewhere.join().unwrap().unwrap();
        let reason = "the socket is of another network namespace";
        refuses(world, "IPv4", &request_for(GRANTED), &[&v4], reason);
        refuses(world, "IPv6", &request_for("[::1]:80"), &[&v6], reason);
    }
}

world_test! {
    /// A socket that is more than fresh gets the kernel's own answer, and stays what it is.
    fn sockets_in_every_state_get_the_kernels_answer(world) {
        granted(world);
        let helper = Helper::start(world);
        let own = helper.descriptors();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let [connected, closing, shut] = [(); 3].map(|()| connect());
        let accepted = [(); 3].map(|()| listener.accept().unwrap().0);
        closing.shutdown(Shutdown::Write).unwrap();
        shut.shutdown(Shutdown::Both).unwrap();
        let (datagrams, peer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        peer.connect(datagrams.local_addr().unwrap()).unwrap();
        let states: [(&str, &dyn AsFd); 7] = [
            ("listening", &listener),
            ("connected", &connected),
            ("accepted", &accepted[0]),
            ("half closed", &closing),
            ("shut down", &shut),
            ("UDP, bound", &datagrams),
            ("UDP, connected", &peer),
        ];
        for (what, socket) in states {
            let before = bound_to(socket.as_fd());
            for (address, answer) in [(GRANTED, Answer::Failed(Errno::EINVAL)), ("127.0.0.1:81", REFUSED)] {
                assert_eq!(helper.ask(&request_for(address), &[socket.as_fd()]), answer, "{what}");
            }
            assert_eq!(bound_to(socket.as_fd()), before, "{what}");
        }
        assert_eq!(helper.descriptors(), own);
        helper.serves();
    }
}

/// A control group of the machine's, empty again and gone when it is dropped.
struct ControlGroup(PathBuf);

impl ControlGroup {
    const ROOT: &str = "/run/cgroup";

    fn make() -> ControlGroup {
        fs::create_dir(ControlGroup::ROOT).unwrap();
        mount(Some("none"), ControlGroup::ROOT, Some("cgroup2"), MsFlags::empty(), None::<&str>).unwrap();
        // Other sandboxes see it: the name of a namespace of this one's is in no use elsewhere.
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let group = Path::new(ControlGroup::ROOT).join(format!("rauthbind-test-{own}"));
        fs::create_dir(&group).unwrap();
        ControlGroup(group)
    }

    /// Makes something in it.
    fn inside<T>(&self, make: impl FnOnce() -> T) -> T {
        let enter = |group: &Path| fs::write(group.join("cgroup.procs"), "0").unwrap();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
        let home = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        enter(&self.0);
        let made = make();
        enter(&Path::new(ControlGroup::ROOT).join(home));
        made
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

world_test! {
    /// What the administrator denies to a control group, as SocketBindDeny= does, stays denied to a socket of it, whoever
    /// is asked to bind it.
    fn what_a_control_group_is_denied_stays_denied(world) {
        granted(world);
        let group = ControlGroup::make();
        let deny = world.compile_c("deny", include_str!("c/deny.c"));
        let _ = world.command("root", [deny.as_os_str(), group.0.as_os_str()]).run().successful();
        let (inside, outside) = (group.inside(tcp), tcp());
        let helper = Helper::start(world);
        let ask = |socket: &OwnedFd| helper.ask(&request_for(GRANTED), &[socket.as_fd()]);
        assert_eq!(ask(&inside), Answer::Failed(Errno::EPERM));
        assert_eq!(bound_to(&inside).unwrap().port(), 0);
        assert_eq!(ask(&outside), Answer::Bound);
    }
}

world_test! {
    /// Who asks is what counts, not whose the socket is; and whose it is does not change: bob's shares no port of alice's.
    fn sockets_stay_whose_they_are(world) {
        granted(world);
        let helper = Helper::start(world);
        let of = |user: &str| {
            let socket = world.as_user(user, tcp);
            setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
            socket
        };
        let ask = |socket: &OwnedFd| helper.ask(&request_for(GRANTED), &[socket.as_fd()]);
        for user in ["bob", "root"] {
            assert_eq!(ask(&of(user)), Answer::Bound, "{user}'s");
        }
        let first = of("alice");
        assert_eq!(ask(&first), Answer::Bound);
        listen(&first, Backlog::new(1).unwrap()).unwrap();
        assert_eq!(ask(&of("alice")), Answer::Bound);
        for user in ["bob", "root"] {
            assert_eq!(ask(&of(user)), Answer::Failed(Errno::EADDRINUSE), "{user}'s");
        }
    }
}

world_test! {
    /// Who asks is the kernel's word, for each message: a channel in other hands binds nothing.
    fn senders_are_known_by_the_kernels_word(world) {
        granted(world);
        world.grant("byport/81", "bob");
        let helper = Helper::start(world);
        let socket = tcp();
        for (user, uid) in [("bob", 4002), ("carol", 4003), ("root", 0)] {
            for port in [80, 81] {
                let bytes = request_for(&format!("127.0.0.1:{port}"));
                assert_eq!(helper.ask_as(user, &bytes, &[socket.as_fd()]), Answer::NotMyUser, "{user}");
            }
            helper.logged_refusal(&format!("the sender's user id is {uid}, not the helper's"));
        }
        assert_eq!(bound_to(&socket).unwrap().port(), 0);
        let forged = |user: &str, pid: u32, uid: u32| {
            let credentials = libc::ucred { pid: pid.try_into().unwrap(), uid, gid: uid };
            let ((reader, writer), socket, bytes) = (reply_channel(), tcp(), request_for(GRANTED));
            let descriptors = [writer.as_fd(), socket.as_fd()];
            let sent = world.as_user(user, || send(&helper.channel, &bytes, &descriptors, Some(credentials.into())));
            drop(writer);
            sent.map(|()| (Answer::read(&reader), bound_to(&socket).unwrap().port()))
        };
        let own = process::id();
        for (user, pid, uid) in [("alice", own, 4002), ("alice", own, 0), ("alice", 1, 4001), ("bob", own, 4001)] {
            assert_eq!(forged(user, pid, uid), Err(Errno::EPERM), "{user} as {uid}, process {pid}");
        }
        assert_eq!(forged("root", own, 4002), Ok((Answer::NotMyUser, 0)));
        assert_eq!(forged("alice", own, 4001), Ok((Answer::Bound, 80)));
        // Root may become alice, and so may say that it is.
        assert_eq!(forged("root", own, 4001), Ok((Answer::Bound, 80)));
    }
}

world_test! {
    /// A message that was sent when no end of the channel asked for credentials is nobody's.
    fn messages_without_credentials_are_refused(world) {
        granted(world);
        let helper = Helper::start(world);
        let pass_credentials = |on| setsockopt(&helper.standard_input, sockopt::PassCred, &on).unwrap();
        let (reader, writer) = reply_channel();
        let socket = tcp();
        helper.while_stopped(|| {
            pass_credentials(false);
            helper.send(&request_for(GRANTED), &[writer.as_fd(), socket.as_fd()]);
            pass_credentials(true);
        });
        drop(writer);
        assert_eq!(Answer::read(&reader), Answer::NotMyUser);
        assert_eq!(bound_to(&socket).unwrap().port(), 0);
        helper.logged(37, "refused uid 4001, pid 0: the sender's user id is 65534, not the helper's");
        helper.serves();
    }
}

world_test! {
    /// A reply channel must be a pipe that never waits, else nothing is bound; and whatever it is, the helper does not
    /// wait for it, writes to no file, and answers the next request.
    fn bad_reply_channels_hold_nobody_up(world) {
        granted(world);
        mkfifo("/run/tmp/fifo", Mode::S_IRWXU).unwrap();
        fs::write("/run/tmp/file", "as it was").unwrap();
        let full = |flags| {
            let (reader, writer) = reply_channel();
            while write(&writer, &[0; 4096]).is_ok() {}
            fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
            (reader, writer)
        };
        let file = |path: &str, flags| {
            let open =
                || File::options().read(true).write(flags & libc::O_PATH == 0).custom_flags(flags).open(path).unwrap();
            (open().into(), open().into())
        };
        let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_NONBLOCK).unwrap();
        let swapped = |(reader, writer)| (writer, reader);
        let bad = [
            ("full pipe", true, full(OFlag::O_NONBLOCK)),
            ("pipe to read from", true, swapped(reply_channel())),
            ("pipe that waits", false, pipe2(OFlag::O_CLOEXEC).unwrap()),
            ("full pipe that waits", false, full(OFlag::empty())),
            ("FIFO that waits", false, file("/run/tmp/fifo", 0)),
            ("stream socket", false, pair(SockType::Stream)),
            ("datagram socket", false, pair(SockType::Datagram)),
            ("seqpacket socket", false, pair(SockType::SeqPacket)),
            ("TCP socket", false, (tcp(), tcp())),
            ("file", false, file("/run/tmp/file", libc::O_NONBLOCK)),
            ("/dev/full", false, file("/dev/full", libc::O_NONBLOCK)),
            ("directory", false, file("/run", libc::O_PATH)),
            ("FIFO's path", false, file("/run/tmp/fifo", libc::O_PATH)),
            ("eventfd", false, (EventFd::new().unwrap().into(), EventFd::new().unwrap().into())),
        ];
        for (what, is_pipe, (other_end, reply)) in bad {
            not_answered(world, what, is_pipe, |_| reply.try_clone().unwrap());
            drop(other_end);
        }
        not_answered(world, "channel", false, |helper| helper.channel.try_clone().unwrap());
        not_answered(world, "helper's end of the channel", false, |helper| helper.standard_input.try_clone().unwrap());
        assert_eq!(fs::read_to_string("/run/tmp/file").unwrap(), "as it was");

        // What is a pipe that never waits is good, whatever its name.
        let helper = Helper::start(world);
        let (reader, writer) = file("/run/tmp/fifo", libc::O_NONBLOCK);
        helper.send(&request_for(GRANTED), &[writer.as_fd(), tcp().as_fd()]);
        helper.wait_idle();
        let mut reply = [0; 64];
        let length = read(&reader, &mut reply).unwrap();
        assert_eq!(Answer::of(&reply[..length]), Answer::Bound);
    }
}

/// Sends a good and a bad request with a reply channel that is none.
fn not_answered(world: &World, what: &str, is_pipe: bool, reply: impl Fn(&Helper) -> OwnedFd) {
    let helper = Helper::start(world);
    let before = helper.descriptors();
    for address in [GRANTED, "127.0.0.1:81"] {
        let (reply, socket) = (reply(&helper), tcp());
        helper.send(&request_for(address), &[reply.as_fd(), socket.as_fd()]);
        assert_eq!(helper.descriptors(), before, "{what}");
        assert!(is_pipe || bound_to(&socket).unwrap().port() == 0, "{what}");
        drop(socket);
        helper.serves();
    }
    let reason = if is_pipe { "127.0.0.1:81/tcp: there is no rule for it" } else { NO_REPLY_CHANNEL };
    helper.logged_refusal(reason);
}

world_test! {
    /// A file system that answers nobody does not hold the helper up.
    fn descriptors_of_a_dead_file_system_hold_nobody_up(world) {
        granted(world);
        let _server = fuse("/run/dead", "40000");
        let open = || File::options().read(true).custom_flags(libc::O_PATH).open("/run/dead").unwrap();
        let dead = world.as_user("alice", open);
        let helper = Helper::start(world);
        let socket = tcp();
        for descriptors in [[dead.as_fd(), socket.as_fd()], [dead.as_fd(), dead.as_fd()]] {
            helper.send(&request_for("127.0.0.1:81"), &descriptors);
            helper.serves();
        }
        assert_eq!(helper.ask(&request_for(GRANTED), &[dead.as_fd()]), REFUSED);
        helper.serves();
    }
}

/// A file of alice's whose close waits: of a file system whose server never answers to the flush. Dropped, the file
/// system is gone, and nobody waits any more.
struct Stalled(ManuallyDrop<File>);

impl Stalled {
    const PATH: &str = "/run/stalled";

    fn open(world: &World) -> Stalled {
        /// The two requests that are answered, of linux/fuse.h, and how long the answers are.
        const ANSWERED: [(u32, usize); 2] = [(26, 64), (14, 16)];
        let server = fuse(Stalled::PATH, "100444");
        thread::spawn(move || {
            let mut request = vec![0; 1 << 16];
            // Until the file system is gone.
            while let Ok(40..) = (&server).read(&mut request) {
                let operation = u32::from_ne_bytes(request[4..8].try_into().unwrap());
                let Some((_, length)) = ANSWERED.iter().find(|(code, _)| *code == operation) else { continue };
                // Version 7.31 to FUSE_INIT; to FUSE_OPEN, any handle.
                let mut answer = [&7_u32.to_ne_bytes()[..], &31_u32.to_ne_bytes()].concat();
                answer.resize(*length, 0);
                let size = u32::try_from(16 + length).unwrap().to_ne_bytes();
                let _ = (&server).write(&[&size[..], &[0; 4], &request[8..16], &answer].concat()).unwrap();
            }
        });
        Stalled(ManuallyDrop::new(world.as_user("alice", || File::open(Stalled::PATH)).unwrap()))
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = umount2(Stalled::PATH, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
    }
}

/// Mounts a file system of alice's whose root has this mode; gives what its server reads from, and writes to.
fn fuse(at: &str, mode: &str) -> File {
    let device = "/dev/fuse";
    if !fs::exists(device).unwrap() {
        mknod(device, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, makedev(10, 229)).unwrap();
    }
    if mode.starts_with('4') { fs::create_dir(at) } else { fs::write(at, "") }.unwrap();
    let server = File::options().read(true).write(true).open(device).unwrap();
    let options = format!("fd={},rootmode={mode},user_id=4001,group_id=4001", server.as_raw_fd());
    mount(Some("test"), at, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
    server
}

world_test! {
    /// A file whose close waits for ever holds up neither the next request nor, once its file system is gone, anything.
    fn files_that_cannot_be_closed_hold_nobody_up(world) {
        granted(world);
        let helper = Helper::start(world);
        let own = helper.descriptors();
        let stalled = Stalled::open(world);
        let socket = tcp();
        for descriptors in [[stalled.0.as_fd(), socket.as_fd()], [stalled.0.as_fd(), stalled.0.as_fd()]] {
            helper.send(&request_for(GRANTED), &descriptors);
            helper.serves();
        }
        assert_eq!(helper.ask(&request_for(GRANTED), &[stalled.0.as_fd()]), REFUSED);
        helper.serves();
        assert_eq!(bound_to(&socket).unwrap().port(), 0);
        assert_eq!(helper.process.waits_in().len(), 5, "one waits for requests, one for each file");
        drop(stalled);
        assert_eq!(helper.descriptors(), own);
        helper.serves();
    }
}

world_test! {
    /// An empty message is a bad message; only when nobody can send any more it is over, and a clean end.
    fn empty_messages_are_not_the_end(world) {
        granted(world);
        let helper = Helper::start(world);
        for user in ["alice", "bob", "root"] {
            world.as_user(user, || send(&helper.channel, b"", &[], None)).unwrap();
            helper.serves();
        }
        helper.logged_refusal(MALFORMED);
        let Helper { running, channel, .. } = helper;
        let last = channel.try_clone().unwrap();
        drop(channel);
        assert_eq!(world.as_user("alice", || ask(&last, &request_for(GRANTED), &[tcp().as_fd()])), Answer::Bound);
        drop(last);
        let done = running.wait().successful();
        assert_eq!((&*done.stdout, &*done.stderr), ("", ""));
    }
}

/// A connection whose close takes an hour, as nobody reads at the other end.
fn lingering(listener: &TcpListener) -> (OwnedFd, TcpStream) {
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    ours.set_nonblocking(true).unwrap();
    while !ours.write(&[0; 65536]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
    ours.set_nonblocking(false).unwrap();
    setsockopt(&ours, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 3600 }).unwrap();
    (ours.into(), theirs)
}

/// Puts the last copy of a descriptor into the queue of a socket, and so its close into that of the socket.
fn wrapped(inner: OwnedFd) -> OwnedFd {
    let (sender, outer) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
    send(&sender, b"x", &[inner.as_fd()], None).unwrap();
    outer
}

world_test! {
    /// Closing what a sender sent may take an hour: the next request does not wait for it.
    fn lingering_sockets_hold_nobody_up(world) {
        granted(world);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut readers = Vec::new();
        let mut lingering = || {
            let (socket, reader) = lingering(&listener);
            readers.push(reader);
            socket
        };
        // The copy that is sent is the last: it is the helper's close that lingers.
        let send_last_copies = |helper: &Helper, last: Vec<[OwnedFd; 2]>| {
            helper.while_stopped(|| {
                for [reply, socket] in last {
                    helper.send(&request_for(GRANTED), &[reply.as_fd(), socket.as_fd()]);
                }
            });
        };
        let cases =
            ["socket", "reply channel", "both", "in a socket", "in a reply channel", "in a socket in one", "sixteen"];
        for what in cases {
            let last = match what {
                "socket" => vec![[tcp(), lingering()]],
                "reply channel" => vec![[lingering(), tcp()]],
                "both" => vec![[lingering(), lingering()]],
                "in a socket" => vec![[tcp(), wrapped(lingering())]],
                "in a reply channel" => vec![[wrapped(lingering()), tcp()]],
                "in a socket in one" => vec![[tcp(), wrapped(wrapped(lingering()))]],
                _ => (0..16).map(|_| [tcp(), lingering()]).collect(),
            };
            let helper = Helper::start(world);
            send_last_copies(&helper, last);
            helper.serves();
            assert!(helper.process.waits_in().len() > 1, "{what}: nothing lingers, so that the test tests nothing");
            drop(helper.channel);
            assert!(helper.running.exited().success(), "{what} it keeps the helper from its end");
        }
        let helper = Helper::start(world);
        send_last_copies(&helper, (0..17).map(|_| [tcp(), lingering()]).collect());
        wait_until("the helper to have closed all or to be gone", || helper.process.has_ended() || helper.is_idle());
        if helper.process.has_ended() {
            assert_eq!(helper.running.exited().code(), Some(1), "not a clean end");
        } else {
            helper.serves();
        }
    }
}

world_test! {
    /// A socket that its sender keeps locked holds nobody up, whoever the sender is.
    fn locked_sockets_hold_nobody_up(world) {
        granted(world);
        let program = world.compile_c("stalled", include_str!("c/stalled.c"));
        let helper = Helper::start(world);
        let stalled = world.command("root", [program]).stdin(helper.channel.try_clone().unwrap()).start();
        let _ = stalled.stdout_line("sent");
        helper.serves();
        let sender = app(stalled.pid);
        helper.logged(37, &format!("refused uid 4001, {sender}: the sender's user id is 0, not the helper's"));
    }
}

world_test! {
    /// Whoever has gone away before the answer binds nothing.
    fn requests_can_be_withdrawn(world) {
        granted(world);
        let helper = Helper::start(world);
        let socket = tcp();
        helper.while_stopped(|| {
            let (reader, writer) = reply_channel();
            helper.send(&request_for(GRANTED), &[writer.as_fd(), socket.as_fd()]);
            drop(reader);
        });
        helper.wait_idle();
        assert_eq!(bound_to(&socket).unwrap().port(), 0);
        helper.logged_refusal("the sender no longer waits for a reply");
        helper.serves();
    }
}

world_test! {
    /// What was bound is the app's alone: once it has its answer, closing the socket frees the port.
    fn nothing_is_kept_of_what_was_bound(world) {
        granted(world);
        let helper = Helper::start(world);
        let own = helper.descriptors();
        for _ in 0..1000 {
            helper.serves();
        }
        let kept: Vec<_> = (1..100).map(|host| (format!("127.0.0.{host}:80"), tcp())).collect();
        for (address, socket) in &kept {
            assert_eq!(helper.ask(&request_for(address), &[socket.as_fd()]), Answer::Bound);
        }
        assert_eq!(helper.descriptors(), own);
        let targets: Vec<_> =
            own.iter().map(|(number, target)| format!("{} {}", number.display(), target.display())).collect();
        let [channel, others @ ..] = &targets[..] else { panic!() };
        assert!(channel.starts_with("0 socket:["), "{targets:?}");
        assert_eq!(others, ["1 /", "2 /", "3 /proc/sys/net/ipv4/ip_unprivileged_port_start"]);
    }
}

world_test! {
    /// Among a hundred thousand requests of four senders, good and bad, all good ones are answered right, and nothing
    /// grows.
    fn floods_lose_nothing_and_leave_nothing(world) {
        const REQUESTS: u32 = 25_000;
        granted(world);
        let helper = Helper::start(world);
        let channel = &helper.channel;
        let flood = |sender: u32, requests: u32| {
            let mut random = sender;
            for number in 0..requests {
                // Numerical Recipes' generator: any bytes will do.
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let good = request_for(&format!("127.0.{sender}.1:80"));
                let noise = [&good[..8], &random.to_le_bytes().repeat(32)].concat();
                let (socket, eventfd) = (tcp(), EventFd::new().unwrap());
                let (bytes, others, expected) = match number % 8 {
                    0 => (&good[..135], vec![socket.as_fd()], REFUSED),
                    1 => (&good[..], vec![], REFUSED),
                    2 => (&good[..], vec![socket.as_fd(), channel.as_fd(), eventfd.as_fd()], REFUSED),
                    3 => (&good[..], vec![eventfd.as_fd()], REFUSED),
                    4 => (&noise[..], vec![socket.as_fd()], REFUSED),
                    _ => (&good[..], vec![socket.as_fd()], Answer::Bound),
                };
                assert_eq!(ask(channel, bytes, &others), expected, "request {number} of sender {sender}");
                assert_eq!(bound_to(&socket).unwrap().port(), if expected == Answer::Bound { 80 } else { 0 });
            }
        };
        let from_all = |requests| {
            world.as_user("alice", || {
                thread::scope(|scope| (0..4).for_each(|sender| drop(scope.spawn(move || flood(sender, requests)))))
            });
        };
        let resident = || {
            (helper.descriptors(), helper.process.memory("Rss"))
        };
        from_all(250);
        let (descriptors, before) = resident();
        from_all(REQUESTS - 250);
        let (at_the_end, after) = resident();
        assert_eq!(at_the_end, descriptors);
        // Threads that close something leave their stacks behind, for the next ones.
        assert!(after <= before + 512, "from {before} to {after} KiB");
        helper.serves();
    }
}

world_test! {
    /// A server that sets SO_LINGER on its sockets and is refused many times over does not cost the helper its life.
    fn many_refusals_at_once_are_not_the_end(world) {
        granted(world);
        let helper = Helper::start(world);
        let refused = || {
            for _ in 0..200 {
                let socket = tcp();
                setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 5 }).unwrap();
                assert_eq!(ask(&helper.channel, &request_for("127.0.0.1:81"), &[socket.as_fd()]), REFUSED);
            }
        };
        world.as_user("alice", || thread::scope(|scope| (0..64).for_each(|_| drop(scope.spawn(refused)))));
        helper.serves();
    }
}

world_test! {
    /// However many requests are refused, the log gets few lines, and each tells how many it did not get before.
    fn log_lines_are_few_and_count_what_they_leave_out(world) {
        let _ = world.log();
        world.grant("byport/80", "alice");
        let began = Instant::now();
        let helper = Helper::start(world);
        // Each refusal has a number, in its address.
        let address = |number: u32| format!("127.{}.{}.{}:81", number >> 16, number >> 8 & 255, number & 255);
        let suppressed = |line: &str| {
            let (_, count) = line.strip_suffix(" lines before this one were suppressed)")?.rsplit_once(" (")?;
            count.parse().ok()
        };
        let few_lines = || {
            let lines = world.log().lines();
            let windows = 1 + began.elapsed().as_secs() / 10;
            assert!(lines.len() as u64 <= 20 * windows, "{} lines in {windows} windows", lines.len());
            lines
        };
        let mut sent = 0;
        // Until the first lines are old enough for more to follow.
        world.as_user("alice", || {
            while sent < 1000 || !few_lines().iter().any(|line| suppressed(line).is_some()) {
                for _ in 0..1000 {
                    sent += 1;
                    assert_eq!(ask(&helper.channel, &request_for(&address(sent)), &[tcp().as_fd()]), REFUSED);
                }
            }
        });
        let lines = few_lines();
        let refusals: Vec<_> = lines.iter().filter(|line| line.contains(": refused ")).collect();
        assert!(refusals.len() >= 20);
        let mut last = 0;
        for line in refusals {
            let number =
                (last + 1..=sent).find(|number| line.contains(&format!(" {}/tcp: ", address(*number)))).unwrap();
            assert_eq!(suppressed(line).unwrap_or(0), number - last - 1, "{line}");
            last = number;
        }
    }
}

world_test! {
    /// A log that is missing, full or no log at all changes nothing.
    fn nobody_waits_for_the_log(world) {
        world.grant("byport/80", "alice");
        let served = |what: &str| {
            let helper = Helper::start(world);
            for _ in 0..30 {
                assert_eq!(helper.ask(&request_for("127.0.0.1:81"), &[tcp().as_fd()]), REFUSED, "{what}");
            }
            assert_eq!(helper.descriptors().len(), 4, "{what}");
            helper.serves();
        };
        served("no log");
        for script in [
            "touch /dev/log; chmod 666 /dev/log",
            "mkfifo -m 666 /dev/log",
            "mkdir -m 777 /dev/log",
            "ln -s nowhere /dev/log",
            "ln -s log /dev/log",
            "ln -s full /dev/log",
        ] {
            let _ = world.command("root", ["sh", "-c", script]).run().successful();
            served(script);
            let _ = world.command("root", ["rm", "-r", "/dev/log"]).run().successful();
        }
        let socket = UnixListener::bind("/dev/log").unwrap();
        served("a stream socket");
        drop(socket);
        fs::remove_file("/dev/log").unwrap();
        let full = UnixDatagram::bind("/dev/log").unwrap();
        served("not writable for alice");
        fs::set_permissions("/dev/log", fs::Permissions::from_mode(0o666)).unwrap();
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        let is_full =
            |_: &i32| filler.send_to(b"", "/dev/log").is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!((0..100_000).any(|number| is_full(&number)));
        served("nobody reads");
        drop(full);
        served("nobody listens");
    }
}

world_test! {
    /// Whatever a sender sends, and whatever it calls itself, each message makes one line of plain text in the log.
    fn log_lines_are_plain_text(world) {
        granted(world);
        for first in (0..=u8::MAX).step_by(8) {
            let helper = Helper::start(world);
            for byte in first..=first + 7 {
                let mut address = sockaddr("[::]:80");
                address[2..].fill(byte);
                for bytes in [request(&address), vec![byte; REQUEST_SIZE]] {
                    let answer = world.as_user("alice", || {
                        set_name(c"\n<0>\x1b[2J\xff").unwrap();
                        ask(&helper.channel, &bytes, &[tcp6().as_fd()])
                    });
                    assert_eq!(answer, REFUSED, "{bytes:?}");
                }
            }
            let own = format!("rauthbind-helper[{}]: ", helper.running.pid);
            wait_until("a line for each message", || {
                world.log().lines().iter().filter(|line| line.contains(&own)).count() == 17
            });
        }
        for line in world.log().lines() {
            assert!(line.chars().all(|c| matches!(c, ' '..='~')) && line.matches('<').count() == 1, "{line:?}");
        }
    }
}
