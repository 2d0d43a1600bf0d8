//! systemd: rauthbind in units, plain and hardened, the system's and a user's; and the units of the broker.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "systemd/machine.rs"]
mod machine;

use std::fs;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::write;
use rauthbind_tests::packages::{add_layers, deb};
use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::readme::{block, phrase};
use rauthbind_tests::{Signal, Stranger, World, holders, processes_named, wait_until, world_test};

use self::machine::{Machine, Manager, pid_inside};

const BROKER: [&str; 2] = ["rauthbind-broker.socket", "rauthbind-broker@.service"];

/// How exposed the broker may be at the most, in tenths; systemd calls everything up to 39 well protected.
const EXPOSURE: u8 = 21;

/// The unit files among the examples of a page of the manual.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("\n.EX\n").skip(1).filter_map(|rest| Some(rest.split_once("\n.EE\n")?.0));
    blocks.filter(|block| block.contains("[Service]\n")).map(|block| block.replace("\\-", "-") + "\n").collect()
}

world_test! {
    /// systemd finds nothing to complain of in the broker's units and in those that the manual shows.
    fn unit_files_are_correct(world) {
        let mut units = BROKER.map(|unit| format!("/usr/local/lib/systemd/system/{unit}")).to_vec();
        for page in ["man1/rauthbind.1", "man7/rauthbind-recipes.7"] {
            let examples = examples(&fs::read_to_string(format!("/usr/local/share/man/{page}")).unwrap());
            assert!(!examples.is_empty(), "{page}");
            for text in examples {
                units.push(format!("/run/tmp/example-{}.service", units.len()));
                fs::write(units.last().unwrap(), text).unwrap();
            }
        }
        for unit in units {
            let said = world.command("root", ["systemd-analyze", "verify", "--man=no", &unit]).run().successful();
            assert_eq!((said.stdout, said.stderr), (String::new(), String::new()), "{unit}");
        }
    }
}

world_test! {
    /// The broker's units are found where they are installed, and can be enabled.
    fn broker_can_be_enabled(world) {
        let _ = world.command("root", ["systemctl", "enable", BROKER[0]]).run().successful();
        let link = "/etc/systemd/system/sockets.target.wants/rauthbind-broker.socket";
        assert_eq!(fs::read_link(link).unwrap().to_str(), Some("/usr/local/lib/systemd/system/rauthbind-broker.socket"));
    }
}

world_test! {
    /// The broker's service gives up what it does not need.
    fn broker_is_hardly_exposed(world) {
        let threshold = format!("--threshold={EXPOSURE}");
        let unit = format!("/usr/local/lib/systemd/system/{}", BROKER[1]);
        let _ = world.command("root", ["systemd-analyze", "security", "--offline=yes", &threshold, &unit]).run().successful();
    }
}

/// The server of the manual's examples, in the place of which any other can stand.
const WEB: &str = "ExecStart=/usr/local/bin/rauthbind /usr/bin/python3 -m http.server 80\n";

/// Sees that the main process of this unit is alice's, and answers on this port.
#[track_caller]
fn serves(system: &Manager<'_>, unit: &str, port: u16) -> Stranger {
    assert!(get("127.0.0.1", port).starts_with("HTTP/1.0 200 "));
    let found = alices_holders("tcp", port);
    let [server] = found[..] else { panic!("port {port} is held by {found:?}") };
    assert_eq!(pid_inside(server), system.property(unit, "MainPID"));
    Stranger::of(server)
}

/// Stops a unit, which ends well, and leaves nothing behind.
#[track_caller]
fn stops(system: &Manager<'_>, unit: &str, port: u16) {
    let _ = system.systemctl(&["stop", unit]).successful();
    assert_eq!(system.property(unit, "ActiveState"), "inactive");
    assert_eq!(holders("tcp", port), []);
    wait_until("the end of all helpers", || processes_named("rauthbind-helper").is_empty());
}

/// Sees that a unit which is started may not have its port.
#[track_caller]
fn is_refused(system: &Manager<'_>, unit: &str, port: u16) {
    system.start(unit);
    system.wait_for_property(unit, "ActiveState", "failed");
    assert_eq!(system.property(unit, "Result"), "exit-code");
    assert_eq!(holders("tcp", port), []);
    let _ = system.journal_of(unit, "Permission denied");
}

