//! What Node.js, Python and Java do on their own: clusters, workers, children, reloads, two address families at once. On
//! port 80 they answer as alice, who was granted it; on others they are refused.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use rauthbind_tests::proof::{alices_holders, answering_process, get, is_alices, says_denied};
use rauthbind_tests::{Running, Signal, Stranger, World, ask_by_datagram, holders, wait_until, world_test};

/// A port that nobody is granted.
const REFUSED: &str = "99";

/// Starts this command as alice. What runtimes keep in files for a while is not to come into the machine's /tmp.
#[track_caller]
fn start_alone(world: &World, words: &[&str]) -> Running {
    world.command("alice", words.iter().copied()).env("TMPDIR", "/run/tmp").start()
}

/// Starts this command as alice, under rauthbind.
#[track_caller]
fn start(world: &World, words: &[&str]) -> Running {
    start_alone(world, &[&["rauthbind"], words].concat())
}

/// Sees that this command, whose last word is a port, is refused without rauthbind, and under it where the port is
/// another one.
#[track_caller]
fn needs_the_grant(world: &World, words: &[&str]) {
    let (_port, before) = words.split_last().unwrap();
    says_denied(&start_alone(world, words).wait());
    says_denied(&start(world, &[before, &[REFUSED]].concat()).wait());
}

/// The processes that answer on a port of 127.0.0.1: each is stopped when it has answered, so that the next one has to.
#[track_caller]
fn answering_processes(port: u16, count: usize) -> BTreeSet<Pid> {
    let stopped = (0..count).map(|_| {
        let pid = answering_process(&get("127.0.0.1", port));
        is_alices(pid);
        Stranger::of(pid).stop();
        pid
    });
    let stopped: BTreeSet<_> = stopped.collect();
    stopped.iter().for_each(|pid| kill(*pid, Signal::SIGCONT).unwrap());
    assert_eq!(stopped.len(), count);
    stopped
}

/// Ends a server, and waits until its workers have let go of its port, too.
#[track_caller]
fn end(server: &Running, port: u16) {
    server.kill(Signal::SIGTERM);
    server.exited();
    wait_until("the port to be free", || holders("tcp", port).is_empty());
}

/// Sees that a child of this server answers on port 80, not the server itself; and ends both.
#[track_caller]
fn child_answers(server: &Running) {
    server.wait_listening(80);
    let child = answering_process(&get("127.0.0.1", 80));
    assert_ne!(child, server.pid);
    assert_eq!(alices_holders("tcp", 80), [child]);
    let child = Stranger::of(child);
    child.kill(Signal::SIGTERM);
    child.wait();
    server.exited();
}

world_test! {
    /// A cluster of Node.js answers with every worker: where the primary accepts for them, where it hands its socket on,
    /// and where each worker binds for itself.
    fn node_clusters_answer_with_every_worker(world) {
        world.grant("byport/80", "alice");
        let script = world.script("cluster.js", include_str!("runtimes/cluster.js"));
        let both_listen = |server: &Running| [1, 2].map(|worker| server.stdout_line(&format!("worker {worker} listens")));
        let script = script.to_str().unwrap();
        for how in ["rr", "none"] {
            let server = start(world, &["node", script, how, "80"]);
            both_listen(&server);
            assert!(!answering_processes(80, 2).contains(&server.pid), "{how}");
            end(&server, 80);
            needs_the_grant(world, &["node", script, how, "80"]);
        }
        let server = start(world, &["node", script, "exclusive", "80"]);
        both_listen(&server);
        let workers = ["127.0.0.1", "127.0.0.2"].map(|address| answering_process(&get(address, 80)));
        assert_eq!(alices_holders("tcp", 80).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(workers));
        assert!(workers[0] != workers[1] && !workers.contains(&server.pid));
        end(&server, 80);
        needs_the_grant(world, &["node", script, "exclusive", "80"]);
    }
}

world_test! {
    /// Children of Node.js are servers of their own, however they are started.
    fn children_of_node_answer(world) {
        world.grant("byport/80", "alice");
        let script = world.script("family.js", include_str!("runtimes/family.js"));
        for how in ["fork", "spawn", "detached"] {
            let words = ["node", script.to_str().unwrap(), how, "80"];
            child_answers(&start(world, &words));
            needs_the_grant(world, &words);
        }
    }
}

world_test! {
    /// So are programs that Node.js runs and waits for, with a shell and without.
    fn what_node_waits_for_is_covered(world) {
        world.grant("byport/80", "alice");
        let program = world.compile_c("ways", include_str!("real_programs/ways.c"));
        let script = "\
            const {execFileSync, execSync} = require('child_process');
            const [, , how, ...program] = process.argv;
            const [file, ...rest] = program;
            process.stdout.write(how === 'exec' ? execSync(program.join(' ')) : execFileSync(file, rest));
            ";
        let script = world.script("waits.js", script);
        let [script, program] = [&script, &program].map(|path| path.to_str().unwrap());
        for how in ["exec", "execFile"] {
            for (port, outcome) in [("80", "bound"), (REFUSED, "EACCES")] {
                let done = start(world, &["node", script, how, program, "libc", port]).wait().successful();
                assert_eq!(done.stdout, format!("{outcome} as 4001/4001:4001/4001 covered\n"), "{how}");
            }
        }
    }
}

