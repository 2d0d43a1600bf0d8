//! The helper's start, what it gives up before it serves, and its end.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::unistd::{Pid, pipe2};
use rauthbind_tests::sys::socket;
use rauthbind_tests::world::User;
use rauthbind_tests::{Finished, Running, Signal, Stranger, World, processes_named, wait_until, world_test};
use rauthbind_wire::address::RawAddress;
use rauthbind_wire::ask::{Failure, ask_over};
use rauthbind_wire::channel::Channel;
use rauthbind_wire::message::{Reply, Request};
use rauthbind_wire::names::HELPER;
use rauthbind_wire::sys::Descriptor;

/// Says who it is; then at each SIGUSR1 binds port 80 and says so, and after that 1000 ports that need no helper.
const HOLDER: &str = "\
import os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
print('holder', os.getpid(), flush=True)
for number in range(1, 1000):
    ports = [80] if signal.sigwait([signal.SIGUSR1, signal.SIGUSR2]) == signal.SIGUSR1 else range(5000, 6000)
    for port in ports:
        with socket.socket() as bound:
            bound.bind(('127.0.0.1', port))
    print('done', number, flush=True)
";

/// A command of alice that holds a channel, and the helper at its other end.
struct Held {
    running: Running,
    /// The process that is the last to hold the channel.
    holder: Pid,
    helper: Stranger,
    asked: u32,
}

impl Held {
    /// Starts [`HOLDER`] by a script that finds it in "$0" and "$@", under rauthbind.
    fn start(world: &World, user: &str, script: &str) -> Held {
        let argv = ["rauthbind", "sh", "-c", script, "python3", "-c", HOLDER];
        let running = world.command(user, argv).start();
        let holder = running.stdout_line("holder ").split_once(' ').unwrap().1.parse().unwrap();
        Held { running, holder: Pid::from_raw(holder), helper: helper(), asked: 0 }
    }

    /// Has the holder do something, and waits until it has succeeded.
    #[track_caller]
    fn ask(&mut self, signal: Signal) {
        self.asked += 1;
        kill(self.holder, signal).unwrap();
        let _ = self.running.stdout_line(&format!("done {}", self.asked));
        wait_idle(&self.helper);
    }
}

/// The one helper of this world, when it waits for requests.
fn helper() -> Stranger {
    // One before this may still have to be reaped.
    wait_until("the one helper", || processes_named("rauthbind-helper").len() == 1);
    let helper = Stranger::named("rauthbind-helper");
    wait_idle(&helper);
    helper
}

fn wait_idle(helper: &Stranger) {
    wait_until("the helper to be idle", || helper.waits_in() == [libc::SYS_recvmsg]);
}

/// A channel: the end to send to, and the helper's.
fn channel() -> (OwnedFd, OwnedFd) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (channel, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
    setsockopt(&theirs, sockopt::PassCred, &true).unwrap();
    (channel, theirs)
}

/// A helper that alice starts herself, without rauthbind.
struct Direct {
    channel: Descriptor,
    running: Running,
}

impl Direct {
    /// Starts it by a command that becomes the helper, and with this in its environment.
    fn start(world: &World, argv: &[&str], environment: &[(&str, &str)]) -> Direct {
        let (channel, stdin) = channel();
        let command = world.command("alice", argv).stdin(stdin);
        let running = environment.iter().fold(command, |command, (name, value)| command.env(*name, *value)).start();
        Direct { channel: Descriptor::owning(channel.into_raw_fd()), running }
    }

    /// What it answers to a request for port 80, if it came to wait for requests.
    fn answer(&self, world: &World) -> Result<Reply, Failure> {
        let call = format!("/proc/{}/syscall", self.running.pid);
        let waiting = format!("{} ", libc::SYS_recvmsg);
        wait_until("the helper to be idle or gone", || {
            fs::read_to_string(&call).map_or(true, |call| call.starts_with(&waiting))
        });
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let address = [&[2, 0, 0, 80, 127, 0, 0, 1][..], &[0; 8]].concat();
        let request = Request { address: RawAddress::new(&address).unwrap() };
        let channel = Channel::behind(&self.channel).unwrap();
        let reply = world.as_user("alice", || ask_over(&channel, socket.as_raw_fd(), &request));
        let port = TcpStream::from(socket).local_addr().unwrap().port();
        assert_eq!(port == 80, reply == Ok(Reply::Bound));
        reply
    }