world_test! {
    /// A service that serves as its user, from its first process on, as soon as the port is granted. Whichever of its
    /// processes systemd kills, it has nothing to wait for when it stops the service, and the helper is gone.
    fn service_serves_until_it_is_stopped(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        let kill_modes = ["control-group", "mixed", "process"];
        for mode in kill_modes {
            let service = format!("[Service]\nUser=alice\n{WEB}KillMode={mode}\nTimeoutStopSec=infinity\n");
            machine.unit(&format!("{mode}.service"), &service);
        }
        is_refused(system, "mixed.service", 80);
        let _ = machine.journal_line("refused uid 4001");
        world.grant("byport/80", "alice");
        for unit in kill_modes.map(|mode| format!("{mode}.service")) {
            system.start(&unit);
            let _ = serves(system, &unit, 80);
            let helper = Stranger::named("rauthbind-helper");
            assert!(helper.file("cgroup").ends_with(&format!("/{unit}\n")));
            stops(system, &unit, 80);
        }
    }
}

world_test! {
    /// systemd-run(1) makes a service of a command.
    fn command_becomes_a_service(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        let command = "systemd-run --quiet --uid=alice --unit=web rauthbind python3 -m http.server 80";
        let _ = system.run(&command.split(' ').collect::<Vec<_>>()).successful();
        let _ = serves(system, "web.service", 80);
        stops(system, "web.service", 80);
    }
}

world_test! {
    /// A server that was killed is started again.
    fn service_is_started_again(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        machine.unit("web.service", &format!("[Service]\nUser=alice\n{WEB}Restart=on-failure\nRestartSec=0\n"));
        system.start("web.service");
        for _ in 0..2 {
            let server = serves(system, "web.service", 80);
            server.kill(Signal::SIGKILL);
            server.wait();
        }
        let _ = serves(system, "web.service", 80);
        assert_eq!(system.property("web.service", "NRestarts"), "2");
        stops(system, "web.service", 80);
    }
}

world_test! {
    /// systemd hears from the server itself when it is ready, or reads its process id from a file, although that server
    /// has closed all that it inherited.
    fn service_tells_when_it_is_ready(world) {
        let _ = world.script("notify", include_str!("systemd/notify.py"));
        let _ = world.script("daemon", include_str!("systemd/daemon.pl"));
        let _ = world.script("serve", include_str!("supervisors/serve.pl"));
        world.grant("byport/80", "alice");
        let machine = Machine::boot(world);
        let system = &machine.system;
        machine.unit("notify.service", NOTIFY);
        system.start("notify.service");
        assert_eq!(holders("tcp", 80).len(), 1, "ready, but does not listen");
        let _ = serves(system, "notify.service", 80);
        stops(system, "notify.service", 80);
        machine.unit("forking.service", FORKING);
        system.start("forking.service");
        let _ = serves(system, "forking.service", 80);
        stops(system, "forking.service", 80);
    }
}

const NOTIFY: &str = "\
[Service]
Type=notify
User=alice
ExecStart=/usr/local/bin/rauthbind /run/bin/notify 80
";

const FORKING: &str = "\
[Service]
Type=forking
User=alice
RuntimeDirectory=web
PIDFile=/run/web/pid
ExecStart=/usr/local/bin/rauthbind /run/bin/daemon /run/web/pid /run/bin/serve 80
";

