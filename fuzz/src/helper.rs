//! Whole messages, descriptors and all: nothing is bound but what a rule grants, and what one grants is bound.
//!
//! It is the helper's own code that answers, over a channel, in this process; and the kernel's own binds.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Once;

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, setsockopt, socket, socketpair, sockopt,
};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stdin, getuid, pipe2};
use rauthbind_helper::log::Log;
use rauthbind_helper::serve::Helper;
use rauthbind_helper::sys;
use rauthbind_policy::Protocol;
use rauthbind_tests::World;
use rauthbind_wire::address::{LONGEST, RawAddress};
use rauthbind_wire::message::{REPLY_SIZE, Reply, Request};
use rauthbind_wire::names;

/// The input is a few messages, each with what it brings.
pub fn check(input: &[u8]) {
    static RULES: Once = Once::new();
    RULES.call_once(write_rules);

    let stream = SockFlag::SOCK_CLOEXEC;
    let (apps, helpers) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, stream).unwrap();
    setsockopt(&helpers, sockopt::PassCred, &true).unwrap();
    let network_namespace = sys::network_namespace(apps.as_raw_fd()).unwrap();
    let messages = messages(input);
    messages.iter().for_each(|message| message.send(&apps));
    drop(apps);
    dup2_stdin(&helpers).unwrap();
    drop(helpers);
    let port_start = File::open(names::UNPRIVILEGED_PORT_START).unwrap();
    Helper::new(getuid(), None, network_namespace, port_start, Log::new(false)).serve();
    messages.iter().for_each(Message::judge);
}

/// What [`is_granted`] says, as rules. `byport/81` is there and executable for nobody.
fn write_rules() {
    let world = World::new();
    for rule in ["byport/80", "byport/443,udp", "byaddr/127.0.0.1,53", "byaddr/::1,53,tcp"] {
        world.rule(rule, "root", "root", 0o700);
    }
    world.rule("byport/81", "root", "root", 0o600);
    world.byuid("0", "10.0.0.0/8,81-200\n::/0,300");
    world.byuid("!0", "127.0.0.1,600");
    sys::ignore_broken_pipes().unwrap();
}

fn is_granted(protocol: Protocol, address: SocketAddr) -> bool {
    let ip = address.ip();
    let v4 = ip.to_canonical();
    match address.port() {
        80 => true,
        443 => protocol == Protocol::Udp,
        53 if ip == Ipv6Addr::LOCALHOST => protocol == Protocol::Tcp,
        53 | 600 => v4 == IpAddr::from([127, 0, 0, 1]),
        82..=200 => matches!(v4, IpAddr::V4(v4) if v4.octets()[0] == 10),
        300 => ip.is_ipv6(),
        _ => false,
    }
}

/// What a message may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ReplyChannel,
    Socket(AddressFamily, SockType),
    BoundSocket,
    WaitingPipe,
    ReadEnd,
    UnixSocket,
    Path,
    Device,
}

const KINDS: [Kind; 11] = [
    Kind::ReplyChannel,
    Kind::Socket(AddressFamily::Inet, SockType::Stream),
    Kind::Socket(AddressFamily::Inet, SockType::Datagram),
    Kind::Socket(AddressFamily::Inet6, SockType::Stream),
    Kind::Socket(AddressFamily::Inet6, SockType::Datagram),
    Kind::BoundSocket,
    Kind::WaitingPipe,
    Kind::ReadEnd,
    Kind::UnixSocket,
    Kind::Path,
    Kind::Device,
];

/// A descriptor that was sent.
struct Item {
    kind: Kind,
    descriptor: OwnedFd,
    /// The other end, where it is a reply channel.
    reader: Option<File>,
}

