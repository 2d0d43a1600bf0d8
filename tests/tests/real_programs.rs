//! Real programs that know nothing of rauthbind: on granted ports they answer real requests, as the user who started
//! them and with no capability; on others they are refused as the kernel refuses. And programs that are not covered.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use rauthbind_tests::proof::{alices_holders, answering_process, get, says_denied};
use rauthbind_tests::{Finished, Running, Signal, World, ask_by_datagram, holders, wait_until, world_test};

/// A port that nobody is granted.
const REFUSED: u16 = 99;

/// Grants alice the ports that these tests serve on, of every address.
fn grant(world: &World) {
    world.byuid("4001", "0.0.0.0/0,100-199\n::/0,100-199\n");
}

/// The words of a command, with a port in the place of each `PORT`.
fn on_port(words: &[&str], port: u16) -> Vec<String> {
    words.iter().map(|word| word.replace("PORT", &port.to_string())).collect()
}

fn under_rauthbind(words: &[&str], port: u16) -> Vec<String> {
    ["rauthbind".to_owned()].into_iter().chain(on_port(words, port)).collect()
}

/// Starts this command as alice under rauthbind, and sees that it answers.
#[track_caller]
fn serves(world: &World, words: &[&str], port: u16, addresses: &[&str], answer: &str) -> Running {
    let server = world.command("alice", under_rauthbind(words, port)).start();
    alices_holders("tcp", port);
    for address in addresses {
        let got = get(address, port);
        assert!(got.contains(answer), "{address} says {got}");
    }
    server
}

/// Sees that this command is told that it may not have the port that nobody is granted.
#[track_caller]
fn is_refused(world: &World, words: &[&str]) -> Finished {
    let done = world.command("alice", under_rauthbind(words, REFUSED)).run();
    says_denied(&done);
    assert_eq!(holders("tcp", REFUSED), []);
    done
}