    /// Sees that it serves alice, and is confined.
    #[track_caller]
    fn assert_serves(&self, world: &World) {
        assert_eq!(self.answer(world), Ok(Reply::Bound));
        assert_confined(&Stranger::of(self.running.pid), &world.user("alice"));
    }

    /// Lets go of the channel, and waits for the end.
    fn end(self) -> Finished {
        drop(self.channel);
        self.running.wait()
    }
}

/// Sees that a helper of this user has what it must have, and nothing else.
#[track_caller]
fn assert_confined(helper: &Stranger, user: &User) {
    wait_idle(helper);
    let status = helper.file("status");
    let groups: String = user.groups.iter().map(|group| format!("{group} ")).collect();
    let four = |id: u32| format!("{id}\t{id}\t{id}\t{id}");
    let none = "0000000000000000";
    for (name, value) in [
        ("Uid", &*four(user.uid.as_raw())),
        ("Gid", &four(user.gid.as_raw())),
        ("Groups", groups.trim_end()),
        ("CapPrm", "0000000000000400"),
        ("CapEff", none),
        ("CapInh", none),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
        ("Threads", "1"),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        assert_eq!(line.trim(), value, "{name}");
    }
    let directory = PathBuf::from(format!("/proc/{}", helper.pid));
    assert_eq!(fs::read_link(directory.join("cwd")).unwrap(), Path::new("/"));
    // The kernel gives to root what belongs to a process that is not dumpable.
    assert_eq!(fs::metadata(directory.join("mem")).unwrap().uid(), 0);
    let open: Vec<_> = helper.descriptors().into_values().collect();
    let [channel, others @ ..] = &open[..] else { panic!("{open:?}") };
    assert!(channel.to_str().unwrap().starts_with("socket:["), "{open:?}");
    let proc_file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    assert_eq!(others, ["/", "/", proc_file].map(PathBuf::from), "{open:?}");
}