impl Item {
    fn new(kind: Kind) -> Item {
        let ip_socket = |family, kind| {
            let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
            setsockopt(&socket, sockopt::IpFreebind, &true).unwrap();
            socket
        };
        let mut reader = None;
        let descriptor = match kind {
            Kind::ReplyChannel => {
                let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
                reader = Some(File::from(read));
                write
            }
            Kind::Socket(family, kind) => ip_socket(family, kind),
            Kind::BoundSocket => UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            Kind::WaitingPipe => pipe2(OFlag::O_CLOEXEC).unwrap().1,
            Kind::ReadEnd => pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap().0,
            Kind::UnixSocket => socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap(),
            Kind::Path => open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap(),
            Kind::Device => open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).unwrap(),
        };
        Item { kind, descriptor, reader }
    }

    /// Everything that was replied.
    fn replied(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mut reader) = self.reader.as_ref() {
            let end = reader.read_to_end(&mut bytes);
            assert!(matches!(end, Err(error) if error.kind() == ErrorKind::WouldBlock));
        }
        bytes
    }

    /// Where an IP socket is bound that was not when it was sent.
    fn bound_to(&self) -> Option<SocketAddr> {
        let Kind::Socket(..) = self.kind else { return None };
        let address = UdpSocket::from(self.descriptor.try_clone().unwrap()).local_addr().unwrap();
        (address.port() != 0).then_some(address)
    }
}

struct Message {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// Each message: how many descriptors, of which kinds; whether the bytes are those of an address in a good frame; how
/// many bytes, and these.
fn messages(mut input: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let [count, rest @ ..] = input {
        let (kinds, rest) = rest.split_at(rest.len().min(usize::from(count % 5)));
        let [is_raw, length, rest @ ..] = rest else { break };
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        let address = RawAddress::new(bytes.get(..LONGEST).unwrap_or(bytes)).unwrap();
        let bytes = if is_raw & 1 == 1 { bytes.to_vec() } else { Request { address }.to_bytes().to_vec() };
        let items = kinds.iter().map(|kind| Item::new(KINDS[usize::from(*kind) % KINDS.len()])).collect();
        messages.push(Message { bytes, items });
        if messages.len() == 4 {
            break;
        }
    }
    messages
}

impl Message {
    fn send(&self, channel: &OwnedFd) {
        let descriptors: Vec<_> = self.items.iter().map(|item| item.descriptor.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let control = if descriptors.is_empty() { &[][..] } else { &rights };
        sendmsg::<()>(channel.as_raw_fd(), &[IoSlice::new(&self.bytes)], control, MsgFlags::MSG_DONTWAIT, None)
            .unwrap();
    }

    /// What the message asks for, where it is a request for something that is granted.
    fn granted(&self) -> Option<SocketAddr> {
        let [reply_channel, socket] = self.items.as_slice() else { return None };
        let (family, protocol) = match socket.kind {
            Kind::Socket(family, SockType::Stream) => (family, Protocol::Tcp),
            Kind::Socket(family, _) => (family, Protocol::Udp),
            Kind::BoundSocket => (AddressFamily::Inet, Protocol::Udp),
            _ => return None,
        };
        let address = Request::from_bytes(&self.bytes)?.address.on_socket_of(family as i32)?;
        let is_ready = matches!(reply_channel.kind, Kind::ReplyChannel | Kind::ReadEnd);
        (is_ready && is_granted(protocol, address)).then_some(address)
    }

    fn judge(&self) {
        let granted = self.granted();
        let replies: Vec<_> = self.items.iter().map(Item::replied).collect();
        let bound: Vec<_> = self.items.iter().map(Item::bound_to).collect();
        assert!(replies.iter().skip(1).all(Vec::is_empty), "{replies:?}");
        assert!(bound.iter().enumerate().all(|(index, bound)| bound.is_none() || index == 1), "{bound:?}");
        let bound = bound.get(1).copied().flatten();
        if let Some(bound) = bound {
            assert_eq!(granted.map(|granted| (granted.ip(), granted.port())), Some((bound.ip(), bound.port())));
        }
        let Some(Item { kind: Kind::ReplyChannel, .. }) = self.items.first() else { return };
        assert_eq!(replies[0].len(), REPLY_SIZE);
        match Reply::from_bytes(&replies[0]) {
            Some(Reply::Bound) => assert!(bound.is_some()),
            Some(Reply::Failed(errno)) => assert_eq!(errno == libc::EACCES, granted.is_none(), "errno {errno}"),
            other => panic!("{other:?}"),
        }
    }
}
