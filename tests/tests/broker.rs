//! The broker: the helper that a super-server runs, as root, for each connection to its socket, for programs under
//! no_new_privs, which can reach no other.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod programs;

use std::fs::{self, File, Permissions};
use std::io::{IoSlice, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::unistd::{Pid, pipe2};
use programs::{compile, words};
use rauthbind_tests::log::app;
use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::sys::enter;
use rauthbind_tests::{Running, Signal, Stranger, World, processes_named, wait_until, world_test};
use rauthbind_wire::address::RawAddress;
use rauthbind_wire::ask::{Failure, ask_over};
use rauthbind_wire::channel::Channel;
use rauthbind_wire::message::{Reply, Request};
use rauthbind_wire::names::{BROKER, HELPER};
use rauthbind_wire::sys::Descriptor;

/// What alice's programs run under here, so that neither channel nor helper can be had.
const UNDER: &str = "setpriv --no-new-privs rauthbind";

/// Starts a super-server as root, and waits until it listens.
#[track_caller]
fn start_server(world: &World, line: &str) -> Running {
    fs::create_dir_all("/run/rauthbind").unwrap();
    let line = line.replace("BROKER", BROKER).replace("HELPER", HELPER);
    let server = world.command("root", ["sh", "-c", &format!("exec {line}")]).start();
    wait_until("the broker's socket", || {
        // With the flag of a socket that accepts connections.
        fs::read_to_string("/proc/net/unix")
            .unwrap()
            .lines()
            .any(|line| line.contains(" 00010000 ") && line.ends_with(BROKER))
    });
    server
}

/// The one that the tests use where it does not matter which.
fn start_any_server(world: &World) -> Running {
    start_server(world, "s6-ipcserver -a 0666 BROKER HELPER --broker")
}

/// Sees that a command of alice's tells these errnos of ports, and that nobody says anything.
#[track_caller]
fn binds(world: &World, user: &str, before: &str, said: &str) {
    let ports: Vec<_> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let line = format!("{before} /run/bin/binds {}", ports.join(" "));
    assert_eq!(world.command(user, words(&line)).run().successful().stdout, said, "{line}");
}

/// The helpers that have not ended, whether or not their ends were heard of: unixserver asks late.
fn helpers() -> Vec<Pid> {
    let ended = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    processes_named("rauthbind-helper").into_iter().filter(|pid| !ended(pid)).collect()
}

fn no_helper_is_left() {
    wait_until("the end of all helpers", || helpers().is_empty());
}

/// Sees that this super-server lets alice's programs bind what is granted to her, and nothing else, however many ask.
#[track_caller]
fn serves(world: &World, line: &str) {
    compile(world, &["binds"]);
    world.grant("byport/80", "alice");
    world.byuid("4001", "127.0.0.1,100-155\n::1,100-155\n");
    binds(world, "alice", UNDER, "80 13\n");

    let server = start_server(world, line);
    // systemd-socket-activate alone knows no mode.
    fs::set_permissions(BROKER, Permissions::from_mode(0o666)).unwrap();
    binds(world, "alice", UNDER, "80 0\n81 13\n8080 0\n");
    binds(world, "bob", UNDER, "80 13\n8080 0\n");
    let storm = [words(UNDER), words("python3 -c"), vec![include_str!("broker/storm.py").into()]].concat();
    let done = world.command("alice", storm).run().successful();
    assert_eq!((&*done.stdout, &*done.stderr), ("56 bound, 8 refused\n", ""));
    let web = words(&format!("{UNDER} python3 -m http.server --bind 127.0.0.1 80"));
    let web = world.command("alice", web).start();
    assert!(get("127.0.0.1", 80).contains("Directory listing"));
    assert_eq!(alices_holders("tcp", 80), [web.pid]);
    no_helper_is_left();
    world.remove_rule("byport/80");
    binds(world, "alice", UNDER, "80 13\n");
    server.kill(Signal::SIGTERM);
    let _ = server.wait();
}

world_test! {
    /// systemd-socket-activate(1), which needs no systemd to run: SOCK_SEQPACKET.
    fn systemd_socket_activate_serves(world) {
        serves(world, "systemd-socket-activate --accept --inetd --seqpacket -l BROKER HELPER --broker");
    }
}

world_test! {
    /// The same with SOCK_STREAM.
    fn systemd_socket_activate_serves_streams(world) {
        serves(world, "systemd-socket-activate --accept --inetd -l BROKER HELPER --broker");
    }
}

/// inetd, without the limit of 256 connections in a minute beyond which it gives the service up.
fn inetd() -> &'static str {
    let line = format!("{BROKER} stream unix nowait.100000 root {HELPER} rauthbind-helper --broker\n");
    fs::write("/run/tmp/inetd.conf", line).unwrap();
    "inetd -i /run/tmp/inetd.conf"
}

