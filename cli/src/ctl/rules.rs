//! The rules as they are in the directory, or as they are to be, and what they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use rauthbind_policy::keys::{self, BYADDR, BYPORT, BYUID, IMPERSONATING_PORTS};
use rauthbind_policy::rules::LONGEST_FILE;
use rauthbind_policy::{Protocol, Request, byuid};

use super::access::{Access, EXECUTE, Identity, READ};
use super::error::Error;
use super::lines::Line;
use super::subject::Subject;
use crate::accounts::number;

/// What a rule file below `byport` or `byaddr` decides, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Not 0.
    pub port: u16,
    /// `None`: every address.
    pub address: Option<IpAddr>,
    /// `None`: every protocol.
    pub protocol: Option<Protocol>,
}

impl Key {
    /// The key of a file, given as `byport/80`; `None` where nothing looks for a file of that name.
    pub fn of(file: &str) -> Option<Key> {
        let (directory, name) = file.split_once('/')?;
        let name = name.strip_prefix('!').unwrap_or(name);
        let last = Protocol::ALL.into_iter().find_map(|known| Some((name.strip_suffix(known.name())?, known)));
        let (name, protocol) = match last.and_then(|(name, known)| Some((name.strip_suffix(',')?, known))) {
            Some((name, protocol)) => (name, Some(protocol)),
            None => (name, None),
        };
        let (address, port) = match directory {
            BYADDR => {
                let (address, port) = name.rsplit_once(',').or_else(|| name.rsplit_once(':'))?;
                (Some(address.parse().ok()?), port)
            }
            _ => (None, name),
        };
        let key = Key { port: port.parse().ok().filter(|port| *port != 0)?, address, protocol };
        key.files().iter().any(|known| known == file).then_some(key)
    }

    /// The files that have this key, in the order in which they are looked up; the first is the one to be made.
    pub fn files(&self) -> Vec<String> {
        let ip = self.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let names = |protocol| {
            let request = Request { protocol, address: SocketAddr::new(ip, self.port) };
            if self.address.is_none() { byport(&request) } else { byaddr(&request) }
        };
        // Among the names for a mapped address are those of the IPv4 address in it, which have a key of their own.
        let is_other = |name: &str| {
            let address = name.trim_start_matches(|c| c != '/').trim_start_matches(['/', '!']).split(',').next();
            self.address.is_some_and(|ip| match address.and_then(|text| text.parse::<IpAddr>().ok()) {
                Some(named) => named != ip,
                None => ip.is_ipv6(),
            })
        };
        let for_all = |name: &String| names(Protocol::Tcp).contains(name) && names(Protocol::Udp).contains(name);
        let mut files = names(self.protocol.unwrap_or(Protocol::Tcp));
        files.retain(|name| for_all(name) == self.protocol.is_none() && !is_other(name));
        files
    }
}

/// By this order each request finds its files in the order in which it looks them up.
pub fn rank(file: &str) -> impl Ord + use<> {
    Key::of(file).map_or((true, false, false, false, 0), |key| {
        let at = key.files().iter().position(|known| known == file).unwrap_or_default();
        (false, key.address.is_some(), key.address.is_some_and(|ip| ip.is_ipv4()), key.protocol.is_none(), at)
    })
}

fn byport(request: &Request) -> Vec<String> {
    in_directory(BYPORT, keys::byport(request))
}

fn byaddr(request: &Request) -> Vec<String> {
    in_directory(BYADDR, keys::byaddr(request))
}

fn in_directory(directory: &str, names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| format!("{directory}/{name}")).collect()
}

/// The `byuid` file of a user for ports 512 to 1023, or for the others.
pub fn byuid_file(user: u32, impersonating: bool) -> String {
    let port = if impersonating { *IMPERSONATING_PORTS.start() } else { 1 };
    let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    format!("{BYUID}/{}", keys::byuid(&Request { protocol: Protocol::Tcp, address }, user))
}

/// The user of a file below `byuid`, and whether it is the one for ports 512 to 1023.
pub fn user_of(file: &str) -> Option<(u32, bool)> {
    let name = file.strip_prefix(BYUID)?.strip_prefix('/')?;
    let impersonating = name.starts_with('!');
    let user = number(name.trim_start_matches('!'))?;
    (byuid_file(user, impersonating) == file).then_some((user, impersonating))
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link to one.
    Link,
    /// Something that is no rule, and a refusal where its name is looked up.
    NoFile,
    /// A symbolic link to nowhere, which counts as nothing.
    Dangling,
    /// A symbolic link that cannot be followed from here: what it is to others is not known.
    Unseen,
}