const PYTHON_ASYNCIO: &str = "\
import asyncio, sys
async def answer(reader, writer):
    await reader.readuntil(b'\\r\\n\\r\\n')
    writer.write(b'HTTP/1.0 200 OK\\r\\n\\r\\nasyncio')
    await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(answer, None, int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
";

/// Takes the port once to see whether it may, as many servers do, before it takes it in earnest.
const PYTHON_MIXIN: &str = "\
import http.server, socket, socketserver, sys
probe = socket.socket()
probe.bind(('127.0.0.1', int(sys.argv[2])))
probe.close()
mixin = getattr(socketserver, sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
class Server(mixin, http.server.HTTPServer): pass
Server(('127.0.0.1', int(sys.argv[2])), Handler).serve_forever()
";

const PYTHON_DUAL_STACK: &str = "\
import socket, sys
server = socket.create_server(('', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    client, address = server.accept()
    client.recv(4096)
    client.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\ndual stack')
    client.close()
";

const PERL_INET: &str = "\
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die \"bind: $!\\n\";
while (my $client = $server->accept) {
  while (<$client>) { last if /^\\r?\\n$/ }
  print $client \"HTTP/1.0 200 OK\\r\\n\\r\\nperl\";
}
";

const NODE_HTTP: &str = "\
const [port, host] = process.argv.slice(2);
require('http').createServer((request, response) => response.end('node')).listen(Number(port), host);
";

world_test! {
    /// Web servers of Python, Perl and Node.js answer on granted ports, over IPv4, IPv6 and both, and on no others.
    fn web_servers_answer_on_granted_ports_and_no_others(world) {
        grant(world);
        let scripts = [
            ("aio.py", PYTHON_ASYNCIO), ("mixin.py", PYTHON_MIXIN), ("dual.py", PYTHON_DUAL_STACK),
            ("inet.pl", PERL_INET), ("http.js", NODE_HTTP), ("answers.pl", include_str!("real_programs/answers.pl")),
        ];
        scripts.iter().for_each(|(name, text)| drop(world.script(name, text)));
        fs::write("/run/home/alice/index.html", "alice's page").unwrap();
        let (v4, v6, both) = (&["127.0.0.1"][..], &["::1"][..], &["127.0.0.1", "::1"][..]);
        let servers: [(&[&str], &[&str], &str); 13] = [
            (&["python3", "-m", "http.server", "PORT"], v4, "alice's page"),
            (&["python3", "-m", "http.server", "--bind", "127.0.0.1", "PORT"], v4, "alice's page"),
            (&["python3", "-m", "http.server", "--bind", "::1", "PORT"], v6, "alice's page"),
            (&["python3", "/run/bin/aio.py", "PORT"], both, "asyncio"),
            (&["python3", "/run/bin/mixin.py", "ThreadingMixIn", "PORT"], v4, "ThreadingMixIn"),
            (&["python3", "/run/bin/mixin.py", "ForkingMixIn", "PORT"], v4, "ForkingMixIn"),
            (&["python3", "/run/bin/dual.py", "PORT"], both, "dual stack"),
            (&["perl", "/run/bin/inet.pl", "PORT"], v4, "perl"),
            (&["perl", "/run/bin/answers.pl", "PORT", "127.0.0.1"], v4, " uid 4001"),
            (&["perl", "/run/bin/answers.pl", "PORT", "::1"], v6, " uid 4001"),
            (&["node", "/run/bin/http.js", "PORT"], both, "node"),
            (&["node", "/run/bin/http.js", "PORT", "127.0.0.1"], v4, "node"),
            (&["node", "/run/bin/http.js", "PORT", "::1"], v6, "node"),
        ];
        for (port, (words, addresses, answer)) in (100..).zip(servers) {
            let server = serves(world, words, port, addresses, answer);
            // Nobody else, once a process that was forked for the answer is gone.
            wait_until(&format!("{words:?} to hold the port alone"), || holders("tcp", port) == [server.pid]);
            assert!(!is_refused(world, words).status.success());
        }
    }
}

world_test! {
    /// The same server is refused without rauthbind, and to a user who has no rule.
    fn the_grant_is_what_makes_the_difference(world) {
        grant(world);
        let server = ["python3", "-m", "http.server", "100"];
        let under = under_rauthbind(&server, 0);
        for (user, words) in [("alice", server.map(String::from).to_vec()), ("bob", under.clone())] {
            let done = world.command(user, words).run();
            assert!(!done.status.success() && done.stderr.contains("PermissionError: [Errno 13] Permission denied"));
            assert_eq!(holders("tcp", 100), []);
        }
        let _server = world.command("alice", under).start();
        alices_holders("tcp", 100);
    }
}

world_test! {
    /// Servers in C: one thread binds and many answer; many processes answer; four processes share a port that each has
    /// bound for itself.
    fn threads_forks_and_shared_ports_answer(world) {
        grant(world);
        let program = world.compile_c("serve", include_str!("real_programs/serve.c"));
        for (port, mode) in (100..).zip(["threads", "forks", "reuseport"]) {
            let words = [program.to_str().unwrap(), mode, "PORT"];
            let server = world.command("alice", under_rauthbind(&words, port)).start();
            if mode == "reuseport" {
                wait_until("four processes", || alices_holders("tcp", port).len() == 4);
            }
            let mut answered = BTreeSet::new();
            let wanted = if mode == "threads" { 1 } else { 4 };
            alices_holders("tcp", port);
            wait_until("answers", || {
                answered.insert(answering_process(&get("127.0.0.1", port)));
                answered.len() >= wanted
            });
            assert_eq!(answered.contains(&server.pid), mode == "threads", "{mode}: {answered:?}");
            if mode == "reuseport" {
                assert_eq!(holders("tcp", port).into_iter().collect::<BTreeSet<_>>(), answered);
            }
            is_refused(world, &words);
        }
    }
}

world_test! {
    /// A server is covered however it is started: by wrappers, scripts, chains of programs, as a grandchild, in the
    /// background.
    fn every_way_to_start_a_server_is_covered(world) {
        grant(world);
        let answers = include_str!("real_programs/answers.pl");
        let _ = world.script("answers", answers);
        let _ = world.script("by-env", &answers.replace("#!/usr/bin/perl", "#!/usr/bin/env perl"));
        let _ = world.script("wrapper", "#!/bin/sh\n\"$@\"\nstatus=$?\nexit $status\n");
        let spawn = "const [program, ...words] = process.argv.slice(2); \
            require('child_process').spawn(program, words, {stdio: 'inherit'})";
        let _ = world.script("spawn.js", spawn);
        let server = "/run/bin/answers";
        let python = "import os, sys; words = sys.argv[1], sys.argv[1:]";
        let fork = format!("{python}; os.wait() if os.fork() else os.execv(*words)");
        let spawn = format!("{python}; os.posix_spawn(*words, os.environ); os.wait()");
        let ways: [&[&str]; 31] = [
            &[server, "PORT"],
            &["/run/bin/by-env", "PORT"],
            &["perl", server, "PORT"],
            &["env", server, "PORT"],
            &["env", "-u", "LANG", "A=b", server, "PORT"],
            &["nohup", server, "PORT"],
            &["nice", "-n", "5", server, "PORT"],
            &["timeout", "600", server, "PORT"],
            &["stdbuf", "-oL", server, "PORT"],
            &["setsid", "-w", server, "PORT"],
            &["setsid", "-f", server, "PORT"],
            &["/run/bin/wrapper", server, "PORT"],
            &["/run/bin/wrapper", "/run/bin/wrapper", "/run/bin/wrapper", server, "PORT"],
            &["sh", "-c", "exec /run/bin/answers PORT"],
            &["sh", "-c", "/run/bin/answers PORT"],
            &["sh", "-c", "/run/bin/answers PORT; exit $?"],
            &["sh", "-c", "/run/bin/answers PORT & wait"],
            &["sh", "-c", "(/run/bin/answers PORT &)"],
            &["sh", "-c", "(sh -c '(/run/bin/answers PORT &) & wait' &)"],
            &["sh", "-c", "/run/bin/answers PORT | cat"],
            &["sh", "-c", "echo PORT | xargs /run/bin/answers"],
            &["sh", "-c", "echo PORT | xargs -P2 -n1 setsid -w nice /run/bin/answers"],
            &["sh", "-c", "exec env A=b sh -c 'exec env perl /run/bin/answers PORT'"],
            &["sh", "-c", "exec env python3 -c 'import os; os.execv(\"/run/bin/answers\", [\"answers\", \"PORT\"])'"],
            &["find", "/run/bin/answers", "-exec", "{}", "PORT", ";"],
            &["perl", "-e", "exec @ARGV", server, "PORT"],
            &["perl", "-e", "exit system @ARGV", server, "PORT"],
            &["python3", "-c", "import os; os.system('/run/bin/answers PORT')"],
            &["python3", "-c", &fork, server, "PORT"],
            &["python3", "-c", &spawn, server, "PORT"],
            &["node", "/run/bin/spawn.js", server, "PORT"],
        ];
        for (port, words) in (100..).zip(ways) {
            let _running = serves(world, words, port, &["127.0.0.1"], " uid 4001");
            let answering = answering_process(&get("127.0.0.1", port));
            assert!(holders("tcp", port).contains(&answering));
            is_refused(world, words);
        }
    }
}

const PYTHON_UDP: &str = "\
import socket, sys
server = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], int(sys.argv[2])))
while True:
    question, client = server.recvfrom(4096)
    server.sendto(b'answer to ' + question, client)
";

const PYTHON_UDP_ASYNCIO: &str = "\
import asyncio, sys
class Answer(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, question, client): self.transport.sendto(b'answer to ' + question, client)
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Answer, (sys.argv[1], int(sys.argv[2])))
    await asyncio.Event().wait()