world_test! {
    /// openbsd-inetd.
    fn inetd_serves(world) {
        serves(world, inetd());
    }
}

world_test! {
    /// s6-ipcserver.
    fn s6_serves(world) {
        serves(world, "s6-ipcserver -a 0666 BROKER HELPER --broker");
    }
}

world_test! {
    /// unixserver of ucspi-unix, which serves ten at a time where it is not told otherwise.
    fn unixserver_serves(world) {
        serves(world, "unixserver -p 666 -- BROKER HELPER --broker");
    }
}

world_test! {
    /// socat, with SOCK_SEQPACKET.
    fn socat_serves(world) {
        serves(world, "socat UNIX-LISTEN:BROKER,type=5,fork,mode=0666 EXEC:'HELPER --broker',nofork");
    }
}

world_test! {
    /// The same with SOCK_STREAM.
    fn socat_serves_streams(world) {
        serves(world, "socat UNIX-LISTEN:BROKER,fork,mode=0666 EXEC:'HELPER --broker',nofork");
    }
}

world_test! {
    /// The broker goes by the groups that a program has, not by those that its user has elsewhere.
    fn groups_are_those_of_the_one_who_connects(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "web");
        let _server = start_any_server(world);
        let root_becomes = |groups: &str| format!("setpriv --reuid alice --regid alice {groups} --no-new-privs rauthbind");
        binds(world, "alice", UNDER, "80 0\n");
        binds(world, "bob", UNDER, "80 13\n");
        binds(world, "root", &root_becomes("--init-groups"), "80 0\n");
        binds(world, "root", &root_becomes("--clear-groups"), "80 13\n");
        binds(world, "root", &root_becomes("--groups bob"), "80 13\n");
        let many: Vec<_> = (5000..5200).map(|group| group.to_string()).collect();
        binds(world, "root", &root_becomes(&format!("--groups {}", many.join(","))), "80 13\n");
        binds(world, "root", &root_becomes(&format!("--groups {},web", many.join(","))), "80 0\n");
    }
}

/// One of the broker's connections: the end of a user who has connected, and the helper at the other.
struct Connection<'w> {
    world: &'w World,
    end: OwnedFd,
    helper: Running,
}

