//! A machine that systemd has booted: a container of its own in the sandbox.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, mkdtemp};
use rauthbind_tests::world::{Command, User};
use rauthbind_tests::{Finished, Running, Stranger, World, wait_until};

/// Where this machine's units are. Of those that its packages have brought, it has no others than these links.
const UNITS: &str = "/run/units";
const LINKS: [&str; 4] =
    ["systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "user@.service"];

/// What services wait for, and what the machine starts with. With nothing else in it, the machine's hardware is not
/// touched, and no service of its own is started.
const TARGETS: [(&str, &str); 6] = [
    ("machine.target", "Wants=systemd-journald.service\nAfter=systemd-journald.service\n"),
    ("default.target", ""),
    ("sysinit.target", ""),
    ("basic.target", ""),
    ("sockets.target", ""),
    ("shutdown.target", ""),
];

/// Where the machine's own cgroup and those of others are.
const CGROUPS: &str = "/run/cgroup";

const JOURNAL: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitIntervalSec=0\n";

/// What switches a machine off, come what may.
#[derive(Debug)]
struct Power {
    cgroup: PathBuf,
    /// Held until it is removed, or this process is gone.
    _lock: Flock<File>,
    namespaces: Option<Running>,
}

/// A booted machine.
#[derive(Debug)]
pub(crate) struct Machine<'w> {
    /// Its process 1.
    pub(crate) system: Manager<'w>,
    journal: Running,
    _power: Power,
}

/// A service manager: the system's, or a user's.
#[derive(Debug)]
pub(crate) struct Manager<'w> {
    world: &'w World,
    process_1: Pid,
    user: User,
}

impl<'w> Machine<'w> {
    /// Boots it.
    #[track_caller]
    pub(crate) fn boot(world: &'w World) -> Self {
        furnish();
        let (cgroup, lock) = make_cgroup(world);
        let mut power = Power { cgroup, _lock: lock, namespaces: None };
        let address = SocketAddr::from_abstract_name("rauthbind-tests/booted").unwrap();
        let booted = UnixDatagram::bind_addr(&address).unwrap();
        booted.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let program = world.script("process-1", include_str!("machine.sh"));
        let unshare = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"];
        let process_1 = world.command("root", unshare.map(Into::into).into_iter().chain([program.into_os_string()]));
        let environment = [
            ("CGROUP", power.cgroup.to_str().unwrap()),
            ("NOTIFY_SOCKET", "@rauthbind-tests/booted"),
            ("SYSTEMD_UNIT_PATH", &format!("{UNITS}:/usr/local/lib/systemd/system")),
            // Those that packages have brought would make units.
            ("SYSTEMD_GENERATOR_PATH", "/run/no-generators"),
            ("container", "rauthbind-tests"),
        ];
        let process_1 = environment.into_iter().fold(process_1, |command, (name, value)| command.env(name, value));
        power.namespaces = Some(process_1.start());
        let mut message = [0; 4096];
        let mut said = || {
            let length = booted.recv(&mut message).expect("systemd boots");
            String::from_utf8_lossy(&message[..length]).into_owned()
        };
        while !said().lines().any(|line| line == "READY=1") {}
        let system = Manager { world, process_1: Stranger::named("systemd").pid, user: world.user("root") };
        let journal = system.command(&["journalctl", "--follow", "--no-tail"]).start();
        Self { system, journal, _power: power }
    }

    /// Makes a unit file, or a part of one, of which systemd has not heard yet.
    pub(crate) fn unit(&self, name: &str, text: &str) {
        write_file(&Path::new(UNITS).join(name), text);
    }

    /// Waits for a line in the journal that has this in it.
    #[track_caller]
    pub(crate) fn journal_line(&self, part: &str) -> String {
        self.journal.stdout_line(part)
    }

    /// Starts a user's own manager, as a login does, with these units.
    #[track_caller]
    pub(crate) fn log_in(&self, name: &str, units: &[(&str, &str)]) -> Manager<'w> {
        let user = self.system.world.user(name);
        let own_units = user.home.join(".config/systemd/user");
        units.iter().for_each(|(name, text)| write_file(&own_units.join(name), text));
        // PAM wants to see that the account has not expired.
        let mut shadow = OpenOptions::new().append(true).open("/etc/shadow").unwrap();
        writeln!(shadow, "{name}:!:::::::").unwrap();
        // logind's part.
        let directory = "ExecStart=install -d -m 0700 -o %i -g %i /run/user /run/user/%i";
        self.unit("user-runtime-dir@.service", &format!("[Service]\nType=oneshot\nRemainAfterExit=yes\n{directory}\n"));
        let path = format!("SYSTEMD_UNIT_PATH={}:{UNITS}", own_units.display());
        let environment = format!("[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i {path}\n");
        self.unit("user@.service.d/environment.conf", &environment);
        self.system.start(&format!("user@{}.service", user.uid));
        Manager { user, ..self.system }
    }
}

