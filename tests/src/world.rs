//! What a test says: rules, users, commands; and what is printed when it fails.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use nix::unistd::{self, Gid, Uid, getgrouplist};
use xtask::layout::RULES;
use xtask::packages::PATH;

use crate::log::Log;
use crate::process::{Finished, Life, Running, Watched};
use crate::sandbox;

/// Everything that one test has made and started, inside of the sandbox.
#[derive(Debug)]
pub struct World {
    commands: Mutex<Vec<(String, Arc<Watched<Life>>)>>,
    log: OnceLock<Log>,
}

/// A user as the kernel knows it.
#[derive(Clone, Debug)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User number.
    pub uid: Uid,
    /// The user's own group.
    pub gid: Gid,
    /// Every group, the user's own among them.
    pub groups: Vec<Gid>,
    /// Home directory.
    pub home: PathBuf,
}

impl World {
    /// The world of this test.
    ///
    /// # Panics
    /// This is no sandbox: the machine's own rules would be changed.
    #[expect(clippy::new_without_default, reason = "there is nothing default about it")]
    #[must_use]
    pub fn new() -> Self {
        assert!(sandbox::is_inside(), "outside of the sandbox: run `cargo xtask test`");
        Self { commands: Mutex::default(), log: OnceLock::new() }
    }

    /// Makes an empty rule file, such as `byport/80`.
    pub fn rule(&self, name: &str, owner: &str, group: &str, mode: u32) {
        let path = rule_path(name);
        fs::write(&path, "").expect("a rule can be written");
        let gid = unistd::Group::from_name(group).expect("group(5) can be read").expect("a group of the sandbox").gid;
        chown(&path, Some(self.user(owner).uid.as_raw()), Some(gid.as_raw())).expect("root may give it away");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a rule of our own");
    }

    /// Makes a rule file that this user's own group may execute: a grant to that user alone.
    pub fn grant(&self, name: &str, user: &str) {
        self.rule(name, "root", user, 0o710);
    }

    /// Makes `byuid/NAME` with this text.
    pub fn byuid(&self, name: &str, text: &str) {
        let path = rule_path("byuid").join(name);
        fs::write(&path, text).expect("a rule can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a rule of our own");
    }

    /// Removes a rule that was made.
    pub fn remove_rule(&self, name: &str) {
        fs::remove_file(rule_path(name)).expect("the rule is there");
    }

    /// A user of the sandbox: root, alice, bob or carol.
    #[must_use]
    pub fn user(&self, name: &str) -> User {
        let user = unistd::User::from_name(name).expect("passwd(5) can be read").expect("a user of the sandbox");
        let c_name = CString::new(name).expect("a name");
        let groups = getgrouplist(&c_name, user.gid).expect("group(5) can be read");
        User { name: user.name, uid: user.uid, gid: user.gid, groups, home: user.dir }
    }

    /// A command as this user would type it after login.
    pub fn command<S: Into<OsString>>(&self, user: &str, argv: impl IntoIterator<Item = S>) -> Command<'_> {
        let argv: Vec<_> = argv.into_iter().map(Into::into).collect();
        Command { world: self, user: self.user(user), argv, environment: Vec::new(), stdin: None }
    }

    /// Does something as this user, on a thread of its own: in the kernel, ids and capabilities are a thread's.
    ///
    /// # Panics
    /// What is done panics.
    pub fn as_user<T: Send>(&self, name: &str, act: impl FnOnce() -> T + Send) -> T {
        let User { uid, gid, groups, .. } = self.user(name);
        let on_thread = || {
            crate::sys::become_on_this_thread(uid, gid, &groups).expect("root may become anyone");
            act()
        };
        thread::scope(|scope| scope.spawn(on_thread).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Compiles a C program that everyone can run.
    #[must_use]
    pub fn compile_c(&self, name: &str, source: &str) -> PathBuf {
        self.compile_c_with(&["-pthread"], name, source)
    }

    /// Compiles C with these options of the compiler, be it a program or a library.
    #[must_use]
    pub fn compile_c_with(&self, options: &[&str], name: &str, source: &str) -> PathBuf {
        let text = Path::new("/run/tmp").join(name).with_extension("c");
        fs::write(&text, source).expect("the sandbox's own directory");
        let path = Path::new("/run/bin").join(name);
        let cc = ["cc", "-O1"].iter().chain(options).chain(&["-o"]).map(OsStr::new);
        let cc = cc.chain([path.as_os_str(), text.as_os_str()]);
        self.command("root", cc).env("TMPDIR", "/run/tmp").run().successful();
        path
    }

    /// Compiles a Go program that everyone can run, linked statically.
    #[must_use]
    pub fn compile_go(&self, name: &str, source: &str) -> PathBuf {
        self.compile_go_with("0", "exe", name, source)
    }

    /// Compiles Go with this `CGO_ENABLED`, in this build mode.
    #[must_use]
    pub fn compile_go_with(&self, cgo: &str, mode: &str, name: &str, source: &str) -> PathBuf {
        let text = Path::new("/run/tmp").join(name).with_extension("go");
        fs::write(&text, source).expect("the sandbox's own directory");
        let path = Path::new("/run/bin").join(name);
        let go = ["go", "build", &format!("-buildmode={mode}"), "-o"].map(OsString::from);
        let go = self.command("root", go.into_iter().chain([path.clone().into(), text.into()]));
        let go = go.env("CGO_ENABLED", cgo).env("GOFLAGS", "-mod=mod").env("TMPDIR", "/run/tmp");
        go.env("GOCACHE", "/run/tmp/go").env("GOPATH", "/run/tmp/gopath").run().successful();
        path
    }

    /// Makes a script, beginning with its `#!` line, that everyone can run.
    #[must_use]
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = Path::new("/run/bin").join(name);
        fs::write(&path, text).expect("the sandbox's own directory");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a file of our own");
        path
    }

    /// The log daemon of this world; nobody listens at /dev/log before it is asked for.
    pub fn log(&self) -> &Log {
        self.log.get_or_init(Log::listen)
    }

    /// Everything that happened, for whoever reads a failure.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = String::from("commands:\n");
        for (line, life) in &*self.commands.lock().unwrap_or_else(PoisonError::into_inner) {
            report += &format!("{line}\n{}", *life.get());
        }
        report += "rules:\n";
        list_rules(Path::new(RULES), &mut report);
        if let Some(log) = self.log.get() {
            report += &format!("log:\n{}\n", log.lines().join("\n"));
        }
        report
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("\n{}", self.report());
        }
    }
}

