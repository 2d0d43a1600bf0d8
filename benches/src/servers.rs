//! Requests per second of servers once they are bound.

use std::fs;
use std::path::PathBuf;

use nix::unistd::Pid;
use rauthbind_tests::{Running, Signal, World};

use crate::measure::{Case, Table};
use crate::ways::{AUTHBIND, RAUTHBIND, ROOT, SUPERVISE, USER, Way, Ways};

/// nginx, one worker.
pub const NGINX: &str = "Requests to nginx";
/// One process of node.
pub const NODE: &str = "Requests to node";
/// The same server on a port of its own, and the kernel sends on what comes for port 80.
const REDIRECT: &str = "port 8080, redirected by nft";
/// The same server on a port of its own, and another has port 80.
const PROXY: &str = "port 8080, behind nginx as a proxy";

/// A server that answers a few bytes, whatever is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    program: &'static str,
    argument: &'static str,
    /// Its text, with PORT to be filled in.
    file: &'static str,
}

/// The one that the memory beside it is measured of, too.
pub(crate) const NGINX_SERVER: Server =
    Server { program: "nginx", argument: "-c", file: include_str!("../programs/nginx.conf") };

const SERVERS: [(&str, Server); 2] = [
    (NGINX, NGINX_SERVER),
    (NODE, Server { program: "node", argument: "--", file: include_str!("../programs/node.js") }),
];

/// Alice's and root's alike, so that one may have port 80 and the other 8080.
const PROXY_SERVER: Server = Server { program: "nginx", argument: "-c", file: include_str!("../programs/proxy.conf") };

const REDIRECTION: &str = "
add table ip benchmark
add chain ip benchmark output { type nat hook output priority -100; }
add rule ip benchmark output tcp dport 80 redirect to :8080
";

/// The tables of this module.
#[must_use]
pub fn tables<'w>(ways: &Ways<'w>) -> Vec<Table<'w>> {
    let about = "By wrk(1) over 32 connections that stay open, for each second of the server's processor time, the \
                 proxy's included: what it serves with a processor of its own, whatever else the machine does.";
    let table = |(title, server)| {
        let cases = [ROOT, RAUTHBIND, SUPERVISE, AUTHBIND].map(|way| direct(ways, way, server));
        let cases = cases.into_iter().chain([redirected(ways, server), proxied(ways, server)]);
        Table { title, unit: "requests/s", about, is_more_better: true, cases: cases.collect() }
    };
    SERVERS.map(table).into()
}

/// On port 80, by a way to get that.
fn direct<'w>(ways: &Ways<'w>, name: &'static str, server: Server) -> Case<'w> {
    let (world, way) = (ways.world, ways.way(name));
    Case::new(name, move || {
        let running = server.start(world, &way, 80);
        let rate = requests_per_second(world, &[&running]);
        stop(running);
        rate
    })
}

fn redirected<'w>(ways: &Ways<'w>, server: Server) -> Case<'w> {
    let (world, way) = (ways.world, ways.way(USER));
    Case::new(REDIRECT, move || {
        let running = server.start(world, &way, 8080);
        let nft = |what: &str| world.command("root", ["nft", what]).run().successful();
        let _ = nft(REDIRECTION);
        let rate = requests_per_second(world, &[&running]);
        let _ = nft("delete table ip benchmark");
        stop(running);
        rate
    })
}

fn proxied<'w>(ways: &Ways<'w>, server: Server) -> Case<'w> {
    let (world, way, root) = (ways.world, ways.way(USER), ways.way(ROOT));
    Case::new(PROXY, move || {
        let running = server.start(world, &way, 8080);
        let proxy = PROXY_SERVER.start(world, &root, 80);
        let rate = requests_per_second(world, &[&proxy, &running]);
        stop(proxy);
        stop(running);
        rate
    })
}

impl Server {
    /// Starts it on the first processor, and waits until it listens.
    pub(crate) fn start(self, world: &World, way: &Way, port: u16) -> Running {
        let path = format!("/run/tmp/{}-{port}.txt", self.program);
        fs::write(&path, self.file.replace("PORT", &port.to_string())).expect("the sandbox's own directory");
        let words = "taskset -c 0".split(' ').chain(way.before.split_whitespace());
        let running = world.command(way.user, words.chain([self.program, self.argument, &path])).start();
        running.wait_listening(port);
        running
    }
}

pub(crate) fn stop(running: Running) {
    running.kill(Signal::SIGTERM);
    let _ = running.wait();
}

fn requests_per_second(world: &World, servers: &[&Running]) -> f64 {
    // node compiles what is run often.
    let _warm_up = requests(world);
    let before = processor_time(servers);
    let requests = requests(world);
    requests / (processor_time(servers) - before)
}

/// How many requests are answered in a second.
fn requests(world: &World) -> f64 {
    let line = "taskset -c 1 wrk -t 1 -c 32 -d 1s http://127.0.0.1:80/";
    let said = world.command("root", line.split(' ')).run().successful().stdout;
    assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
    // "  20434 requests in 1.01s, 3.00MB read"
    let requests = said.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    requests.unwrap_or_else(|| panic!("wrk counts no requests: {said}"))
}

/// What these processes have had, in seconds, in all their threads and, under supervision, in the command.
fn processor_time(servers: &[&Running]) -> f64 {
    let threads = servers.iter().flat_map(|server| tree(server.pid)).flat_map(threads);
    let had = threads.map(|thread| fs::read_to_string(thread.join("schedstat")).unwrap_or_default());
    had.filter_map(|had| had.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e9
}

fn threads(process: Pid) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten();
    tasks.map(|task| task.path()).collect()
}

/// A process and all its descendants.
fn tree(process: Pid) -> Vec<Pid> {
    let children = threads(process).into_iter().flat_map(|thread| {
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect::<Vec<_>>()
    });
    children.flat_map(tree).chain([process]).collect()
}