asyncio.run(main())
";

const NODE_UDP: &str = "\
const [address, port] = process.argv.slice(2);
const server = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
server.on('message', (question, client) => server.send(`answer to ${question}`, client.port, client.address));
server.bind(Number(port), address);
";

world_test! {
    /// Servers of datagrams answer on port 53 where that is granted for UDP alone; TCP and other ports are refused.
    fn datagram_servers_answer_on_53(world) {
        world.grant("byport/53,udp", "alice");
        for (name, text) in [("udp.py", PYTHON_UDP), ("aio.py", PYTHON_UDP_ASYNCIO), ("udp.js", NODE_UDP)] {
            let script = world.script(name, text);
            let interpreter = if name.ends_with("js") { "node" } else { "python3" };
            for address in ["127.0.0.1", "::1"] {
                let words = [interpreter, script.to_str().unwrap(), address, "PORT"];
                let server = world.command("alice", under_rauthbind(&words, 53)).start();
                assert_eq!(alices_holders("udp", 53), [server.pid]);
                for question in ["one", "two"] {
                    assert_eq!(ask_by_datagram(address, 53, question), format!("answer to {question}"));
                }
                server.kill(Signal::SIGKILL);
                server.exited();
                assert!(!is_refused(world, &words).status.success());
            }
        }
        let tcp = world.command("alice", under_rauthbind(&["python3", "-m", "http.server", "PORT"], 53)).run();
        assert!(tcp.stderr.contains("Permission denied"), "{}", tcp.stderr);
    }
}

