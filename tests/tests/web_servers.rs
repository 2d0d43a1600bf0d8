//! Debian's web servers as an ordinary user's, configured as that user would configure them: on port 80, in the
//! foreground and as daemons, through reloads that add a port and through the upgrade of a running server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::world::Command;
use rauthbind_tests::{Signal, Stranger, World, holders, wait_until, world_test};

// What all the configurations say: where the server's page, process id and log are.
const HOME: &str = "/run/home/alice";
const CONFIGURATION: &str = "/run/home/alice/server.conf";
const PID_FILE: &str = "/run/home/alice/server.pid";
const LOG: &str = "/run/home/alice/server.log";
const HAPROXY_MASTER: &str = "/run/home/alice/master.sock";
const PAGE: &str = "alice's page";

const NGINX: &str = include_str!("web_servers/nginx.conf");
const APACHE: &str = include_str!("web_servers/apache.conf");
const H2O: &str = include_str!("web_servers/h2o.conf");
const HAPROXY: &str = include_str!("web_servers/haproxy.conf");
const LIGHTTPD: &str = include_str!("web_servers/lighttpd.conf");

/// nginx runs its own file again for an upgrade, and does not look for it in PATH.
const RUN_NGINX: [&str; 3] = ["/usr/sbin/nginx", "-c", CONFIGURATION];
const RUN_APACHE: [&str; 5] = ["apache2", "-d", HOME, "-f", CONFIGURATION];
const RUN_H2O: [&str; 4] = ["h2o", "-c", CONFIGURATION, "-m"];
const RUN_HAPROXY: [&str; 6] = ["haproxy", "-W", "-f", CONFIGURATION, "-S", HAPROXY_MASTER];
const RUN_LIGHTTPD: [&str; 3] = ["lighttpd", "-f", CONFIGURATION];

/// Lays out alice's page, and her server's configuration: each paragraph that says `PORT` is there once for every port.
fn configure(configuration: &str, ports: &[u16]) {
    let site = Path::new(HOME).join("site");
    fs::create_dir_all(&site).unwrap();
    fs::write(site.join("index.html"), PAGE).unwrap();
    let paragraphs = configuration.split("\n\n").flat_map(|paragraph| {
        let of_ports = ports.iter().map(|port| paragraph.replace("PORT", &port.to_string()));
        if paragraph.contains("PORT") { of_ports.collect() } else { vec![paragraph.to_owned()] }
    });
    fs::write(CONFIGURATION, paragraphs.collect::<Vec<_>>().join("\n")).unwrap();
}

/// Grants alice these ports and configures her server for port 80.
fn prepare(world: &World, configuration: &str, granted: &[u16]) {
    granted.iter().for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
    configure(configuration, &[80]);
}

fn under_rauthbind<'w>(world: &'w World, words: &[&str], more: &[&str]) -> Command<'w> {
    world.command("alice", [&["rauthbind"], words, more].concat())
}

/// What the server says is its process id.
fn pid_in_file() -> Option<Pid> {
    fs::read_to_string(PID_FILE).ok()?.trim_end().parse().ok().map(Pid::from_raw)
}

/// Starts a server that stays in the foreground, and sees that it serves port 80.
#[track_caller]
fn in_the_foreground(world: &World, words: &[&str], more: &[&str]) -> Stranger {
    let running = under_rauthbind(world, words, more).start();
    running.wait_listening(80);
    serves(&[80]);
    wait_until("the server's process id", || pid_in_file() == Some(running.pid));
    Stranger::of(running.pid)
}

/// Starts a server that goes into the background, without keeping its caller's output open, and sees that it serves
/// port 80.
#[track_caller]
fn as_a_daemon(world: &World, words: &[&str], more: &[&str]) -> Stranger {
    let _ = under_rauthbind(world, words, more).run().successful();
    serves(&[80]);
    wait_until("the server's process id", || pid_in_file().is_some());
    Stranger::of(pid_in_file().unwrap())
}

/// Sees that alice's server, and nobody else's, answers on these ports over IPv4 and IPv6.
#[track_caller]
fn serves(ports: &[u16]) {
    for port in ports {
        for address in ["127.0.0.1", "::1"] {
            let answer = get(address, *port);
            let is_page = answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n") && answer.ends_with(PAGE);
            assert!(is_page, "{address} port {port} says {answer}");
        }
        alices_holders("tcp", *port);
    }
}

/// The processes that hold port 80, all of which are alice's, besides this one; as soon as there are so many.
#[track_caller]
fn workers(master: &Stranger, count: usize) -> Vec<Stranger> {
    let mut found = Vec::new();
    wait_until(&format!("{count} workers"), || {
        found = alices_holders("tcp", 80).into_iter().filter(|pid| *pid != master.pid).collect();
        found.len() == count
    });
    found.into_iter().map(Stranger::of).collect()
}

