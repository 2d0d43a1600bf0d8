//! What `cargo xtask demo` shows: a grant, servers on the granted ports, and refusals. It stops where something does not
//! happen as told.

use std::fs;

use nix::sys::signal::Signal;
use xtask::layout::RULES;
use xtask::packages;

use crate::{World, http_get};

const PYTHON_PAGE: &str = "Hello from python3, on a port below 1024.\n";

const NODE_SERVER: &str = "\
require('http')
  .createServer((request, response) => response.end('Hello from node, on a port below 1024.\\n'))
  .listen(81);
";

const PERL_SERVER: &str = "\
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 82, Listen => 5, ReuseAddr => 1) or die \"bind: $!\\n\";
while (my $client = $server->accept) {
  while (<$client>) { last if /^\\r?\\n$/ }
  print $client \"HTTP/1.0 200 OK\\r\\n\\r\\nHello from perl, on a port below 1024.\\n\";
}
";

/// A web server that knows nothing of rauthbind.
struct Server {
    command: &'static [&'static str],
    port: u16,
    file: (&'static str, &'static str),
}

const SERVERS: [Server; 3] = [
    Server { command: &["python3", "-m", "http.server", "80"], port: 80, file: ("index.html", PYTHON_PAGE) },
    Server { command: &["node", "server.js"], port: 81, file: ("server.js", NODE_SERVER) },
    Server { command: &["perl", "server.pl"], port: 82, file: ("server.pl", PERL_SERVER) },
];

/// The program, to be run in the sandbox.
pub fn main() {
    let world = World::new();
    // The log has to be there before the first helper looks for it.
    world.log();
    let (servers, missing): (Vec<_>, Vec<_>) =
        SERVERS.into_iter().partition(|server| packages::find(server.command[0]).is_some());

    println!("\nIn a network, mount and pid namespace of its own, with two users, alice and bob:");
    for server in missing {
        println!("({} is not installed where alice could run it: its part is left out)", server.command[0]);
    }
    println!("\nroot grants alice a port by an empty file. Who may execute the file may bind the port.\n");
    for Server { port, .. } in &servers {
        let rule = format!("{RULES}/byport/{port}");
        shown(&world, "root", &["install", "-g", "alice", "-m", "0710", "/dev/null", &rule]);
    }
    shown(&world, "root", &["ls", "-l", &format!("{RULES}/byport")]);

    println!(
        "\nalice starts servers that know nothing of rauthbind. They run as alice, from their first instruction on."
    );
    servers.iter().for_each(|server| serves(&world, server));

    println!("\nWhat nobody has granted is refused, as the kernel would refuse it. The reason is in the log.");
    refused(&world, "bob", "80");
    refused(&world, "alice", "443");
    println!("\nEverything happened as told, and nothing of it is left on this machine.");
}

/// Runs a command that succeeds, and shows it with its output.
fn shown(world: &World, user: &str, argv: &[&str]) {
    let command = world.command(user, argv);
    println!("    {}", command.as_typed());
    indented(&command.run().successful().stdout);
}

fn serves(world: &World, server: &Server) {
    let alice = world.user("alice");
    let (name, content) = server.file;
    fs::write(alice.home.join(name), content).expect("alice's home is there");
    println!();
    shown(world, "alice", &["cat", name]);
    let command = world.command("alice", ["rauthbind"].iter().chain(server.command));
    println!("    {}", command.as_typed());
    let running = command.start();
    running.wait_listening(server.port);

    let about = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", running.pid)).expect("the server runs");
    let words = about("cmdline");
    let words: Vec<_> = words.split_terminator('\0').collect();
    assert_eq!(words, server.command, "another program runs in the place of the command");
    let status = about("status");
    let uid = alice.uid;
    assert!(status.contains(&format!("\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")), "not alice's: {status}");
    assert!(status.contains("\nCapPrm:\t0000000000000000\n"), "more than an ordinary process: {status}");
    println!("    -> process {}: uid {uid} (alice), no capabilities: {}", running.pid, words.join(" "));

    let answer = http_get("127.0.0.1", server.port, "/");
    let (head, page) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.lines().next().unwrap_or_default();
    assert!(status.ends_with(" 200 OK") && page.starts_with("Hello from "), "{answer}");
    println!("    -> http://127.0.0.1:{}/ answers: {status}", server.port);
    indented(page);
    running.kill(Signal::SIGTERM);
    running.wait();
}

fn refused(world: &World, user: &str, port: &str) {
    let command = world.command(user, ["rauthbind", "python3", "-m", "http.server", port]);
    println!("\n    {}", command.as_typed());
    let done = command.run();
    let reason = done.stderr.lines().last().unwrap_or_default();
    assert!(!done.status.success() && reason.ends_with("Permission denied"), "{user} was not refused");
    indented(reason);
    let line = world.log().line(&format!("refused uid {}", world.user(user).uid));
    // Without the number that tells a log daemon how weighty the line is.
    println!("    -> log: {}", line.split_once('>').map_or(&*line, |(_, text)| text));
}

fn indented(text: &str) {
    text.lines().for_each(|line| println!("    {line}"));
}