world_test! {
    /// With NoNewPrivileges=yes a service is told why it has no ports. It has them by a capability, of which the server
    /// sees nothing, or by the broker.
    fn service_without_new_privileges(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        let service = format!("[Service]\nUser=alice\nNoNewPrivileges=yes\n{WEB}");
        machine.unit("alone.service", &service);
        machine.unit("capable.service", &format!("{service}AmbientCapabilities=CAP_NET_BIND_SERVICE\n"));
        machine.unit("brokered.service", &service);
        is_refused(system, "alone.service", 80);
        let said = system.journal_of("alone.service", "rauthbind: ");
        let lines: Vec<_> = said.lines().filter(|line| line.contains(" rauthbind: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains("no_new_privs is set"), "{lines:?}");

        system.start("capable.service");
        let _ = serves(system, "capable.service", 80);
        stops(system, "capable.service", 80);

        system.start(BROKER[0]);
        system.start("brokered.service");
        let server = serves(system, "brokered.service", 80);
        let granted = format!("granted 0.0.0.0:80/tcp to uid 4001, pid {} \"python3\", by byport/80", pid_inside(server.pid));
        assert!(machine.journal_line(&granted).contains(" rauthbind-helper["));
        stops(system, "brokered.service", 80);
    }
}

world_test! {
    /// A service in a user namespace of its own, in which no helper has a say about the host's ports, has them through the
    /// broker.
    fn service_in_a_user_namespace(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        machine.unit("web.service", &format!("[Service]\nUser=alice\nPrivateUsers=yes\n{WEB}"));
        system.start(BROKER[0]);
        system.start("web.service");
        let _ = serves(system, "web.service", 80);
        stops(system, "web.service", 80);
    }
}

world_test! {
    /// A service to which almost everything is forbidden, of a user who exists only while it runs, has the ports of a
    /// group through the broker.
    fn hardened_service_of_no_lasting_user(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        for unit in ["refused.service", "hardened.service"] {
            machine.unit(unit, &format!("{HARDENED}{WEB}"));
        }
        is_refused(system, "refused.service", 80);
        world.rule("byport/80", "root", "web", 0o710);
        system.start("hardened.service");
        assert!(get("127.0.0.1", 80).starts_with("HTTP/1.0 200 "));
        let found = holders("tcp", 80);
        let [server] = found[..] else { panic!("port 80 is held by {found:?}") };
        assert_eq!(pid_inside(server), system.property("hardened.service", "MainPID"));
        let status = Stranger::of(server).file("status");
        let id: u32 = status.lines().find_map(|line| line.strip_prefix("Uid:\t")?.split('\t').next()?.parse().ok()).unwrap();
        assert!(DYNAMIC_USERS.contains(&id), "{id}");
        for line in ["NoNewPrivs:\t1", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000"] {
            assert!(status.contains(&format!("\n{line}\n")), "not {line}:\n{status}");
        }
        let _ = machine.journal_line(&format!("granted 0.0.0.0:80/tcp to uid {id}, "));
        stops(system, "hardened.service", 80);
    }
}

/// The user ids that DynamicUser= takes one of.
const DYNAMIC_USERS: RangeInclusive<u32> = 61184..=65519;

/// AF_UNIX is the way to the broker.
const HARDENED: &str = "\
[Unit]
Wants=rauthbind-broker.socket
After=rauthbind-broker.socket

[Service]
DynamicUser=yes
SupplementaryGroups=web
CapabilityBoundingSet=
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
";

/// A connection of this user's to the broker.
#[track_caller]
fn connection(world: &World, user: &str) -> OwnedFd {
    world.as_user(user, || {
        let broker = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(broker.as_raw_fd(), &UnixAddr::new("/run/rauthbind/broker").unwrap()).unwrap();
        broker
    })
}

world_test! {
    /// Whatever a user says to the broker, or does not say, and however often: systemd does not give it up, it serves
    /// others afterwards, and nothing of it stays.
    fn broker_outlives_noise(world) {
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        // The sooner it is full.
        machine.unit(&format!("{}.d/few.conf", BROKER[0]), "[Socket]\nMaxConnections=8\n");
        machine.unit("web.service", &format!("[Service]\nUser=alice\nNoNewPrivileges=yes\n{WEB}"));
        system.start(BROKER[0]);
        let count = |property| system.property(BROKER[0], property).parse::<u32>().unwrap();
        let has_seen = |connections| {
            let seen = || count("NAccepted") + count("NRefused");
            wait_until(&format!("systemd to see {connections} connections"), || seen() == connections);
        };
        let silent = [(); 8].map(|()| connection(world, "bob"));
        has_seen(8);
        (0..1000).for_each(|_| drop(connection(world, "bob")));
        has_seen(1008);
        assert_ne!(count("NRefused"), 0);
        drop(silent);
        wait_until("the broker to be free", || count("NConnections") == 0);
        let talking = connection(world, "bob");
        for _ in 0..3 {
            assert_eq!(write(&talking, &[0xff; 1000]), Ok(1000));
        }
        let _ = machine.journal_line("refused uid 4002");
        drop(talking);
        drop(connection(world, "root"));
        let _ = machine.journal_line("root asks the broker");

        system.start("web.service");
        let _ = serves(system, "web.service", 80);
        stops(system, "web.service", 80);
        assert_eq!(system.property(BROKER[0], "ActiveState"), "active");
        let left = || system.systemctl(&["list-units", "--all", "--no-legend", "rauthbind-broker@*"]).successful().stdout;
        wait_until("the broker's services to go", || left().is_empty());
    }
}

world_test! {
    /// What the README says of systemd: its unit serves as soon as the port is granted, and under NoNewPrivileges= as soon
    /// as the broker is started; the journal has why it did not before; and units below another prefix can be linked.
    fn what_the_readme_says_of_systemd_is_so(world) {
        let _ = world.command("root", ["mount", "-t", "tmpfs", "none", "/srv"]).run().successful();
        fs::create_dir("/srv/app").unwrap();
        fs::write("/srv/app/server.js", include_str!("readme/server.js")).unwrap();
        let machine = Machine::boot(world);
        let system = &machine.system;
        let type_as_root = |line: &str| system.run(&line.split(' ').collect::<Vec<_>>()).successful();
        let uid = world.user("www-data").uid;
        let service = block("[Service]");
        machine.unit("web.service", &service);
        machine.unit("hardened.service", &format!("{service}NoNewPrivileges=yes\n"));
        let fails = |unit| {
            system.start(unit);
            system.wait_for_property(unit, "ActiveState", "failed");
            let _ = system.journal_of(unit, "EACCES");
        };
        let serves = |unit| {
            system.start(unit);
            assert!(get("127.0.0.1", 80).ends_with("\nnode's page\n"));
            let found = holders("tcp", 80);
            assert_eq!(found.iter().map(|pid| pid_inside(*pid)).collect::<Vec<_>>(), [system.property(unit, "MainPID")]);
            assert!(Stranger::of(found[0]).file("status").contains(&format!("\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")));
            stops(system, unit, 80);
        };
        fails("web.service");
        let refused = format!("refused uid {uid}");
        let _ = machine.journal_line(&refused);
        assert!(type_as_root(phrase("journalctl -t rauthbind-helper")).stdout.contains(&refused));
        world.rule("byport/80", "root", "www-data", 0o710);
        serves("web.service");
        fails("hardened.service");
        type_as_root(phrase("systemctl enable --now rauthbind-broker.socket"));
        serves("hardened.service");
        for unit in BROKER {
            let elsewhere = format!("/srv/{unit}");
            fs::copy(format!("/usr/local/lib/systemd/system/{unit}"), &elsewhere).unwrap();
            type_as_root(&format!("{} {elsewhere}", phrase("systemctl link")));
            assert_eq!(fs::read_link(format!("/etc/systemd/system/{unit}")).unwrap().to_str(), Some(&*elsewhere));
        }
    }
}

world_test! {
    /// A service keeps the sockets that systemd passes to it, beside a port that it binds itself.
    fn passed_sockets_are_kept(world) {
        let _ = world.script("activated", include_str!("systemd/activated.py"));
        let machine = Machine::boot(world);
        let system = &machine.system;
        world.grant("byport/80", "alice");
        machine.unit("web.socket", "[Socket]\nListenStream=81\nListenStream=82\n");
        let server = "/usr/local/bin/rauthbind /run/bin/activated 80";
        machine.unit("web.service", &format!("[Service]\nUser=alice\nExecStart={server}\n"));
        system.start("web.socket");
        // The first that comes starts the service.
        for port in [81, 82] {
            assert!(get("127.0.0.1", port).starts_with("HTTP/1.0 200 "));
        }
        let server = serves(system, "web.service", 80);
        for port in [81, 82] {
            assert!(holders("tcp", port).contains(&server.pid));
        }
    }
}

world_test! {
    /// A user's own service manager starts a server of the user's.
    fn unit_of_a_user(world) {
        let machine = Machine::boot(world);
        world.grant("byport/80", "alice");
        let alice = machine.log_in("alice", &[("web.service", &format!("[Service]\n{WEB}"))]);
        alice.start("web.service");
        let _ = serves(&alice, "web.service", 80);
        stops(&alice, "web.service", 80);
    }
}

world_test! {
    /// The broker outlives an upgrade of its package, and goes with the package.
    fn a_debian_package_stops_what_it_takes_away(world) {
        const DPKG: [&str; 3] = ["dpkg", "--force-depends", "--install"];
        add_layers(world);
        let installed = "/usr/lib/systemd/system";
        // Where this machine looks for units, there are those of the staged tree elsewhere.
        fs::create_dir_all("/usr/local/lib/systemd/system").unwrap();
        for unit in BROKER {
            symlink(format!("{installed}/{unit}"), format!("/usr/local/lib/systemd/system/{unit}")).unwrap();
        }
        for revision in ["1", "2"] {
            fs::copy(deb("rauthbind", revision), format!("/run/tmp/{revision}.deb")).unwrap();
        }
        let machine = Machine::boot(world);
        let system = &machine.system;
        // Its /var is empty.
        let _ = system.run(&["sh", "-c", "mkdir -p /var/lib/dpkg && touch /var/lib/dpkg/status"]).successful();
        let _ = system.run(&[&DPKG[..], &["/run/tmp/1.deb"]].concat()).successful();
        system.start(BROKER[0]);
        let _ = system.run(&[&DPKG[..], &["/run/tmp/2.deb"]].concat()).successful();
        assert_eq!(system.property(BROKER[0], "ActiveState"), "active");

        let _ = system.run(&["dpkg", "--remove", "rauthbind"]).successful();
        assert_eq!(system.property(BROKER[0], "ActiveState"), "inactive");
        assert!(!Path::new("/run/rauthbind").exists());
    }
}