/// Has a server read its configuration again, which names these ports now, when alice may not bind port 80 any more:
/// other workers take the place of the old ones, which had the socket of port 80, and all the ports are served.
#[track_caller]
fn reloads(world: &World, master: &Stranger, count: usize, configuration: &str, ports: &[u16], reload: impl FnOnce()) {
    let old = workers(master, count);
    world.remove_rule("byport/80");
    configure(configuration, ports);
    reload();
    old.iter().for_each(Stranger::wait);
    workers(master, count);
    serves(ports);
}

world_test! {
    /// nginx in the foreground adds a port when it is told to reload.
    fn nginx_in_the_foreground_reloads(world) {
        prepare(world, NGINX, &[80, 443]);
        let master = in_the_foreground(world, &RUN_NGINX, &["-g", "daemon off;"]);
        reloads(world, &master, 2, NGINX, &[80, 443], || master.kill(Signal::SIGHUP));
    }
}

/// Has nginx read its configuration again, which names one more port that it is refused: what was served before goes on.
#[track_caller]
fn nginx_is_refused(master: &Stranger, configuration: &str, served: &[u16], refused: u16) {
    configure(configuration, &[served, &[refused]].concat());
    master.kill(Signal::SIGHUP);
    let refusal = format!("bind() to 0.0.0.0:{refused} failed (13: Permission denied)");
    wait_until("the refusal", || fs::read_to_string(LOG).unwrap().contains(&refusal));
    assert_eq!(holders("tcp", refused), []);
    serves(served);
}

world_test! {
    /// nginx as a daemon adds a port when it is told to reload. A port that is not granted is refused then.
    fn nginx_as_a_daemon_reloads(world) {
        prepare(world, NGINX, &[80, 443]);
        let master = as_a_daemon(world, &RUN_NGINX, &[]);
        reloads(world, &master, 2, NGINX, &[80, 443], || master.kill(Signal::SIGHUP));
        nginx_is_refused(&master, NGINX, &[80, 443], 444);
    }
}

/// Has a running nginx replaced by a new one that takes over its sockets.
#[track_caller]
fn upgrade_nginx(old: &Stranger) -> Stranger {
    let old_workers = workers(old, 2);
    old.kill(Signal::SIGUSR2);
    wait_until("another process id", || pid_in_file().is_some_and(|pid| pid != old.pid));
    let new = Stranger::of(pid_in_file().unwrap());
    // The old master, its two workers and the two of the new master.
    let _ = workers(&new, 5);
    old.kill(Signal::SIGQUIT);
    old_workers.iter().chain([old]).for_each(Stranger::wait);
    serves(&[80]);
    new
}

world_test! {
    /// nginx can be upgraded while it runs, more than once: the new one has the old one's sockets, and binds what is
    /// granted.
    fn nginx_can_be_upgraded(world) {
        prepare(world, NGINX, &[80, 443]);
        let old = as_a_daemon(world, &RUN_NGINX, &[]);
        let new = upgrade_nginx(&upgrade_nginx(&old));
        reloads(world, &new, 2, NGINX, &[80, 443], || new.kill(Signal::SIGHUP));
    }
}

world_test! {
    /// Of the variables that nginx is told to keep, the new one can do without the channel's. Without the other it has
    /// the old one's sockets still, and binds no more.
    fn an_upgraded_nginx_needs_the_preload(world) {
        for (line, is_needed) in [("env RAUTHBIND_CHANNEL;\n", false), ("env LD_PRELOAD;\n", true)] {
            assert!(NGINX.contains(line));
            let without = NGINX.replace(line, "");
            prepare(world, &without, &[80, 443]);
            let new = upgrade_nginx(&as_a_daemon(world, &RUN_NGINX, &[]));
            if is_needed {
                nginx_is_refused(&new, &without, &[80], 443);
            } else {
                reloads(world, &new, 2, &without, &[80, 443], || new.kill(Signal::SIGHUP));
            }
            new.kill(Signal::SIGTERM);
            new.wait();
        }
    }
}

world_test! {
    /// apache2 adds a port in a graceful restart, in the foreground and as a daemon.
    fn apache_restarts_gracefully(world) {
        for daemon in [false, true] {
            prepare(world, APACHE, &[80, 443]);
            let master = if daemon {
                as_a_daemon(world, &RUN_APACHE, &["-k", "start"])
            } else {
                in_the_foreground(world, &RUN_APACHE, &["-D", "FOREGROUND"])
            };
            // The command that only sends the signal needs no rauthbind.
            let tell = |what| {
                let words = [&RUN_APACHE[..], &["-k", what]].concat();
                let _ = world.command("alice", words).run().successful();
            };
            reloads(world, &master, 2, APACHE, &[80, 443], || tell("graceful"));
            tell("stop");
            master.wait();
        }
    }
}

