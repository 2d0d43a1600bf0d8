//! What `cargo xtask soak` does: very many binds in each of the ways, with kills and restarts in between. It stops where a
//! bind is lost or a process has grown.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::libc;
use xtask::packages::PATH;

use crate::helper::{Helper, Holdings, kill_helpers, no_helper_stays, supervisor_of};
use crate::process::{Running, Signal, Stranger, processes_named, wait_until};
use crate::sys::POLL_AND_PAUSE;
use crate::world::World;

/// The app. What it does is told in its source.
const APP: &str = "many_binds";
/// Its threads, and the ports that these are granted.
const THREADS: u64 = 8;
const PORTS: Range<u16> = 200..208;
/// How often each thread binds before anything is looked at, and at least while somebody is killed.
const FEW: u64 = 20;

/// How binds get to a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over the channel that the launcher has opened.
    Channel,
    /// By a helper that is run for the one bind, because the app has closed the channel.
    Once,
    /// By the supervisor.
    Supervisor,
}

/// Who is looked at, and killed while an app binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// The one at the end of the channel: helpers that are run once take its place.
    Helper,
    HelpersRunOnce,
    /// Nobody takes its place.
    Supervisor,
    App,
}

impl Actor {
    fn name(self) -> &'static str {
        match self {
            Self::Helper => "helper",
            Self::HelpersRunOnce => "helpers run once",
            Self::Supervisor => "supervisor",
            Self::App => "app",
        }
    }
}

impl Way {
    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Once => "helper run once",
            Self::Supervisor => "supervisor",
        }
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Channel => &["rauthbind", APP],
            Self::Once => &["rauthbind", APP, "closed"],
            Self::Supervisor => &["rauthbind", "--mode", "supervise", APP],
        }
    }

    /// Who is killed at the end of its apps, one after the other.
    fn victims(self) -> &'static [Actor] {
        match self {
            Self::Channel => &[Actor::Helper, Actor::App],
            Self::Once => &[Actor::HelpersRunOnce, Actor::App],
            Self::Supervisor => &[Actor::Helper, Actor::Supervisor, Actor::App],
        }
    }

    /// How many binds are one round: it must come to its end while the tests are patient, on a slow machine too.
    fn round(self) -> u64 {
        match self {
            Self::Channel => 50_000,
            Self::Once => 1_000,
            Self::Supervisor => 10_000,
        }
    }
}

/// How many binds ended how, as the app tells it.
#[derive(Clone, Copy, Debug)]
struct Outcomes {
    bound: u64,
    /// A port that is not granted.
    refused: u64,
    /// One that is.
    denied: u64,
    /// ENOSYS, which is what the kernel says where there is no supervisor any more.
    unserved: u64,
    wrong: u64,
    /// Of these, done again.
    again: u64,
}

impl Outcomes {
    fn parsed(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [bound, refused, denied, unserved, wrong, again] = numbers[..] else { panic!("no outcomes: {line}") };
        Self { bound, refused, denied, unserved, wrong, again }
    }

    /// How many were answered.
    fn served(&self) -> u64 {
        self.bound + self.refused + self.denied + self.wrong
    }
}

/// A process that serves an app, or is one.
struct Watched {
    actor: Actor,
    process: Stranger,
    /// The system call in which it waits when it has nothing to do.
    rests_in: i64,
    /// At the beginning and later.
    holdings: Vec<Holdings>,
}

/// An app, those who serve it, and what came of it.
struct Life {
    way: Way,
    running: Running,
    stdin: UnixStream,
    watched: Vec<Watched>,
    rounds: u64,
    binds: u64,
    again: u64,
    kills: u64,
    /// Neither bound nor rightly refused.
    lost: u64,
}

impl Life {
    /// Starts an app, and has it bind for the first time.
    fn begin(world: &World, way: Way) -> Self {
        let (stdin, other_end) = UnixStream::pair().expect("a pair of sockets");
        let command = world.command("alice", way.words().iter().copied()).env("PATH", format!("/run/bin:{PATH}"));
        let running = command.stdin(OwnedFd::from(other_end)).start();
        let (rounds, binds, again, kills, lost) = (0, 0, 0, 0, 0);
        let mut life = Self { way, running, stdin, watched: Vec::new(), rounds, binds, again, kills, lost };
        life.bind(FEW, None);
        if way == Way::Once {
            no_helper_stays();
        } else {
            life.watch(Actor::Helper, Helper::find().0, libc::SYS_recvmsg);
        }
        if way == Way::Supervisor {
            let [poll, _] = POLL_AND_PAUSE;
            life.watch(Actor::Supervisor, supervisor_of(&life.running), poll);
        }
        life.watch(Actor::App, Stranger::named(APP), libc::SYS_read);
        life
    }

    fn watch(&mut self, actor: Actor, process: Stranger, rests_in: i64) {
        self.watched.push(Watched { actor, process, rests_in, holdings: Vec::new() });
    }

    /// Looks at all that run.
    fn look(&mut self) {
        for Watched { process, rests_in, holdings, .. } in &mut self.watched {
            if !process.has_ended() {
                holdings.push(Holdings::at_rest(process, *rests_in));
            }
        }
    }

    /// Has the app bind so many times.
    fn bind_often(&mut self, binds: u64) {
        let victim = (self.way == Way::Once).then_some(Actor::HelpersRunOnce);
        let rounds = binds.div_ceil(self.way.round());
        for _ in 0..rounds {
            self.bind(binds.div_ceil(rounds * THREADS), victim);
        }
    }