impl<'w> Connection<'w> {
    /// Makes one as a super-server does, which has the helper be run by root.
    fn open(world: &'w World, user: &str, kind: SockType) -> Connection<'w> {
        Connection::open_under(world, user, kind, &[])
    }

    /// The same by a program that becomes the helper.
    fn open_under(world: &'w World, user: &str, kind: SockType, before: &[&str]) -> Connection<'w> {
        Connection::over(world, connection(world, user, kind), before)
    }

    fn over(world: &'w World, (end, accepted): (OwnedFd, OwnedFd), before: &[&str]) -> Connection<'w> {
        let helper = world.command("root", [before, &[HELPER, "--broker"]].concat()).stdin(accepted).start();
        Connection { world, end, helper }
    }

    fn process(&self) -> Stranger {
        let process = Stranger::of(self.helper.pid);
        wait_until("the helper to be idle", || process.waits_in() == [libc::SYS_recvmsg]);
        process
    }

    /// Has a user ask for 127.0.0.1:80; gives the answer, and whether the socket is bound.
    fn ask_as(&self, user: &str) -> (Result<Reply, Failure>, bool) {
        let socket = tcp();
        let channel = Descriptor::owning(self.end.try_clone().unwrap().into_raw_fd());
        let channel_of = Channel::behind(&channel).unwrap();
        let reply = self.world.as_user(user, || ask_over(&channel_of, socket.as_raw_fd(), &request()));
        (reply, is_bound(&socket))
    }

    /// Sends something as alice.
    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = (!raw.is_empty()).then_some(ControlMessage::ScmRights(&raw));
        let control: Vec<_> = rights.into_iter().collect();
        let (end, flags) = (self.end.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        self.world.as_user("alice", || sendmsg::<()>(end, &[IoSlice::new(bytes)], &control, flags, None)).unwrap();
    }

    /// Lets go of it, and sees that the helper ends, and has had nothing to say but to the log.
    #[track_caller]
    fn end(self) {
        drop(self.end);
        let done = self.helper.wait().successful();
        assert_eq!((&*done.stdout, &*done.stderr), ("", ""));
    }
}

/// The end of a user who has connected, and the one that was accepted.
fn connection(world: &World, user: &str, kind: SockType) -> (OwnedFd, OwnedFd) {
    connection_by(kind, |end, address| world.as_user(user, || connect(end.as_raw_fd(), address)).unwrap())
}

/// The same, connected by whoever that is.
fn connection_by(kind: SockType, connect: impl FnOnce(&OwnedFd, &UnixAddr)) -> (OwnedFd, OwnedFd) {
    let new = || socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let (end, listener, address) = (new(), new(), UnixAddr::new_abstract(b"broker").unwrap());
    bind(listener.as_raw_fd(), &address).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    // So that credentials go along with what is sent before the helper asks for them.
    setsockopt(&end, sockopt::PassCred, &true).unwrap();
    connect(&end, &address);
    let (accepted, _) = UnixListener::from(listener).accept().unwrap();
    (end, accepted.into())
}

fn tcp() -> OwnedFd {
    rauthbind_tests::sys::socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap()
}

fn is_bound(socket: &OwnedFd) -> bool {
    TcpStream::from(socket.try_clone().unwrap()).local_addr().unwrap().port() == 80
}

/// Asks for port 80 of 127.0.0.1.
fn request() -> Request {
    let address = [&[2, 0, 0, 80, 127, 0, 0, 1][..], &[0; 8]].concat();
    Request { address: RawAddress::new(&address).unwrap() }
}

/// A reply channel: to read from, and to write to.
fn reply_channel() -> (File, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    (reader.into(), writer)
}

/// Everything that arrives at a reply channel before its end.
fn replies(mut reader: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Until then, it has read what there was and fails for want of more.
    wait_until("the end of a reply", || reader.read_to_end(&mut bytes).is_ok());
    bytes
}

const BOTH: [SockType; 2] = [SockType::SeqPacket, SockType::Stream];

world_test! {
    /// Before it reads a byte, the helper that root has started is the user who has connected, from end to end, with one
    /// capability that is not effective, and cannot be looked into.
    fn the_helper_is_the_user_before_it_reads(world) {
        for (name, kind) in [("alice", BOTH[0]), ("bob", BOTH[0]), ("carol", BOTH[1]), ("alice", BOTH[1])] {
            let connection = Connection::open(world, name, kind);
            let process = connection.process();
            let (status, user) = (process.file("status"), world.user(name));
            let groups: String = user.groups.iter().map(|group| format!("{group} ")).collect();
            let (four, none) = ([(); 4].map(|()| user.uid.to_string()).join("\t"), "0000000000000000");
            for (field, value) in [
                ("Uid", &*four),
                ("Gid", &four),
                ("Groups", groups.trim_end()),
                ("CapInh", none),
                ("CapPrm", "0000000000000400"),
                ("CapEff", none),
                ("CapAmb", none),
                ("NoNewPrivs", "1"),
            ] {
                let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
                assert_eq!(line.trim(), value, "{name}: {field}");
            }
            let entered = world.as_user(name, || enter(process.pid));
            assert_eq!(entered, [Err(Errno::EACCES), Err(Errno::EPERM), Err(Errno::EPERM)], "{name}");
            let open: Vec<_> = process.descriptors().into_values().collect();
            let [channel, others @ ..] = &open[..] else { panic!("{open:?}") };
            assert!(channel.to_str().unwrap().starts_with("socket:["), "{open:?}");
            let proc_file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
            assert_eq!(others, ["/", "/", proc_file].map(PathBuf::from), "{open:?}");
            connection.end();
        }
    }
}

world_test! {
    /// One connection may ask more than once, and at its end the helper ends.
    fn a_connection_is_served_until_its_end(world) {
        let _ = world.log();
        world.grant("byport/80", "alice");
        for kind in BOTH {
            let connection = Connection::open(world, "alice", kind);
            for _ in 0..3 {
                assert_eq!(connection.ask_as("alice"), (Ok(Reply::Bound), true));
            }
            let pid = connection.helper.pid;
            connection.end();
            let lines = world.log().lines();
            let own: Vec<_> = lines.iter().filter(|line| line.contains(&format!("[{pid}]"))).collect();
            assert_eq!(own.len(), 1, "{own:?}");
        }
    }
}

world_test! {
    /// A connection serves whoever made it, and nobody else who comes to hold it; not root either.
    fn a_connection_serves_nobody_else(world) {
        let _ = world.log();
        for user in ["alice", "bob", "root"] {
            world.rule("byport/80", "root", user, 0o710);
            for kind in BOTH {
                let connection = Connection::open(world, "alice", kind);
                if user == "alice" {
                    assert_eq!(connection.ask_as(user), (Ok(Reply::Bound), true));
                } else {
                    assert_eq!(connection.ask_as(user), (Ok(Reply::NotMyUser), false), "{user}");
                    let (helper, uid) = (connection.helper.pid, world.user(user).uid);
                    let told = format!("rauthbind-helper[{helper}]: refused uid 4001, {}: ", app(process::id()));
                    let _ = world.log().line(&format!("{told}the sender's user id is {uid}, not the helper's"));
                    assert_eq!(connection.ask_as("alice"), (Ok(Reply::Failed(libc::EACCES)), false));
                }
                connection.end();
            }
        }
    }
}

world_test! {
    /// A connection that a setgid program has made does not serve, for that group's sake, who has not the group.
    fn a_connection_serves_no_other_group(world) {
        let _ = world.log();
        compile(world, &["connect"]);
        world.grant("byport/80", "web");
        for (mode, gid) in [(0o755, 4002), (0o2755, 4100)] {
            chown("/run/bin/connect", Some(0), Some(4100)).unwrap();
            fs::set_permissions("/run/bin/connect", Permissions::from_mode(mode)).unwrap();
            for kind in BOTH {
                let by_program = |end: &OwnedFd, _: &UnixAddr| {
                    let program = world.command("bob", ["/run/bin/connect"]).stdin(end.try_clone().unwrap());
                    assert_eq!(program.run().successful().stdout, format!("as group {gid}\n"));
                };
                let connection = Connection::over(world, connection_by(kind, by_program), &[]);
                let helper = connection.helper.pid;
                let told = |why: &str| {
                    let line = format!("rauthbind-helper[{helper}]: refused uid 4002, {}: {why}", app(process::id()));
                    let _ = world.log().line(&line);
                };
                if gid == 4100 {
                    assert_eq!(connection.ask_as("bob"), (Ok(Reply::NotMyUser), false));
                    told("the sender's group id is 4002, not the helper's");
                } else {
                    assert_eq!(connection.ask_as("bob"), (Ok(Reply::Failed(libc::EACCES)), false));
                    told("127.0.0.1:80/tcp: ");
                }
                connection.end();
            }
        }
    }
}

world_test! {
    /// What is no request, in one piece or in several, binds nothing; what came with it is closed, and the helper ends
    /// with the connection.
    fn what_is_no_request_is_refused(world) {
        world.grant("byport/80", "alice");
        let good = request().to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            bytes.to_vec()
        };
        let longer = [&good[..], b"!"].concat();
        let (message, rest) = good.split_at(60);
        let whole = |bytes: &[u8]| vec![bytes.to_vec()];
        let refused = Reply::Failed(libc::EACCES).to_bytes();
        for (what, kinds, messages, descriptors) in [
            ("wrong magic", &BOTH[..], vec![with(0, b'!')], 2),
            ("wrong protocol", &BOTH, vec![with(4, 7)], 2),
            ("wrong length", &BOTH, vec![with(6, 129)], 2),
            ("short", &BOTH, whole(message), 2),
            ("one byte", &BOTH, whole(b"r"), 2),
            ("empty", &BOTH[..1], whole(b""), 2),
            ("long", &BOTH[..1], whole(&longer), 2),
            ("in two", &BOTH, vec![message.to_vec(), rest.to_vec()], 2),
            ("reply channel alone", &BOTH, whole(&good), 1),
            ("no descriptor", &BOTH, whole(&good), 0),
            ("three descriptors", &BOTH, whole(&good), 3),
            ("many descriptors", &BOTH, whole(&good), 200),
        ] {
            for kind in kinds {
                let connection = Connection::open(world, "alice", *kind);
                let process = connection.process();
                let before = process.descriptors();
                let (socket, (reader, writer)) = (tcp(), reply_channel());
                let all = [vec![writer.as_fd()], vec![socket.as_fd(); 199]].concat();
                for (number, message) in messages.iter().enumerate() {
                    connection.send(message, if number == 0 { &all[..descriptors] } else { &[] });
                }
                drop(all);
                drop(writer);
                let said = replies(reader);
                assert_eq!(said, if descriptors == 0 { &[][..] } else { &refused }, "{what}, {kind:?}");
                let process = connection.process();
                assert_eq!((process.descriptors(), is_bound(&socket)), (before, false), "{what}, {kind:?}");
                assert_eq!(connection.ask_as("alice"), (Ok(Reply::Bound), true), "{what}, {kind:?}");
                connection.end();
            }
        }
    }
}

world_test! {
    /// On a stream, what follows a request at once is the next.
    fn requests_on_a_stream_may_touch(world) {
        world.grant("byport/80", "alice");
        let connection = Connection::open(world, "alice", SockType::Stream);
        let (socket, (reader, writer)) = (tcp(), reply_channel());
        connection.send(&[&request().to_bytes()[..], b"!"].concat(), &[writer.as_fd(), socket.as_fd()]);
        drop(writer);
        assert_eq!((&*replies(reader), is_bound(&socket)), (&Reply::Bound.to_bytes()[..], true));
        connection.end();
    }
}

/// Sees that a helper that was run with `--broker` has ended, and has said this, to the log alone.
#[track_caller]
fn ends_at_once(world: &World, user: &str, argv: &[&str], stdin: OwnedFd, told: &str) {
    let running = world.command(user, argv).stdin(stdin).start();
    let line = format!("<37>rauthbind-helper[{}]: {told}", running.pid);
    let done = running.wait();
    assert_eq!((done.status.code(), &*done.stdout, &*done.stderr), (Some(1), "", ""), "{told}");
    assert!(world.log().line(&line).starts_with(&line));
}

world_test! {
    /// In a user namespace of its own, a program whose own helper sees no rules of root's is served by the broker, which
    /// does; and its launcher, if it is there too, has nothing to complain of.
    fn user_namespaces_are_served(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "alice");
        let _server = start_any_server(world);
        let close = "exec 1023>&-; exec \"$@\"";
        for before in [
            ["rauthbind unshare --user --map-current-user bash -c", close, "bash"],
            ["unshare --user --map-current-user rauthbind bash -c", close, "bash"],
            ["unshare --user --map-current-user rauthbind", "env", "env"],
        ] {
            let [start, script, zero] = before;
            let line = [words(start), vec![script.into()], words(zero), words("/run/bin/binds 80 81")].concat();
            let done = world.command("alice", line).run().successful();
            assert_eq!((&*done.stdout, &*done.stderr), ("80 0\n81 13\n", ""), "{before:?}");
        }
    }
}

world_test! {
    /// A broker that cannot become the user who asks never serves: not one that an ordinary user starts, nor one of
    /// root's without the capabilities, nor for root.
    fn who_cannot_become_the_user_never_serves(world) {
        let _ = world.log();
        for kind in BOTH {
            let accepted = |user| connection(world, user, kind).1;
            let cannot = |step| format!("the broker cannot become the user who asks it ({step}: Operation not permitted)");
            for (user, step) in [("alice", "setgroups"), ("bob", "setgroups")] {
                ends_at_once(world, user, &[HELPER, "--broker"], accepted("alice"), &cannot(step));
            }
            for (without, step) in [("-setgid", "setgroups"), ("-setuid", "setresuid"), ("-net_bind_service", "capset")] {
                let argv = ["setpriv", "--bounding-set", without, HELPER, "--broker"];
                ends_at_once(world, "root", &argv, accepted("alice"), &cannot(step));
            }
            ends_at_once(world, "root", &[HELPER, "--broker"], accepted("root"), "root asks the broker");
        }
        let why = "standard input is not a channel";
        ends_at_once(world, "root", &[HELPER, "--broker"], tcp(), why);
        ends_at_once(world, "root", &[HELPER, "--broker"], File::open("/dev/null").unwrap().into(), why);
        ends_at_once(world, "root", &[HELPER, "--broker"], UnixDatagram::pair().unwrap().0.into(), why);
        // Without the argument, a stream is no channel.
        let done = world.command("root", [HELPER]).stdin(UnixStream::pair().unwrap().0).run();
        assert!(done.stderr.contains(why) && done.status.code() == Some(1), "{done:?}");
    }
}

/// The lines in the log of one program.
fn logged_by(world: &World, program: &str) -> Vec<String> {
    world.log().lines().into_iter().filter(|line| line.contains(&format!(">{program}["))).collect()
}

world_test! {
    /// Root without the capability gets no answer: the broker tells why in one line, and so does who asked in vain.
    fn root_is_not_served(world) {
        compile(world, &["binds"]);
        world.rule("byport/80", "root", "root", 0o755);
        let _ = world.log();
        let _server = start_any_server(world);
        binds(world, "root", "setpriv --bounding-set -net_bind_service --no-new-privs rauthbind", "80 13\n81 13\n");
        // The connection may have ended before the request was sent, or after.
        let _ = world.log().line(&format!("{HELPER}: no_new_privs is set; {BROKER}: "));
        // The launcher has asked too, whether somebody listens.
        wait_until("all refusals", || logged_by(world, "rauthbind-helper").len() == 3);
        for line in logged_by(world, "rauthbind-helper") {
            assert!(line.ends_with("root asks the broker, which serves other users only"), "{line}");
        }
        assert_eq!(logged_by(world, "rauthbind").len(), 1);
        no_helper_is_left();
    }
}

world_test! {
    /// A broker of another network namespace can be reached, and does not bind sockets of ours.
    fn sockets_of_another_network_namespace_are_refused(world) {
        world.grant("byport/80", "alice");
        let _ = world.log();
        let _server = start_any_server(world);
        let bind = "import socket\ntry: print(socket.socket().bind(('', 80)))\nexcept OSError as e: print(e.errno)";
        for (before, said) in [("", "None\n"), ("unshare --net", "13\n")] {
            let line = format!("{before} setpriv --reuid alice --regid alice --init-groups {UNDER} python3 -c");
            let argv = [words(&line), vec![bind.into()]].concat();
            assert_eq!(world.command("root", argv).run().successful().stdout, said, "{before}");
        }
        assert!(world.log().line("refused").ends_with("the socket is of another network namespace"));
    }
}

world_test! {
    /// Where no broker answers, the bind is refused at once, and the log tells why.
    fn without_a_broker_the_bind_is_refused(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "alice");
        let _ = world.log();
        let server = start_any_server(world);
        let refused = |why: &str| {
            binds(world, "alice", UNDER, "80 13\n");
            let _ = world.log().line(&format!("{BROKER}: {why}"));
        };
        for mode in [0o600, 0o660, 0o000, 0o444] {
            fs::set_permissions(BROKER, Permissions::from_mode(mode)).unwrap();
            refused("Permission denied");
        }
        fs::set_permissions(BROKER, Permissions::from_mode(0o666)).unwrap();
        binds(world, "alice", UNDER, "80 0\n");
        server.kill(Signal::SIGKILL);
        let _ = server.wait();
        assert!(fs::exists(BROKER).unwrap(), "a socket that nobody listens at");
        refused("Connection refused");
        fs::remove_file(BROKER).unwrap();
        refused("No such file or directory");
        fs::write(BROKER, "no socket").unwrap();
        refused("Connection refused");
    }
}