world_test! {
    /// One server speaks UDP and TCP on port 53, as DNS servers do.
    fn both_protocols_share_a_port(world) {
        world.grant("byport/53", "alice");
        let udp = world.script("udp.py", PYTHON_UDP);
        let script = format!("python3 {} 127.0.0.1 PORT & python3 -m http.server PORT; wait", udp.display());
        let _server = world.command("alice", under_rauthbind(&["sh", "-c", &script], 53)).start();
        alices_holders("udp", 53);
        alices_holders("tcp", 53);
        assert_eq!(ask_by_datagram("127.0.0.1", 53, "both"), "answer to both");
        assert!(get("127.0.0.1", 53).starts_with("HTTP/1.0 200 "));
    }
}

/// What `ways` says of a bind.
#[track_caller]
fn ways(world: &World, words: &[&str]) -> String {
    let done = world.command("alice", words.iter().copied()).run().successful();
    assert_eq!(done.stderr, "", "{words:?}");
    done.stdout.trim_end().to_owned()
}

world_test! {
    /// Programs that the shim cannot reach run as without it: refused, and nothing else goes wrong; but one that is the
    /// command itself, which is supervised.
    fn what_the_shim_cannot_reach_is_refused_and_runs_on(world) {
        world.byuid("4001", "127.0.0.1,1-511\n");
        world.byuid("!4001", "127.0.0.1,512-1023\n");
        let source = include_str!("real_programs/ways.c");
        let dynamic = world.compile_c("ways", source);
        let fixed = world.compile_c_with(&["-static", "-DSTATIC"], "ways-static", source);
        let plugin = world.compile_c_with(&["-shared", "-fPIC"], "plugin.so", include_str!("real_programs/plugin.c"));
        let [dynamic, fixed, plugin] = [&dynamic, &fixed, &plugin].map(|path| path.to_str().unwrap());
        let both = format!("{fixed} libc 80; exec {dynamic} libc 80");
        let covered = "bound as 4001/4001:4001/4001 covered";
        let unreached = "EACCES as 4001/4001:4001/4001 covered";
        let uncovered = "EACCES as 4001/4001:4001/4001 uncovered";
        for (words, answer) in [
            (&["rauthbind", dynamic, "libc", "80"][..], covered),
            (&[dynamic, "libc", "80"], uncovered),
            (&["rauthbind", dynamic, "syscall", "80"], unreached),
            (&["rauthbind", dynamic, plugin, "80"], unreached),
            (&["rauthbind", dynamic, "bindresvport", "600"], unreached),
            (&["rauthbind", dynamic, "libc", "600"], covered),
            (&["rauthbind", fixed, "libc", "80"], "bound as 4001/4001:4001/4001 uncovered"),
            (&["rauthbind", "sh", "-c", &both], &format!("{uncovered}\n{covered}")),
            (&["rauthbind", "env", "-i", dynamic, "libc", "80"], uncovered),
            (&["rauthbind", "env", "-u", "LD_PRELOAD", dynamic, "libc", "80"], uncovered),
            (&["rauthbind", "env", "-u", "RAUTHBIND_CHANNEL", dynamic, "libc", "80"], covered),
        ] {
            assert_eq!(ways(world, words), answer, "{words:?}");
        }
    }
}