    /// Has each thread bind at least so many times, and kills these meanwhile.
    fn bind(&mut self, each: u64, victim: Option<Actor>) -> Outcomes {
        self.begin_round(each);
        let kills = victim.map_or(0, |victim| self.kill(victim));
        writeln!(self.stdin, "enough").expect("the app reads it");
        let done = self.running.stdout_line(&format!("round {}: done", self.rounds));
        let (_, numbers) = done.split_once("done ").expect("as the app has it");
        let outcomes = Outcomes::parsed(numbers);
        if victim == Some(Actor::HelpersRunOnce) {
            no_helper_stays();
        }
        self.binds += outcomes.served();
        self.again += outcomes.again;
        // A helper that was run for one bind takes that with it. And see `ABOUT`.
        let denied = outcomes.denied.saturating_sub(if victim == Some(Actor::HelpersRunOnce) { kills } else { 0 });
        let again = if self.way == Way::Once || self.is_dead(Actor::Helper) { 0 } else { outcomes.again };
        let unserved = if self.is_dead(Actor::Supervisor) { 0 } else { outcomes.unserved };
        self.lost += denied + again + unserved + outcomes.wrong;
        outcomes
    }

    fn is_dead(&self, actor: Actor) -> bool {
        self.watched.iter().any(|watched| watched.actor == actor && watched.process.has_ended())
    }

    /// Has the app bind, and returns when half of it is done. The other half does not end until more is said.
    fn begin_round(&mut self, each: u64) {
        self.rounds += 1;
        writeln!(self.stdin, "{each}").expect("the app reads it");
        let _ = self.running.stdout_line(&format!("round {}: under way", self.rounds));
    }

    /// Kills these; gives their number.
    fn kill(&mut self, victim: Actor) -> u64 {
        let kills = match self.watched.iter().find(|watched| watched.actor == victim) {
            Some(Watched { process, .. }) => {
                process.kill(Signal::SIGKILL);
                process.wait();
                1
            }
            None => kill_helpers() as u64,
        };
        self.kills += kills;
        kills
    }

    /// Kills these while the app binds, and sees what becomes of it, and that nothing of it stays.
    fn end(mut self, victim: Actor) {
        if victim == Actor::App {
            self.begin_round(FEW);
            self.kill(victim);
        } else {
            self.bind(FEW, Some(victim));
            let then = self.bind(FEW, None);
            assert_eq!(then.unserved > 0, victim == Actor::Supervisor, "{then:?}");
            self.look();
        }
        self.tell(victim);
        assert_eq!(self.lost, 0, "binds were lost");
        for Watched { actor, holdings, .. } in &self.watched {
            assert!(!holdings.iter().any(|now| now.have_grown_since(&holdings[0])), "the {} has grown", actor.name());
        }
        drop(self.stdin);
        let done = self.running.wait();
        assert!(done.status.success() || victim == Actor::App, "{}: {}", done.status, done.stderr);
        for name in ["rauthbind", APP] {
            wait_until(&format!("the end of {name}"), || processes_named(name).is_empty());
        }
        no_helper_stays();
        for port in PORTS {
            let address = ("127.0.0.1", port);
            drop((
                TcpListener::bind(address).expect("nobody has it"),
                UdpSocket::bind(address).expect("nobody has it"),
            ));
        }
    }

    /// Its rows of the table.
    fn tell(&self, victim: Actor) {
        let Self { way, watched, binds, again, kills, lost, .. } = self;
        for Watched { actor, holdings, .. } in watched {
            let each = |figure: fn(&Holdings) -> String| holdings.iter().map(figure).collect::<Vec<_>>().join(" ");
            let descriptors = each(|holdings| holdings.descriptors.len().to_string());
            let memory = each(|holdings| holdings.memory.to_string());
            println!(
                "| {} | {} | {binds} | {again} | {kills} | {lost} | {} | {descriptors} | {memory} |",
                way.name(),
                victim.name(),
                actor.name()
            );
        }
    }
}

/// What the columns are.
const ABOUT: &str = "\
Again: binds that found their port in use by what the app had closed, and were done again. That may happen beside helpers
that are run once: what becomes one has the app's descriptors for a moment, as after fork(2).
Lost: binds that were neither done nor rightly refused.
Descriptors, and own memory in KiB: first, in the middle, in the end, and after the kill.
";

/// The program: a million binds over the channel, a hundred thousand in each of the other ways.
pub fn main() {
    run([(Way::Channel, 1_000_000), (Way::Once, 100_000), (Way::Supervisor, 100_000)]);
}

/// Has apps bind so many times, each way, and prints a table.
///
/// # Panics
/// A bind was lost, a process has grown, or something was left behind.
pub fn run(ways: [(Way, u64); 3]) {
    let world = World::new();
    PORTS.for_each(|port| world.grant(&format!("byport/{port}"), "alice"));
    fs::write("/run/tmp/bind.h", include_str!("../tests/c/bind.h")).expect("the sandbox's own directory");
    let _ = world.compile_c(APP, include_str!("../tests/c/many_binds.c"));
    println!("{ABOUT}");
    println!("| way | killed in the end | binds | again | kills | lost | process | descriptors | memory |");
    println!("|---|---|--:|--:|--:|--:|---|---|---|");
    for (way, binds) in ways {
        let victims = way.victims();
        for victim in victims {
            let mut life = Life::begin(&world, way);
            life.look();
            for _half in 0..2 {
                life.bind_often(binds.div_ceil(2 * victims.len() as u64));
                life.look();
            }
            life.end(*victim);
        }
    }
}