world_test! {
    /// Connections that say nothing do not keep others out where the super-server limits them for each user, and end by
    /// themselves.
    fn silent_connections_keep_nobody_out_and_end(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "alice");
        let server = start_server(world, "s6-ipcserver -a 0666 -c 256 -C 16 BROKER HELPER --broker");
        let silent = flood(world);
        wait_until("helpers of the silent", || !helpers().is_empty());
        binds(world, "alice", UNDER, "80 0\n");
        no_helper_is_left();
        drop(silent);
        server.kill(Signal::SIGTERM);
        let _ = server.wait();
    }
}

world_test! {
    /// Nor where it has no limit.
    fn many_silent_connections_keep_nobody_out(world) {
        compile(world, &["binds"]);
        world.grant("byport/80", "alice");
        let _server = start_server(world, inetd());
        let silent = flood(world);
        wait_until("helpers of the silent", || !helpers().is_empty());
        binds(world, "alice", UNDER, "80 0\n");
        drop(silent);
        no_helper_is_left();
    }
}

world_test! {
    /// Silent connections end where the super-server ignores or blocks the signal by which they do, too.
    fn the_end_of_the_silent_cannot_be_ignored(world) {
        for wrapper in ["--ignore-signal=ALRM", "--block-signal=ALRM"] {
            let connection = Connection::open_under(world, "alice", SockType::SeqPacket, &["env", wrapper]);
            let status = connection.process().file("status");
            for set in ["SigIgn", "SigBlk"] {
                let signals = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t")).unwrap();
                let signals = u64::from_str_radix(signals, 16).unwrap();
                assert_eq!(signals >> (Signal::SIGALRM as i32 - 1) & 1, 0, "{wrapper}: {set}");
            }
            connection.end();
        }
    }
}

/// 200 connections of bob's, over which nothing is sent.
fn flood(world: &World) -> Vec<UnixStream> {
    world.as_user("bob", || (0..200).map(|_| UnixStream::connect(BROKER).unwrap()).collect())
}
