//! Service managers, and servers that start a program for each client: rauthbind goes into the run script, or in front
//! of the server. What the manager started stays its own child, with the same process id, and nothing outlives it.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;
use rauthbind_tests::proof::{get, is_alices};
use rauthbind_tests::{
    Finished, Running, Signal, Stranger, World, holders, http_get, processes_named, wait_until, world_test,
};

/// A web server, which tells its process id and user id.
const SERVE: &str = include_str!("supervisors/serve.pl");

/// The same for one connection, on standard input and output.
const ANSWER: &str = include_str!("supervisors/answer.sh");

/// Becomes another program when it has closed what it inherited, as many a server does at its start.
const CLOSE_ALL: &str = "\
#!/usr/bin/python3
import os, sys
os.closerange(3, os.sysconf('SC_OPEN_MAX'))
os.execvp(sys.argv[1], sys.argv[1:])
";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// The process that answers on this port, which is alice's.
#[track_caller]
fn answering_process(port: u16) -> Pid {
    let answer = get("127.0.0.1", port);
    let line = answer.lines().find_map(|line| line.strip_prefix("pid ")).unwrap_or_else(|| panic!("no pid: {answer}"));
    let pid = line.strip_suffix(" uid 4001").unwrap_or_else(|| panic!("not alice's: {line}"));
    Pid::from_raw(pid.parse().unwrap())
}

/// Waits until this process of alice's is the only one that holds the port: one that was forked for an answer may still
/// be about to end.
#[track_caller]
fn is_held_by(protocol: &str, port: u16, server: Pid) {
    wait_until("the server to hold its port alone", || holders(protocol, port) == [server]);
    is_alices(server);
}

#[track_caller]
fn no_helper_is_left() {
    wait_until("the end of all helpers", || processes_named("rauthbind-helper").is_empty());
}

/// Sees that nobody holds the port any more, and that no helper is left.
#[track_caller]
fn nothing_is_left(protocol: &str, port: u16) {
    wait_until("the port to be free", || holders(protocol, port).is_empty());
    no_helper_is_left();
}