world_test! {
    /// Setuid and setgid children are not covered: what they may do is between them and the kernel.
    fn setuid_children_are_left_alone(world) {
        world.byuid("4001", "127.0.0.1,80\n");
        world.byuid("4002", "127.0.0.1,80\n");
        let program = world.compile_c("ways", include_str!("real_programs/ways.c"));
        for (owner, group, mode, answer) in [
            (0, 0, 0o0755, "bound as 4001/4001:4001/4001 covered"),
            (0, 0, 0o4755, "bound as 4001/0:4001/4001 uncovered"),
            (4002, 4002, 0o4755, "EACCES as 4001/4002:4001/4001 uncovered"),
            (4002, 4002, 0o2755, "EACCES as 4001/4001:4001/4002 uncovered"),
            (4001, 4001, 0o6755, "bound as 4001/4001:4001/4001 covered"),
        ] {
            let path = program.to_str().unwrap();
            chown(path, Some(owner), Some(group)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(ways(world, &["rauthbind", path, "libc", "80"]), answer, "mode {mode:04o}");
            assert_eq!(ways(world, &["rauthbind", "sh", "-c", &format!("{path} libc 80; :")]), answer, "as a child");
        }
    }
}

const PYTHON_CHILDREN: &str = "\
import os, subprocess, sys
way, program = sys.argv[1], sys.argv[2:]
channel = int(os.environ['RAUTHBIND_CHANNEL'].split(':')[1])
if way == 'default': status = subprocess.call(program)
elif way == 'unclosed': status = subprocess.call(program, close_fds=False)
elif way == 'passed': status = subprocess.call(program, pass_fds=[channel])
elif way == 'shell': status = subprocess.call(' '.join(program), shell=True)
elif way == 'others passed': status = subprocess.call(program, pass_fds=[0])
elif way == 'system': status = os.system(' '.join(program))
elif way == 'closed': os.close(channel); status = subprocess.call(program, close_fds=False)
elif way == 'all closed': os.closerange(3, 4096); os.execv(program[0], program)
elif way == 'closed and used': os.dup2(1, channel, True); os.execv(program[0], program)
sys.exit(status)
";

world_test! {
    /// Programs without the channel are covered like all others: children of Python, which closes what it does not know,
    /// and programs that close everything, or use the channel's number for something else.
    fn programs_that_close_the_channel_are_covered(world) {
        world.byuid("4001", "127.0.0.1,80\n");
        let program = world.compile_c("ways", include_str!("real_programs/ways.c"));
        let script = world.script("children.py", PYTHON_CHILDREN);
        let [script, program] = [&script, &program].map(|path| path.to_str().unwrap());
        for way in [
            "default",
            "shell",
            "others passed",
            "closed",
            "all closed",
            "closed and used",
            "unclosed",
            "passed",
            "system",
        ] {
            for (port, outcome) in [("80", "bound"), ("81", "EACCES")] {
                let words = ["rauthbind", "python3", script, way, program, "libc", port];
                assert_eq!(ways(world, &words), format!("{outcome} as 4001/4001:4001/4001 covered"), "{way}");
            }
        }
    }
}