impl<'w> Manager<'w> {
    /// A command of its user's in the machine's namespaces: systemd talks to nobody whose process it does not see.
    fn command(&self, words: &[&str]) -> Command<'w> {
        let User { uid, gid, .. } = &self.user;
        let [target, uid, gid] = [self.process_1.to_string(), uid.to_string(), gid.to_string()];
        let enter = ["nsenter", "--mount", "--pid", "--target", &target, "--setuid", &uid, "--setgid", &gid];
        self.world.command("root", enter.iter().chain(words).copied())
    }

    /// Runs a command of its user's.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        self.command(words).run()
    }

    /// Runs systemctl(1) with this manager.
    #[track_caller]
    pub(crate) fn systemctl(&self, words: &[&str]) -> Finished {
        let whose = if self.user.uid.is_root() { "--system" } else { "--user" };
        let command = self.command(&[&["systemctl", whose], words].concat());
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", self.user.uid)).run()
    }

    /// Starts a unit.
    #[track_caller]
    pub(crate) fn start(&self, unit: &str) {
        let _ = self.systemctl(&["start", unit]).successful();
    }

    /// The value of a property of a unit.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let value = self.systemctl(&["show", "--value", "--property", name, unit]).successful().stdout;
        value.trim_end().to_owned()
    }

    /// Waits until a property of a unit has this value.
    #[track_caller]
    pub(crate) fn wait_for_property(&self, unit: &str, name: &str, value: &str) {
        wait_until(&format!("{name}={value} of {unit}"), || self.property(unit, name) == value);
    }

    /// What the journal has of a unit, as soon as there is this in it.
    #[track_caller]
    pub(crate) fn journal_of(&self, unit: &str, part: &str) -> String {
        let mut said = String::new();
        wait_until(&format!("{part:?} in the journal of {unit}"), || {
            said = self.run(&["journalctl", "--unit", unit]).successful().stdout;
            said.contains(part)
        });
        said
    }
}

/// Everything that systemd finds around it at boot.
fn furnish() {
    // No line is to be lost.
    fs::write("/proc/sys/net/unix/max_dgram_qlen", "10000").unwrap();
    write_file(Path::new("/etc/systemd/journald.conf.d/tests.conf"), JOURNAL);
    for (name, more) in TARGETS {
        write_file(&Path::new(UNITS).join(name), &format!("[Unit]\nDefaultDependencies=no\n{more}"));
    }
    for name in LINKS {
        symlink(Path::new("/usr/lib/systemd/system").join(name), Path::new(UNITS).join(name)).unwrap();
    }
}

fn write_file(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Makes a cgroup that is to be the root of the machine's, and removes those of machines whose tests were killed.
fn make_cgroup(world: &World) -> (PathBuf, Flock<File>) {
    fs::create_dir(CGROUPS).unwrap();
    let _ = world.command("root", ["mount", "-t", "cgroup2", "none", CGROUPS]).run().successful();
    let lock = |path: &Path, how| Flock::lock(File::open(path).ok()?, how).ok();
    // Nobody is to find a cgroup that is made, but not locked yet.
    let _one_at_a_time = lock(Path::new(CGROUPS), FlockArg::LockExclusive).unwrap();
    for entry in fs::read_dir(CGROUPS).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("rauthbind-test-")
            && lock(&path, FlockArg::LockExclusiveNonblock).is_some()
        {
            let _ = remove_tree(&path);
        }
    }
    let cgroup = mkdtemp(&Path::new(CGROUPS).join("rauthbind-test-XXXXXX")).unwrap();
    // Else what is delegated to a user could not be reached.
    fs::set_permissions(&cgroup, Permissions::from_mode(0o755)).unwrap();
    let ours = lock(&cgroup, FlockArg::LockExclusive).unwrap();
    (cgroup, ours)
}

impl Drop for Power {
    /// Switches it off: process 1 of the machine dies with the one that has made its namespaces, and all others with it.
    /// Cgroups are the only thing that would stay behind, also beyond the sandbox.
    fn drop(&mut self) {
        if let Some(Running { pid, .. }) = self.namespaces {
            let _ = kill(pid, Signal::SIGKILL);
        }
        wait_until("the machine's cgroups to go", || remove_tree(&self.cgroup).is_ok());
    }
}

/// Removes cgroups, which have directories for children and files that cannot be removed.
fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}

/// What a process of the machine is called there.
#[track_caller]
pub(crate) fn pid_inside(pid: Pid) -> String {
    let status = Stranger::of(pid).file("status");
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    ids.split_whitespace().last().unwrap().to_owned()
}