/// What is answered to this by datagram.
#[track_caller]
fn ask_by_datagram(port: u16, question: &str) -> String {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.send(question.as_bytes()).unwrap();
    let mut answer = [0; 100];
    let length = client.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Sees that alice's command is told that it may not have its port.
#[track_caller]
fn is_refused(world: &World, line: &str, protocol: &str, port: u16) -> Finished {
    let done = world.command("alice", words(line)).run();
    let denied = ["Permission denied", "access denied"].iter().any(|denied| done.stderr.contains(denied));
    assert!(denied && !done.status.success(), "{line}: {}\n{}", done.status, done.stderr);
    assert_eq!(holders(protocol, port), []);
    done
}

/// Sees that this server of port 80 tells of the end of each program that it has started, and of no other's.
#[track_caller]
fn knows_its_children(world: &World, line: &str) {
    // One tells on standard error, the other on standard output.
    let server = world.command("alice", ["sh", "-c", &format!("exec {line} 2>&1")]).start();
    let mut programs = [(); 3].map(|()| answering_process(80).to_string());
    is_held_by("tcp", 80, server.pid);
    programs.iter().for_each(|pid| drop(server.stdout_line(&format!(" end {pid} "))));
    server.kill(Signal::SIGTERM);
    let said = server.wait().successful().stdout;
    let mut ended: Vec<_> = said.lines().filter_map(|line| line.split_once(" end ")?.1.split(' ').next()).collect();
    ended.sort_unstable();
    programs.sort_unstable();
    assert_eq!(ended, programs);
    nothing_is_left("tcp", 80);
}

world_test! {
    /// tcpserver and tcpsvd start a program for each client. They are told of no child but those, not even where they
    /// get their port after all inherited descriptors were closed.
    fn tcpserver_and_tcpsvd_answer_by_a_program_for_each_client(world) {
        let _ = world.script("answer", ANSWER);
        let _ = world.script("close-all", CLOSE_ALL);
        for server in ["tcpserver -v -R -H -l localhost", "tcpsvd -v -l localhost"] {
            let server = format!("{server} 127.0.0.1 80 /run/bin/answer");
            let under_rauthbind = [format!("rauthbind {server}"), format!("rauthbind /run/bin/close-all {server}")];
            under_rauthbind.iter().for_each(|line| drop(is_refused(world, line, "tcp", 80)));
            world.grant("byport/80", "alice");
            is_refused(world, &server, "tcp", 80);
            under_rauthbind.iter().for_each(|line| knows_its_children(world, line));
            world.remove_rule("byport/80");
        }
    }
}

world_test! {
    /// socat forks for each client of TCP.
    fn socat_answers_over_tcp(world) {
        let _ = world.script("answer", ANSWER);
        let server = "rauthbind socat TCP-LISTEN:80,fork,reuseaddr EXEC:/run/bin/answer";
        is_refused(world, server, "tcp", 80);
        world.grant("byport/80,tcp", "alice");
        let running = world.command("alice", words(server)).start();
        assert_ne!(answering_process(80), answering_process(80));
        is_held_by("tcp", 80, running.pid);
        running.kill(Signal::SIGKILL);
        assert!(!running.exited().success());
        nothing_is_left("tcp", 80);
    }
}

world_test! {
    /// socat binds anew for each client of UDP.
    fn socat_answers_over_udp(world) {
        let _ = world.script("answer", "#!/bin/sh\nread -r question\necho \"$question answers $(id -u)\"\n");
        let server = "rauthbind socat UDP-LISTEN:53,fork,reuseaddr EXEC:/run/bin/answer";
        is_refused(world, server, "udp", 53);
        world.grant("byport/53,udp", "alice");
        let running = world.command("alice", words(server)).start();
        for question in ["one", "two", "three"] {
            is_held_by("udp", 53, running.pid);
            assert_eq!(ask_by_datagram(53, &format!("{question}\n")), format!("{question} answers 4001\n"));
        }
        is_held_by("udp", 53, running.pid);
        running.kill(Signal::SIGTERM);
        assert!(!running.exited().success());
        nothing_is_left("udp", 53);
    }
}

/// Services by a program for each client, by one that takes over the socket, and one that inetd knows by itself.
const INETD: &str = "\
http stream tcp nowait alice /run/bin/answer answer
domain dgram udp wait alice /run/bin/answer-datagram answer-datagram
echo stream tcp nowait alice internal
";

const ANSWER_DATAGRAM: &str = "\
#!/usr/bin/perl
my $from = recv STDIN, my $question, 100, 0;
send STDOUT, \"$question answers $<\", 0, $from;
";

world_test! {
    /// inetd serves what alice was granted, by programs and by itself, and nothing else; what is granted later, as soon
    /// as it reads its configuration again.
    fn inetd_answers_on_what_is_granted(world) {
        let _ = world.script("answer", ANSWER);
        let _ = world.script("answer-datagram", ANSWER_DATAGRAM);
        fs::write("/run/home/alice/inetd.conf", INETD).unwrap();
        // A small system may have none.
        fs::write("/etc/services", "echo 7/tcp\ndomain 53/udp\nhttp 80/tcp\n").unwrap();
        world.grant("byport/80,tcp", "alice");
        world.grant("byport/7,tcp", "alice");
        let log = world.log();
        let inetd = world.command("alice", ["rauthbind", "inetd", "-i", "inetd.conf"]).start();
        let _ = log.line("domain/udp: bind: Permission denied");
        assert_eq!(holders("udp", 53), []);
        assert_ne!(answering_process(80), inetd.pid);
        let mut client = TcpStream::connect("127.0.0.1:7").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client.write_all(b"over TCP").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(io::read_to_string(client).unwrap(), "over TCP");
        world.grant("byport/53,udp", "alice");
        inetd.kill(Signal::SIGHUP);
        is_held_by("udp", 53, inetd.pid);
        assert_eq!(ask_by_datagram(53, "over UDP"), "over UDP answers 4001");
        for port in [7, 80] {
            is_held_by("tcp", port, inetd.pid);
        }
        inetd.kill(Signal::SIGTERM);
        assert!(inetd.exited().success());
        nothing_is_left("tcp", 80);
    }
}

/// What alice gives an sshd of her own, but for the port.
const SSHD: &str = "\
HostKey /run/home/alice/host_key
PidFile none
UsePAM no
";

/// What alice is told when she logs in by her key and asks for her user id.
#[track_caller]
fn log_in(world: &World, port: u16) -> String {
    let ssh = format!("ssh -F none -p {port} -o BatchMode=yes -o HostKeyAlias=alices 127.0.0.1 id -u");
    world.command("alice", words(&ssh)).run().successful().stdout
}

world_test! {
    /// An sshd of alice's, which closes all descriptors that it inherits, lets her in by her key at port 22; and at
    /// another after it has read its configuration again, for which it starts itself anew.
    fn sshd_lets_its_user_in(world) {
        for line in [
            "mkdir -m 700 .ssh",
            "ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519",
            "ssh-keygen -q -t ed25519 -N '' -f host_key",
            "cp .ssh/id_ed25519.pub .ssh/authorized_keys",
            "echo alices $(cat host_key.pub) >.ssh/known_hosts",
        ] {
            let _ = world.command("alice", ["sh", "-c", line]).run().successful();
        }
        let config = "/run/home/alice/sshd_config";
        fs::write(config, format!("Port 22\n{SSHD}")).unwrap();
        let server = format!("rauthbind /usr/sbin/sshd -D -e -f {config}");
        is_refused(world, &server, "tcp", 22);
        world.grant("byport/22,tcp", "alice");
        world.grant("byport/222,tcp", "alice");
        let sshd = world.command("alice", words(&server)).start();
        let _ = sshd.stderr_line("listening on 0.0.0.0 port 22.");
        assert_eq!(log_in(world, 22), "4001\n");
        is_held_by("tcp", 22, sshd.pid);
        fs::write(config, format!("Port 222\n{SSHD}")).unwrap();
        sshd.kill(Signal::SIGHUP);
        let _ = sshd.stderr_line("listening on 0.0.0.0 port 222.");
        assert_eq!(log_in(world, 222), "4001\n");
        is_held_by("tcp", 222, sshd.pid);
        assert_eq!(holders("tcp", 22), []);
        sshd.kill(Signal::SIGTERM);
        assert!(sshd.exited().success());
        nothing_is_left("tcp", 222);
    }
}

world_test! {
    /// start-stop-daemon starts a server of alice's in the background, knows it while it runs, and ends it.
    fn start_stop_daemon_starts_and_stops(world) {
        let _ = world.script("serve", SERVE);
        let daemon = |action: &str| {
            let always = "start-stop-daemon --pidfile /run/tmp/web.pid --exec /usr/bin/perl";
            world.command("root", words(&format!("{always} {action}"))).run()
        };
        let start = "--start --background --make-pidfile --output /run/tmp/web.log --chuid alice \
            --startas /usr/local/bin/rauthbind -- /run/bin/serve 80";
        let does_not_run = Some(1);
        let _ = daemon(start).successful();
        let log = || fs::read_to_string("/run/tmp/web.log").unwrap_or_default();
        wait_until("the refusal", || log().contains("bind: Permission denied"));
        wait_until("its end", || daemon("--status").status.code() == does_not_run);
        assert_eq!(holders("tcp", 80), []);
        world.grant("byport/80", "alice");
        let _ = daemon(start).successful();
        let server = Stranger::of(answering_process(80));
        is_held_by("tcp", 80, server.pid);
        assert_eq!(fs::read_to_string("/run/tmp/web.pid").unwrap().trim_end(), server.pid.to_string());
        let _ = daemon("--status").successful();
        let again = daemon(start);
        assert!(!again.status.success() && again.stdout.contains("/usr/bin/perl already running"), "{}", again.stdout);
        let _ = daemon("--stop --retry TERM/60 --remove-pidfile").successful();
        // To start-stop-daemon a process without a program any more, but not gone yet, has ended.
        server.wait();
        nothing_is_left("tcp", 80);
    }
}

/// What keeps one service running, in the directory that it is given.
struct Manager {
    /// The program.
    program: &'static str,
    /// What a run script puts before a command to become alice.
    as_alice: &'static str,
    /// These tell or act, and are given the directory too.
    status: &'static str,
    restart: &'static str,
    down: &'static str,
    up: &'static str,
    exit: &'static str,
    /// What it tells `finish` when the service was refused, has exited with status 7, and was killed.
    told: Option<[&'static str; 3]>,
}

/// A service in its directory, and what keeps it.
struct Service<'w> {
    world: &'w World,
    manager: &'w Manager,
    /// The user who runs the manager.
    user: &'static str,
    port: u16,
    directory: String,
    running: Running,
}

impl<'w> Service<'w> {
    /// Makes a directory with this in its run script, and starts the manager.
    fn start(world: &'w World, manager: &'w Manager, user: &'static str, run: &str, port: u16) -> Self {
        let directory = format!("/run/tmp/{port}");
        fs::create_dir(&directory).unwrap();
        for (name, text) in [
            ("run", format!("echo \"started as $$.\"\nexec {run} /run/bin/serve {port}\n")),
            ("finish", "echo \"ended with $1 $2.\"\n".to_owned()),
        ] {
            let path = format!("{directory}/{name}");
            fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let id = world.user(user).uid.as_raw();
        chown(&directory, Some(id), Some(id)).unwrap();
        let running = world.command(user, [manager.program, &directory]).start();
        Self { world, manager, user, port, directory, running }
    }

    /// Runs one of the manager's commands.
    #[track_caller]
    fn control(&self, command: &str) -> Finished {
        let words = words(command).into_iter().chain([&*self.directory]);
        self.world.command(self.user, words).run().successful()
    }

    /// Sees that the manager was told this of its child's end.
    #[track_caller]
    fn was_told(&self, end: usize) {
        if let Some(told) = self.manager.told {
            let _ = self.running.stdout_line(&format!("ended with {}.", told[end]));
        }
    }

    /// Refused at first, it is tried again, and by then it is granted.
    fn is_tried_until_granted(&self) {
        let _ = self.running.stderr_line("bind: Permission denied");
        self.was_told(0);
        assert_eq!(holders("tcp", self.port), []);
        self.world.grant(&format!("byport/{}", self.port), "alice");
        let _ = self.serves();
    }

    /// When it is to be started again, exits, or is killed, the manager sees it and the next one answers.
    fn is_started_again_whatever_it_ended_of(&self) {
        let server = self.serves();
        self.control(self.manager.restart);
        server.wait();
        let server = self.serves();
        let _ = http_get("127.0.0.1", self.port, "/exit");
        server.wait();
        self.was_told(1);
        let server = self.serves();
        server.kill(Signal::SIGKILL);
        server.wait();
        self.was_told(2);
        let _ = self.serves();
    }

    /// Taken down it stays down.
    fn goes_down(&self) {
        self.control(self.manager.down);
        wait_until("the port to be free", || holders("tcp", self.port).is_empty());
    }

    /// Taken up again it answers, and ends together with the manager.
    fn goes_up_and_away(&self) {
        self.control(self.manager.up);
        let server = self.serves();
        self.control(self.manager.exit);
        server.wait();
        assert!(self.running.exited().success());
    }

    /// Sees that the service answers: alice's, and with the process id that the manager knows its child by.
    #[track_caller]
    fn serves(&self) -> Stranger {
        let server = Stranger::of(answering_process(self.port));
        is_held_by("tcp", self.port, server.pid);
        let _ = self.running.stdout_line(&format!("started as {}.", server.pid));
        assert!(server.file("status").contains(&format!("\nPPid:\t{}\n", self.running.pid)));
        let known = format!("(pid {})", server.pid);
        wait_until("the manager to tell", || self.control(self.manager.status).stdout.contains(&known));
        server
    }
}

/// Takes a step with all of them at once: a manager waits for a second before it starts again what has just ended.
fn all<'w>(services: &[Service<'w>], step: fn(&Service<'w>)) {
    thread::scope(|scope| services.iter().for_each(|service| drop(scope.spawn(move || step(service)))));
}

/// What is promised of every service manager.
fn keeps_services_running(world: &World, manager: &Manager) {
    let _ = world.script("serve", SERVE);
    let _ = world.script("close-all", CLOSE_ALL);
    let services = [
        ("root", "rauthbind -u alice", 80),
        ("root", &format!("{} rauthbind", manager.as_alice), 25),
        ("root", "rauthbind -u alice /run/bin/close-all", 21),
        ("alice", "rauthbind", 443),
    ];
    let services = services.map(|(user, run, port)| Service::start(world, manager, user, run, port));
    all(&services, Service::is_tried_until_granted);
    all(&services, Service::is_started_again_whatever_it_ended_of);
    all(&services, Service::goes_down);
    no_helper_is_left();
    all(&services, Service::goes_up_and_away);
    no_helper_is_left();
}

world_test! {
    /// runit keeps services under rauthbind running, and ends them without a trace.
    fn runit_keeps_services_running(world) {
        keeps_services_running(world, &Manager {
            program: "runsv",
            as_alice: "chpst -u alice",
            status: "sv status",
            restart: "sv -w 60 restart",
            down: "sv -w 60 down",
            up: "sv -w 60 up",
            exit: "sv -w 60 exit",
            told: Some(["13 0", "7 0", "-1 9"]),
        });
    }
}

world_test! {
    /// daemontools does the same.
    fn daemontools_keeps_services_running(world) {
        keeps_services_running(world, &Manager {
            program: "supervise",
            as_alice: "setuidgid alice",
            status: "svstat",
            restart: "svc -t",
            down: "svc -d",
            up: "svc -u",
            exit: "svc -dx",
            told: None,
        });
    }
}

world_test! {
    /// So does s6.
    fn s6_keeps_services_running(world) {
        keeps_services_running(world, &Manager {
            program: "s6-supervise",
            as_alice: "s6-setuidgid alice",
            status: "s6-svstat",
            restart: "s6-svc -wr -r",
            down: "s6-svc -wd -d",
            up: "s6-svc -wu -u",
            exit: "s6-svc -dx",
            told: Some(["13 0", "7 0", "256 9"]),
        });
    }
}