world_test! {
    /// Children of Python's multiprocessing and subprocess answer, most of which have lost the channel.
    fn children_of_python_answer(world) {
        world.grant("byport/80", "alice");
        let script = world.script("family.py", include_str!("runtimes/family.py"));
        for how in ["fork", "spawn", "forkserver", "subprocess", "shell"] {
            let words = ["python3", script.to_str().unwrap(), how, "80"];
            child_answers(&start(world, &words));
            needs_the_grant(world, &words);
        }
    }
}

/// A command of gunicorn's with two workers that serves alice's application, as its settings say.
fn gunicorn<'a>(class: &'a str, application: &'a str, settings: &str) -> [&'a str; 8] {
    for (name, text) in [("wsgi.py", include_str!("runtimes/wsgi.py")), ("asgi.py", include_str!("runtimes/asgi.py"))] {
        fs::write(format!("/run/home/alice/{name}"), text).unwrap();
    }
    fs::write("/run/home/alice/settings.py", settings).unwrap();
    ["gunicorn", "--config", "settings.py", "--workers", "2", "--worker-class", class, application]
}

world_test! {
    /// gunicorn answers with every worker, of three kinds, over IPv4 and IPv6.
    fn gunicorn_answers_with_every_worker(world) {
        world.grant("byport/80", "alice");
        for (class, application) in
            [("sync", "wsgi:app"), ("gthread", "wsgi:app"), ("uvicorn.workers.UvicornWorker", "asgi:app")]
        {
            let words = gunicorn(class, application, "bind = '[::]:80'");
            let server = start(world, &words);
            server.wait_listening(80);
            let workers = answering_processes(80, 2);
            assert!(!workers.contains(&server.pid), "{class}");
            let _ = answering_process(&get("::1", 80));
            let all: BTreeSet<_> = workers.into_iter().chain([server.pid]).collect();
            assert_eq!(alices_holders("tcp", 80).into_iter().collect::<BTreeSet<_>>(), all);
            end(&server, 80);
        }
    }
}

world_test! {
    /// gunicorn is refused before alice is granted the port. A reload by SIGHUP gives it new workers; and another port
    /// where its settings now say so.
    fn gunicorn_reloads(world) {
        let words = gunicorn("sync", "wsgi:app", "bind = '127.0.0.1:80'");
        let refused = start(world, &words);
        let _ = refused.stderr_line("Retrying in 1 second.");
        assert_eq!(holders("tcp", 80), []);
        // It may have given up by now.
        let _ = kill(refused.pid, Signal::SIGKILL);
        refused.exited();
        world.grant("byport/80", "alice");
        let server = start(world, &words);
        server.wait_listening(80);
        let old = answering_processes(80, 2);
        server.kill(Signal::SIGHUP);
        wait_until("the old workers to end", || old.iter().all(|pid| kill(*pid, None).is_err()));
        assert!(answering_processes(80, 2).is_disjoint(&old));
        world.grant("byport/443", "alice");
        fs::write("/run/home/alice/settings.py", "bind = '127.0.0.1:443'").unwrap();
        server.kill(Signal::SIGHUP);
        wait_until("the old port to be free", || holders("tcp", 80).is_empty());
        assert_eq!(answering_processes(443, 2).len(), 2);
    }
}

world_test! {
    /// uvicorn, whose workers are started by multiprocessing, answers on port 443 with both.
    fn uvicorn_answers_with_every_worker(world) {
        world.grant("byport/443,tcp", "alice");
        fs::write("/run/home/alice/asgi.py", include_str!("runtimes/asgi.py")).unwrap();
        let words = ["uvicorn", "--workers", "2", "--host", "127.0.0.1", "asgi:app", "--port", "443"];
        let server = start(world, &words);
        server.wait_listening(443);
        assert!(!answering_processes(443, 2).contains(&server.pid));
        end(&server, 443);
        needs_the_grant(world, &words);
    }
}

/// A small Java that is quick to start, and keeps no statistics in the machine's /tmp; for its children as well.
const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS=-Xshare:auto -XX:TieredStopAtLevel=1 -Xmx64m -XX:-UsePerfData";

/// Compiles Serve.java; gives the words that run it on port 80 in this way.
fn java<'a>(world: &World, how: &'a str) -> [&'a str; 8] {
    fs::write("/run/tmp/Serve.java", include_str!("runtimes/Serve.java")).unwrap();
    let compile = ["env", JAVA_OPTIONS, "javac", "-d", "/run/bin", "/run/tmp/Serve.java"];
    let _ = world.command("root", compile).run().successful();
    ["env", JAVA_OPTIONS, "java", "-cp", "/run/bin", "Serve", how, "80"]
}

world_test! {
    /// Java listens to IPv4 and IPv6 with one socket, as it does by default: for TCP and for UDP.
    fn java_answers_over_both_families(world) {
        world.grant("byport/80", "alice");
        let words = java(world, "channel");
        let server = start(world, &words);
        server.wait_listening(80);
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(answering_process(&get(address, 80)), server.pid);
            assert_eq!(ask_by_datagram(address, 80, "echo"), "echo");
        }
        for protocol in ["tcp", "udp"] {
            assert_eq!(alices_holders(protocol, 80), [server.pid]);
            let wildcard = fs::read_to_string(format!("/proc/net/{protocol}6")).unwrap();
            assert!(wildcard.contains("00000000000000000000000000000000:0050"), "{wildcard}");
        }
        end(&server, 80);
        needs_the_grant(world, &words);
    }
}

world_test! {
    /// A child of Java's answers, though Java closes every descriptor in it before it becomes a program.
    fn a_child_of_java_answers(world) {
        world.grant("byport/80", "alice");
        let words = java(world, "child");
        child_answers(&start(world, &words));
        needs_the_grant(world, &words);
    }
}