fn rule_path(name: &str) -> PathBuf {
    Path::new(RULES).join(name)
}

/// A command that can be started, as often as wanted.
#[derive(Debug)]
pub struct Command<'w> {
    world: &'w World,
    user: User,
    argv: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Option<OwnedFd>,
}

impl Command<'_> {
    /// Adds to the environment, which otherwise holds PATH, HOME, USER and LANG.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Gives it this as its standard input, in the place of nothing.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(mut self) -> Running {
        let User { name, uid, gid, groups, home } = &self.user;
        let mut command = process::Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).current_dir(home).env_clear();
        command.envs([("PATH", PATH), ("USER", name), ("LANG", "C.UTF-8")]).env("HOME", home);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        crate::sys::run_as(&mut command, *uid, *gid, groups.clone());
        let stdin = self.stdin.take().map_or_else(Stdio::null, Stdio::from);
        let running = Running::start_on(stdin, &mut command);
        let line = format!("{} [{}]", self.as_typed(), running.pid);
        self.world.commands.lock().unwrap_or_else(PoisonError::into_inner).push((line, running.life()));
        running
    }

    /// Starts it and waits for its end.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    #[must_use]
    pub fn run(self) -> Finished {
        self.start().wait()
    }

    /// As a person would type it, prompt and all.
    #[must_use]
    pub fn as_typed(&self) -> String {
        let prompt = if self.user.uid.is_root() { '#' } else { '$' };
        let mut line = format!("{}{prompt}", self.user.name);
        for (name, value) in &self.environment {
            line += &format!(" {}={}", name.to_string_lossy(), quoted(value));
        }
        for word in &self.argv {
            line += &format!(" {}", quoted(word));
        }
        line
    }
}

fn quoted(word: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+=./,:@%!".contains(byte);
    let text = word.to_string_lossy();
    if !word.is_empty() && word.as_bytes().iter().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A listing as of `ls -lR`, with ACLs and the content of what has any.
fn list_rules(path: &Path, report: &mut String) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
    let kind = if meta.is_dir() { 'd' } else { '-' };
    *report += &format!("  {kind}{mode:04o} {uid}:{gid} {}{}\n", path.display(), acl(path));
    // Not a FIFO, whose reader would wait for a writer.
    let text = if meta.is_file() { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().for_each(|line| *report += &format!("    | {line}\n"));
    let mut entries: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().for_each(|entry| list_rules(entry, report));
}

/// The named entries and the mask of a POSIX ACL, in the words of acl(5), from `system.posix_acl_access`: a version of
/// four bytes, then a tag, permissions and an id for each entry.
fn acl(path: &Path) -> String {
    let attribute = xattr::get(path, "system.posix_acl_access").ok().flatten().unwrap_or_default();
    let entries = attribute.get(4..).unwrap_or_default().chunks_exact(8).filter_map(|entry| {
        let [tag, _, bits, _, id @ ..] = entry else { return None };
        let id = u32::from_le_bytes(id.try_into().ok()?);
        let name = match tag {
            0x02 => format!("user:{id}"),
            0x08 => format!("group:{id}"),
            0x10 => String::from("mask:"),
            _ => return None,
        };
        let bits: String = "rwx".chars().zip([4, 2, 1]).map(|(c, bit)| if bits & bit == 0 { '-' } else { c }).collect();
        Some(format!(" {name}:{bits}"))
    });
    entries.collect()
}