/// A file in one of the directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is.
    pub kind: Kind,
    /// Who may do what with it.
    pub access: Access,
    /// What is in it: below `byuid` the rule itself, elsewhere comments. `None` where it cannot be read, or is longer than
    /// the helper reads.
    pub text: Option<Vec<u8>>,
    /// Below `byuid`: whether its user can read it, without which it grants nothing.
    pub is_readable: bool,
}

impl Rule {
    /// One that grants nobody anything.
    pub fn new(access: Access) -> Rule {
        Rule { kind: Kind::File, access, text: Some(Vec::new()), is_readable: true }
    }

    /// Of the user of this id, where the rule is one of lines.
    fn read(path: &Path, user: Option<u32>) -> io::Result<Rule> {
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        let rule = |kind, access, text| Rule { kind, access, text, is_readable: false };
        let access = match Access::of(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && is_link => {
                return Ok(rule(Kind::Dangling, Access::roots(), None));
            }
            Err(_) if is_link => return Ok(rule(Kind::Unseen, Access::roots(), None)),
            access => access?,
        };
        let kind = match fs::metadata(path)?.is_file() {
            true if is_link => Kind::Link,
            true => Kind::File,
            false => return Ok(rule(Kind::NoFile, access, None)),
        };
        // Only where groups matter, the databases are asked for the user's.
        let may_read = |user| {
            let is_anyones = access.is_everybodys(READ);
            Ok::<_, io::Error>(is_anyones || access.permits(&Identity::of(Subject::User(user))?, READ))
        };
        let is_readable = user.map_or(Ok(false), may_read)?;
        Ok(Rule { is_readable, ..rule(kind, access, read_text(path, is_link).ok().flatten()) })
    }

    /// Whether it is one that can grant something.
    pub fn is_regular(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::Link)
    }

    /// Whether this user may execute it, by the kernel's word.
    pub fn is_granted_to(&self, who: &Identity) -> bool {
        self.is_regular() && self.access.permits(who, EXECUTE)
    }

    /// Whether what it grants is not known and may be for others than root to say, as where its owner has made it too long.
    pub fn is_obscure(&self) -> bool {
        self.kind == Kind::Unseen || self.is_regular() && self.text.is_none() && self.access.is_foreign()
    }

    fn has_line_for(&self, address: SocketAddr) -> bool {
        let text = self.text.as_deref().filter(|_| self.is_readable);
        text.is_some_and(|text| byuid::granting_line(text, address).is_some())
    }

    /// Its lines, without what ends them.
    pub fn lines(&self) -> Vec<&[u8]> {
        let text = self.text.as_deref().unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() { Vec::new() } else { text.split(|byte| *byte == b'\n').collect() }
    }

    /// Puts these lines into it.
    pub fn set_lines(&mut self, lines: &[Vec<u8>]) {
        self.text = Some(lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect());
    }
}

/// What is in a file; `None` where it is longer than the helper reads. Symbolic links are followed where it may be one.
///
/// # Errors
/// Those of open(2) and read(2).
pub fn read_text(path: &Path, is_link: bool) -> io::Result<Option<Vec<u8>>> {
    // Should somebody put a FIFO or a link in the place of the file: not blocking, and not followed.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | if is_link { 0 } else { libc::O_NOFOLLOW };
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let mut text = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    Ok(u64::try_from(text.len()).is_ok_and(|length| length <= LONGEST_FILE).then_some(text))
}

/// Every file in the directories of rules, by names such as `byport/80`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(pub BTreeMap<String, Rule>);