world_test! {
    /// Whoever runs rauthbind, the helper has that user's ids, one capability that is not effective while it waits, and
    /// nothing of what the command has.
    fn helpers_are_confined(world) {
        for name in ["alice", "bob", "root"] {
            world.rule("byport/80", "root", name, 0o710);
            let mut held = Held::start(world, name, r#"exec "$0" "$@""#);
            let user = world.user(name);
            assert_confined(&held.helper, &user);
            assert_eq!(held.helper.file("environ"), "");
            assert_eq!(held.helper.file("cmdline"), format!("{HELPER}\0--protocol\01\0"));
            let stat = held.helper.file("stat");
            assert_eq!(stat.rsplit_once(") S ").unwrap().1.split(' ').next(), Some("1"), "a child of the command");
            held.ask(Signal::SIGUSR1);
            assert_confined(&held.helper, &user);
            held.running.kill(Signal::SIGKILL);
            held.helper.wait();
        }
    }
}

world_test! {
    /// Nobody but root gets into a helper by any of the ways into a process of the same user.
    fn helpers_cannot_be_entered(world) {
        let attack = world.compile_c("attack", include_str!("c/attack.c")).into_os_string().into_string().unwrap();
        let held = Held::start(world, "alice", r#"exec "$0" "$@""#);
        let attempts = |pid: Pid| {
            let said = world.command("alice", [&*attack, &pid.to_string()]).run().successful().stdout;
            let lines = said.lines().map(|line| line.split_once(": ").unwrap());
            lines.map(|(attempt, result)| (attempt.to_owned(), result.to_owned())).collect::<Vec<_>>()
        };
        let own = attempts(Pid::from_raw(0));
        assert_eq!(own.len(), 15);
        assert!(own.iter().all(|(_, result)| result == "done"), "{own:?}");
        let refused = |(attempt, result): &(String, String)| {
            // What is in /proc has an owner, and modes; all else is asked of ptrace(2)'s rules.
            result == if fs::exists(format!("/proc/self/{attempt}")).unwrap() { "EACCES" } else { "EPERM" }
        };
        let helpers = attempts(held.helper.pid);
        assert!(helpers.iter().all(refused), "{helpers:?}");
        assert!(!held.helper.has_ended());
    }
}

world_test! {
    /// Whatever the launcher has open, or has closed, the helper has its own descriptors and no others.
    fn descriptors_are_the_helpers_own(world) {
        world.grant("byport/80", "alice");
        let listen =
            "import signal, socket; s = socket.socket(); s.bind(('127.0.0.1', 80)); s.listen(); signal.pause()";
        let stray = "import os, sys\n\
                     for number in range(200): os.set_inheritable(os.open('/etc/passwd', os.O_RDONLY), True)\n\
                     os.execvp(sys.argv[1], sys.argv[1:])";
        let closed = (0..8).map(|set| {
            let closes = ["<&-", ">&-", "2>&-"].iter().enumerate().filter(|(number, _)| set & 1 << number != 0);
            let closes: Vec<_> = closes.map(|(_, close)| *close).collect();
            vec!["sh".to_owned(), "-c".to_owned(), format!(r#"exec "$0" "$@" {}"#, closes.join(" "))]
        });
        let with_stray = ["python3", "-c", stray].map(String::from).to_vec();
        for wrapper in closed.chain([with_stray]) {
            // For alice's helper libc opens what is closed, as it has a file capability; for root's it does not.
            for name in ["alice", "root"] {
                let command = wrapper.iter().map(String::as_str).chain(["rauthbind", "python3", "-c", listen]);
                let running = world.command(name, command).start();
                running.wait_listening(80);
                let helper = helper();
                assert_confined(&helper, &world.user(name));
                running.kill(Signal::SIGKILL);
                helper.wait();
            }
        }
        for wrapper in [&["python3", "-c", stray, HELPER][..], &["sh", "-c", r#"exec "$0" >&- 2>&-"#, HELPER]] {
            let direct = Direct::start(world, wrapper, &[]);
            direct.assert_serves(world);
            let _ = direct.end().successful();
        }
    }
}

world_test! {
    /// Nothing in the environment of a helper that alice starts herself, and no argument, changes what it does or says.
    fn environment_and_arguments_change_nothing(world) {
        world.grant("byport/80", "alice");
        let library = "/run/bin/preloaded.so";
        fs::write("/run/tmp/preloaded.c", include_str!("c/preloaded.c")).unwrap();
        let cc = ["cc", "-shared", "-fPIC", "-o", library, "/run/tmp/preloaded.c"];
        let _ = world.command("root", cc).env("TMPDIR", "/run/tmp").run().successful();
        let preloaded = world.command("alice", ["true"]).env("LD_PRELOAD", library).run().stderr;
        assert_eq!(preloaded, "preloaded\n", "a library that would be seen");

        let megabyte = ["A", "B", "C", "D", "E", "F", "G", "H"].map(|name| (name, "x".repeat(131_000)));
        let environment = [
            ("LD_PRELOAD", library),
            ("LD_AUDIT", library),
            ("LD_LIBRARY_PATH", "/run/bin"),
            ("LD_DEBUG", "all"),
            ("LD_BIND_NOW", "1"),
            ("GLIBC_TUNABLES", "glibc.malloc.check=3:glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"),
            ("MALLOC_CHECK_", "3"),
            ("MALLOC_PERTURB_", "165"),
            ("MALLOC_TRACE", "/run/tmp/trace"),
            ("RUST_BACKTRACE", "full"),
            ("RUST_LOG", "trace"),
            ("LOCPATH", "/run/tmp"),
            ("LANG", "tlh"),
            ("TZ", "/etc/shadow"),
            ("RAUTHBIND_CHANNEL", "2:0:0"),
            ("RAUTHBIND_PREFIX", "/run"),
        ];
        let environment: Vec<_> =
            environment.into_iter().chain(megabyte.iter().map(|(name, value)| (*name, &**value))).collect();
        let nameless = world.compile_c("traced", include_str!("c/traced.c")).into_os_string().into_string().unwrap();
        let environment = &*environment;
        for (argv, environment) in [
            (&[HELPER][..], environment),
            (&[HELPER, "--protocol", "1"], environment),
            (&[HELPER, "--frobnicate", "-x", "--", "", "\u{1b}[31m", "/etc/passwd", "--protocol", "1"], environment),
            (&[&nameless, "-n", HELPER], &[]),
        ] {
            let direct = Direct::start(world, argv, environment);
            direct.assert_serves(world);
            let done = direct.end().successful();
            assert_eq!((&*done.stdout, &*done.stderr), ("", ""), "{argv:?}");
        }
        assert!(!fs::exists("/run/tmp/trace").unwrap());
    }
}

world_test! {
    /// However little a process may have, each limit at its smallest among it, the helper works or ends cleanly.
    fn narrow_surroundings(world) {
        world.grant("byport/80", "alice");
        let deleted = r#"mkdir gone; cd gone; rmdir ../gone; exec "$0""#;
        for (wanted, wrapper) in [
            (true, &["prlimit", "--core=0"][..]),
            (true, &["prlimit", "--cpu=0"]),
            (true, &["prlimit", "--fsize=0"]),
            (true, &["prlimit", "--locks=0"]),
            (true, &["prlimit", "--memlock=0"]),
            (true, &["prlimit", "--msgqueue=0"]),
            (true, &["prlimit", "--nice=0"]),
            (true, &["prlimit", "--nproc=0"]),
            (true, &["prlimit", "--rss=0"]),
            (true, &["prlimit", "--rtprio=0"]),
            (true, &["prlimit", "--rttime=0"]),
            (true, &["prlimit", "--sigpending=0"]),
            (true, &["prlimit", "--stack=65536"]),
            (false, &["prlimit", "--stack=0"]),
            (false, &["prlimit", "--nofile=0"]),
            (false, &["prlimit", "--nofile=3"]),
            (false, &["prlimit", "--as=0"]),
            (true, &["prlimit", "--nofile=16"]),
            (true, &["env", "--block-signal"]),
            (true, &["env", "--ignore-signal"]),
            (true, &["env", "--default-signal"]),
            (true, &["sh", "-c", r#"umask 000; exec "$0""#]),
            (true, &["sh", "-c", r#"umask 777; exec "$0""#]),
            (true, &["sh", "-c", deleted]),
            (true, &["prlimit", "--nofile=5:64"]),
            (true, &["prlimit", "--as=8000000"]),
            (false, &["prlimit", "--nofile=4"]),
            (false, &["prlimit", "--nofile=5"]),
            (false, &["prlimit", "--nofile=6"]),
            (false, &["prlimit", "--nofile=7"]),
            (false, &["prlimit", "--data=0"]),
            (false, &["prlimit", "--as=1000000"]),
        ] {
            let direct = Direct::start(world, &[wrapper, &[HELPER]].concat(), &[]);
            let answer = direct.answer(world);
            let done = direct.end();
            match answer {
                Ok(Reply::Bound) => assert_eq!(done.successful().stderr, "", "{wrapper:?}"),
                _ if wanted => panic!("{wrapper:?}: {answer:?}, {done:?}"),
                Ok(reply) => {
                    assert!([Reply::Failed(libc::EACCES), Reply::Unable].contains(&reply), "{wrapper:?}: {reply:?}");
                }
                Err(_) => assert!(!done.status.success() && done.stderr.lines().count() <= 1, "{wrapper:?}: {done:?}"),
            }
        }
    }
}

/// Sees that a helper has said one line, with this in it, and ended.
#[track_caller]
fn refused(done: Finished, why: &str) {
    assert_eq!((done.status.code(), &*done.stdout), (Some(1), ""), "{done:?}");
    let [line] = done.stderr.lines().collect::<Vec<_>>()[..] else { panic!("not one line: {done:?}") };
    assert!(line.starts_with("rauthbind-helper: ") && line.contains(why), "{line}");
}

world_test! {
    /// Without a channel on its standard input, the helper says one line and ends.
    fn without_a_channel(world) {
        let why = "standard input is not a channel";
        let stream = UnixStream::pair().unwrap();
        let datagram = UnixDatagram::pair().unwrap();
        let tcp = socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let (reader, _writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let no_channels: [(&str, OwnedFd); 5] = [
            ("stream socket", stream.0.into()),
            ("datagram socket", datagram.0.into()),
            ("TCP socket", tcp),
            ("pipe", reader),
            ("file", File::open("/etc/passwd").unwrap().into()),
        ];
        for (what, stdin) in no_channels {
            eprintln!("standard input is a {what}");
            refused(world.command("alice", [HELPER]).stdin(stdin).run(), why);
        }
        refused(world.command("alice", [HELPER]).run(), why);
        refused(world.command("alice", ["sh", "-c", r#"exec "$0" <&-"#, HELPER]).run(), why);
    }
}

world_test! {
    /// Where it is not what it must be, or not under the eyes of the kernel alone, the helper says one line and ends.
    fn wrongly_started(world) {
        world.grant("byport/80", "alice");
        let traced = world.compile_c("traced", include_str!("c/traced.c")).into_os_string().into_string().unwrap();
        let root = |command: &str| drop(world.command("root", ["sh", "-c", command]).run().successful());
        let other_protocol = "speaks protocol 1, the rauthbind that started it speaks";
        for (argv, why) in [
            (&[HELPER, "--protocol", "2"][..], other_protocol),
            (&[HELPER, "--protocol", ""], other_protocol),
            (&[HELPER, "--protocol"], other_protocol),
            (&[&traced, HELPER], "has no capability"),
            (&["setpriv", "--no-new-privs", HELPER], "has no capability"),
        ] {
            let (_channel, stdin) = channel();
            refused(world.command("alice", argv).stdin(stdin).run(), why);
        }
        for (change, change_back, why) in [
            ("chmod u+s", "chmod u-s", "is setuid or setgid"),
            ("chmod g+s", "chmod g-s", "is setuid or setgid"),
            ("setcap -r", "setcap cap_net_bind_service=p", "has no capability"),
            ("setcap cap_net_raw=p", "setcap cap_net_bind_service=p", "has no capability"),
        ] {
            root(&format!("{change} {HELPER}"));
            let (_channel, stdin) = channel();
            refused(world.command("alice", [HELPER]).stdin(stdin).run(), why);
            root(&format!("{change_back} {HELPER}"));
            let direct = Direct::start(world, &[HELPER], &[]);
            direct.assert_serves(world);
            let _ = direct.end().successful();
        }
        for (option, said) in [("--help", "See rauthbind-helper(8).\n"), ("--version", "rauthbind-helper 0.1.0\n")] {
            assert!(world.command("alice", [HELPER, option]).run().successful().stdout.ends_with(said), "{option}");
        }
    }
}

world_test! {
    /// The helper serves as long as anybody holds the channel, however the process came to it; and when the last one is
    /// gone, whatever of, so is the helper.
    fn helpers_end_with_the_last_holder_and_never_before(world) {
        world.grant("byport/80", "alice");
        for (stays, script) in [
            (true, r#"exec "$0" "$@""#),
            (true, r#"exec env A=1 sh -c 'exec nice perl -e "exec @ARGV" "$0" "$@"' "$0" "$@""#),
            (true, r#""$0" "$@"; exit 3"#),
            (false, r#""$0" "$@" & exit 3"#),
            (false, r#"(setsid sh -c '"$0" "$@" <&- &' "$0" "$@" &); exit 3"#),
        ] {
            let mut held = Held::start(world, "alice", script);
            if !stays {
                assert_eq!(held.running.exited().code(), Some(3));
            }
            held.ask(Signal::SIGUSR1);
            assert!(!held.helper.has_ended());
            kill(held.holder, Signal::SIGKILL).unwrap();
            held.helper.wait();
        }
        // No command, no holder.
        assert_eq!(world.command("alice", ["rauthbind", "/nonexistent"]).run().status.code(), Some(127));
        wait_until("no helper to be left", || processes_named("rauthbind-helper").is_empty());
    }
}

world_test! {
    /// A channel that is passed on by a message is held by whoever receives it, and before that by the message.
    fn channels_can_be_passed_on(world) {
        world.grant("byport/80", "alice");
        let receive = "\
import os, signal, socket, subprocess
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
box.bind('box')
print('ready', flush=True)
signal.sigwait([signal.SIGUSR1])
text, [channel], _, _ = socket.recv_fds(box, 100, 1)
version, _, inode = text.decode().split(':')
os.set_inheritable(channel, True)
os.environ['RAUTHBIND_CHANNEL'] = f'{version}:{channel}:{inode}'
os.environ['LD_PRELOAD'] = '/usr/local/lib/rauthbind/librauthbind.so'
bind = \"import socket; socket.socket().bind(('127.0.0.1', 80))\"
subprocess.run(['python3', '-c', bind], close_fds=False, check=True)
print('bound', flush=True)
signal.sigwait([signal.SIGUSR1])
os.close(channel)
print('closed', flush=True)
signal.pause()
";
        let send = "\
import os, signal, socket, sys
channel = os.environ['RAUTHBIND_CHANNEL']
box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
descriptor = int(channel.split(':')[1]).to_bytes(4, sys.byteorder)
box.sendmsg([channel.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)], 0, 'box')
print('sent', flush=True)
signal.pause()
";
        let receiver = world.command("alice", ["python3", "-c", receive]).start();
        let _ = receiver.stdout_line("ready");
        let sender = world.command("alice", ["rauthbind", "python3", "-c", send]).start();
        let _ = sender.stdout_line("sent");
        let helper = helper();
        sender.kill(Signal::SIGKILL);
        let _ = sender.wait();
        receiver.kill(Signal::SIGUSR1);
        let _ = receiver.stdout_line("bound");
        wait_idle(&helper);
        receiver.kill(Signal::SIGUSR1);
        let _ = receiver.stdout_line("closed");
        helper.wait();
    }
}

world_test! {
    /// Whoever waits for the end of what a command says waits for the command, not for the helper.
    fn nobody_waits_for_the_helper_to_close_its_output(world) {
        for script in [
            "test \"$(rauthbind echo said)\" = said",
            "test \"$(rauthbind echo said 2>&1 | cat)\" = said",
            "test \"$(rauthbind sh -c 'sleep infinity > /dev/null 2>&1 & echo said')\" = said",
            "test \"$(rauthbind sh -c 'sleep infinity > /dev/null 2>&1 & echo said' 2>&1 | cat)\" = said",
        ] {
            let _ = world.command("alice", ["sh", "-c", script]).run().successful();
        }
        wait_until("the two that are held to be left", || processes_named("rauthbind-helper").len() == 2);
        assert_eq!(processes_named("sleep").len(), 2);
    }
}

world_test! {
    /// A helper that nobody asks does not run at all, and is small.
    fn helpers_at_rest_cost_nothing(world) {
        world.grant("byport/80", "alice");
        // A file of its own: the staged one's memory is shared with the helpers of other sandboxes.
        let copy = format!("cp --preserve=all {HELPER} {HELPER}.new && mv {HELPER}.new {HELPER}");
        let _ = world.command("root", ["sh", "-c", &copy]).run().successful();
        let mut held = Held::start(world, "alice", r#""$0" "$@""#);
        let switches = |helper: &Stranger| {
            let status = helper.file("status");
            let counts =
                status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:\t")?.1.parse::<u32>().ok());
            counts.sum::<u32>()
        };
        held.ask(Signal::SIGUSR1);
        let before = switches(&held.helper);
        // Binds that need no helper, programs that begin and end, and other helpers.
        for _ in 0..10 {
            held.ask(Signal::SIGUSR2);
            let _ = world.command("alice", ["rauthbind", "sh", "-c", "true; ls /proc"]).run().successful();
        }
        assert_eq!(switches(&held.helper), before);
        held.ask(Signal::SIGUSR1);
        assert!(switches(&held.helper) > before, "the counter counts nothing");
        wait_until("the other helpers to be gone", || processes_named("rauthbind-helper").len() == 1);
        // What is its own. The rest is pages of the program's file, which all helpers and the page cache share.
        let own = held.helper.memory("Anonymous");
        assert!(own < 500, "{own} KiB");
    }
}