world_test! {
    /// h2o without a master serves.
    fn h2o_serves_alone(world) {
        prepare(world, H2O, &[80]);
        let server = in_the_foreground(world, &RUN_H2O, &["worker"]);
        assert_eq!(holders("tcp", 80), [server.pid]);
    }
}

world_test! {
    /// h2o below its master, which binds for it, is replaced by another when the master is told to reload.
    fn h2o_below_its_master_reloads(world) {
        prepare(world, H2O, &[80]);
        let master = in_the_foreground(world, &RUN_H2O, &["master"]);
        reloads(world, &master, 1, H2O, &[80], || master.kill(Signal::SIGHUP));
    }
}

world_test! {
    /// The same where its master is a daemon.
    fn h2o_below_a_daemon_reloads(world) {
        prepare(world, H2O, &[80]);
        let master = as_a_daemon(world, &RUN_H2O, &["daemon"]);
        reloads(world, &master, 1, H2O, &[80], || master.kill(Signal::SIGHUP));
    }
}

world_test! {
    /// start_server binds for any server that takes sockets from it, and replaces that server by another when told to.
    fn start_server_binds_for_others(world) {
        let server = world.script("started.pl", include_str!("web_servers/started.pl"));
        prepare(world, "", &[80]);
        let words = ["start_server", "--pid-file", PID_FILE, "--port", "80", "--port", "[::]:80", "--"];
        let master = in_the_foreground(world, &words, &[server.to_str().unwrap()]);
        reloads(world, &master, 1, "", &[80], || master.kill(Signal::SIGHUP));
    }
}

/// Has haproxy's master reload, once it answers: it throws away a signal that comes before, though its worker serves.
#[track_caller]
fn reload_haproxy(world: &World, master: &Stranger) {
    let mut connection = None;
    wait_until("haproxy's master", || {
        connection = UnixStream::connect(HAPROXY_MASTER).ok();
        connection.is_some()
    });
    let mut to_master = connection.unwrap();
    to_master.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    to_master.write_all(b"show proc\n").unwrap();
    to_master.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    to_master.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(&format!("\n{} ", master.pid)), "the master says {answer}");
    reloads(world, master, 1, HAPROXY, &[80, 443], || master.kill(Signal::SIGUSR2));
}

world_test! {
    /// haproxy's master, in the foreground, adds a frontend on another port when it is told to reload.
    fn haproxy_in_the_foreground_reloads(world) {
        prepare(world, HAPROXY, &[80, 443]);
        reload_haproxy(world, &in_the_foreground(world, &RUN_HAPROXY, &[]));
    }
}

world_test! {
    /// The same where haproxy's master is a daemon.
    fn haproxy_as_a_daemon_reloads(world) {
        prepare(world, HAPROXY, &[80, 443]);
        reload_haproxy(world, &as_a_daemon(world, &RUN_HAPROXY, &["-D"]));
    }
}

world_test! {
    /// lighttpd, of one process, adds a port in a graceful restart, in the foreground and as a daemon.
    fn lighttpd_restarts_gracefully(world) {
        for daemon in [false, true] {
            prepare(world, LIGHTTPD, &[80, 443]);
            let server = if daemon {
                as_a_daemon(world, &RUN_LIGHTTPD, &[])
            } else {
                in_the_foreground(world, &RUN_LIGHTTPD, &["-D"])
            };
            reloads(world, &server, 0, LIGHTTPD, &[80, 443], || server.kill(Signal::SIGUSR1));
            server.kill(Signal::SIGTERM);
            server.wait();
        }
    }
}

world_test! {
    /// Every one of them is refused where alice has rauthbind and no grant, and where she has the grant and no
    /// rauthbind; says so, and does not run.
    fn without_grant_or_rauthbind_they_are_refused(world) {
        let servers = [
            (NGINX, &RUN_NGINX[..], &["-g", "daemon off;"][..]),
            (APACHE, &RUN_APACHE, &["-D", "FOREGROUND"]),
            (H2O, &RUN_H2O, &["worker"]),
            (H2O, &RUN_H2O, &["master"]),
            (HAPROXY, &RUN_HAPROXY, &[]),
            (LIGHTTPD, &RUN_LIGHTTPD, &["-D"]),
        ];
        let is_refused = |command: Command<'_>| {
            // Some say it in their log.
            let _ = fs::remove_file(LOG);
            let line = command.as_typed();
            let done = command.run();
            let said = done.stdout + &done.stderr + &fs::read_to_string(LOG).unwrap_or_default();
            assert!(!done.status.success() && said.contains("Permission denied"), "{line}: {said}");
            assert_eq!(holders("tcp", 80), []);
        };
        for (configuration, words, more) in servers {
            configure(configuration, &[80]);
            is_refused(under_rauthbind(world, words, more));
        }
        for (configuration, words, more) in servers {
            prepare(world, configuration, &[80]);
            is_refused(world.command("alice", [words, more].concat()));
        }
    }
}