impl RuleSet {
    /// Reads them as far as they can be. A name that is not UTF-8 is nothing that is looked for.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(root: &Path) -> Result<RuleSet, Error> {
        let mut rules = BTreeMap::new();
        for directory in [BYPORT, BYADDR, BYUID] {
            let path = root.join(directory);
            let failed = |error| Error::File { verb: "read", path: path.clone(), error };
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let file = format!("{directory}/{}", entry.file_name().to_string_lossy());
                let rule = match Rule::read(&entry.path(), user_of(&file).map(|(user, _)| user)) {
                    // It is being replaced or removed just now.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    rule => rule.map_err(|error| Error::File { verb: "read", path: entry.path(), error })?,
                };
                rules.insert(file, rule);
            }
        }
        Ok(RuleSet(rules))
    }

    /// The file of this key that decides.
    pub fn of_key(&self, key: &Key) -> Option<String> {
        key.files().into_iter().find(|file| self.exists(file))
    }

    /// Whether a lookup of it finds something.
    pub fn exists(&self, file: &str) -> bool {
        self.0.get(file).is_some_and(|rule| rule.kind != Kind::Dangling)
    }

    /// The file below `byport` or `byaddr` that decides this, whoever asks.
    pub fn decider(&self, request: &Request) -> Option<String> {
        byport(request).into_iter().chain(byaddr(request)).find(|file| self.exists(file))
    }

    /// Whether this user may bind this, so far as it is for the rules to say.
    pub fn allows(&self, request: &Request, who: &Identity) -> bool {
        match self.decider(request).and_then(|file| self.0.get(&file)) {
            Some(rule) => rule.is_granted_to(who),
            None => who.user.is_some_and(|user| {
                let file = format!("{BYUID}/{}", keys::byuid(request, user));
                self.0.get(&file).is_some_and(|rule| rule.has_line_for(request.address))
            }),
        }
    }

    /// Every `byuid` line that grants something: its file, its number from 0 on, and what it grants.
    pub fn lines(&self) -> impl Iterator<Item = (&String, usize, Line)> {
        let of_users = self.0.iter().filter_map(|(file, rule)| Some((file, rule, user_of(file)?)));
        let read = of_users.filter(|(_, rule, _)| rule.is_readable);
        read.flat_map(|(file, rule, (_, impersonating))| {
            let lines = rule.lines().into_iter().enumerate();
            lines.flat_map(move |(at, line)| {
                Line::read(line, impersonating).into_iter().map(move |line| (file, at, line))
            })
        })
    }

    /// Every effective key with its file.
    pub fn keys(&self) -> impl Iterator<Item = (Key, &String, &Rule)> {
        self.0.iter().filter_map(|(file, rule)| {
            let key = Key::of(file)?;
            (self.of_key(&key).as_ref() == Some(file)).then_some((key, file, rule))
        })
    }

    /// Everybody whom a rule names.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let named = self.0.values().flat_map(|rule| rule.access.subjects());
        named.chain(self.0.keys().filter_map(|file| user_of(file)).map(|(user, _)| Subject::User(user))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_goes_by_rank() {
        for address in ["10.0.0.1:80", "10.0.0.1:600", "[::1]:80", "[::ffff:10.0.0.1]:600"] {
            let request = Request { protocol: Protocol::Udp, address: address.parse().unwrap() };
            let files: Vec<String> =
                byport(&request).into_iter().chain(byaddr(&request)).chain([byuid_file(1, false)]).collect();
            let mut sorted = files.clone();
            sorted.sort();
            sorted.sort_by_key(|file| rank(file));
            assert_eq!(sorted, files);
        }
    }

    #[test]
    fn each_name_has_its_key_and_each_key_its_names() {
        let key = |address: &str, port, protocol| Key { port, address: address.parse().ok(), protocol };
        let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
        for (key, files) in [
            (key("", 80, None), &["byport/80"][..]),
            (key("", 80, tcp), &["byport/80,tcp"]),
            (key("", 600, udp), &["byport/!600,udp", "byport/600,udp"]),
            (key("10.0.0.1", 80, None), &["byaddr/10.0.0.1,80", "byaddr/10.0.0.1:80"]),
            (key("10.0.0.1", 80, udp), &["byaddr/10.0.0.1,80,udp"]),
            (key("::1", 80, None), &["byaddr/::1,80", "byaddr/0:0:0:0:0:0:0:1,80"]),
            (key("::ffff:10.0.0.1", 80, None), &["byaddr/::ffff:10.0.0.1,80", "byaddr/0:0:0:0:0:ffff:a00:1,80"]),
            (
                key("::1", 600, tcp),
                &[
                    "byaddr/!::1,600,tcp",
                    "byaddr/::1,600,tcp",
                    "byaddr/!0:0:0:0:0:0:0:1,600,tcp",
                    "byaddr/0:0:0:0:0:0:0:1,600,tcp",
                ],
            ),
        ] {
            assert_eq!(key.files(), files);
            files.iter().for_each(|file| assert_eq!(Key::of(file), Some(key), "{file}"));
        }
        for none in [
            "byport/0",
            "byport/080",
            "byport/!80",
            "byport/80,",
            "byport/80,icmp",
            "byport/http",
            "byport/70000",
            "byaddr/80",
            "byaddr/10.0.0.1,080",
            "byaddr/::1:80",
            "byaddr/10.0.0.1:80,tcp",
            "byuid/80",
            "80",
            "other/80",
        ] {
            assert_eq!(Key::of(none), None, "{none}");
        }
        for (file, user) in [
            ("byuid/0", Some((0, false))),
            ("byuid/!4001", Some((4001, true))),
            ("byuid/04001", None),
            ("byuid/4294967295", None),
            ("byuid/!!1", None),
            ("byuid/alice", None),
            ("byport/1", None),
        ] {
            assert_eq!(user_of(file), user, "{file}");
        }
    }
}
