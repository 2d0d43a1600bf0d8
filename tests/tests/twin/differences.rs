//! Where rauthbind answers otherwise than authbind 2.1.3, and why.

use std::net::{IpAddr, SocketAddr};

use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID};
use rauthbind_policy::rules::LONGEST_FILE;

use crate::cases::{Case, MARKED_PORTS, NOBODYS};
use crate::tree::{Entry, Kind, Permission, ROOTS, Tree, lines, rule};

/// Who alone grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grants {
    Ours,
    Theirs,
}

pub(crate) struct Difference {
    /// In the words of rauthbind-rules(5).
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// Whether it may be why this case is answered so.
    pub(crate) explains: fn(&Case, Grants) -> bool,
    /// Requests of alice's that show it.
    pub(crate) witnesses: Vec<(Tree, &'static str, Grants)>,
}

const TCP: &str = "127.0.0.1:80/tcp";
const NEVER: fn(&Case, Grants) -> bool = |_, _| false;

pub(crate) fn differences() -> Vec<Difference> {
    use Grants::{Ours, Theirs};
    vec![
        Difference {
            name: "Names may end in a protocol",
            reason: "a rule for one protocol is looked up before the one for all",
            explains: |case, _| case.tree.entries.iter().any(|entry| case.is_for_its_protocol(&entry.name)),
            witnesses: vec![
                (Tree::of([rule("byport/80,tcp", true)]), TCP, Ours),
                (Tree::of([rule("byport/80,tcp", false), rule("byport/80", true)]), TCP, Theirs),
                (Tree::of([rule("byaddr/::1,80,udp", true)]), "[::1]:80/udp", Ours),
            ],
        },
        Difference {
            name: "the exclamation mark may be left out",
            reason: "the name of one port cannot grant 512 to 1023 by accident, as a line for many can",
            explains: |case, _| {
                let mut unmarked = case.tree.entries.iter().filter(|entry| is_unmarked(entry));
                case.is_marked_port() && unmarked.any(|entry| case.is_for_its_port(&entry.name))
            },
            witnesses: vec![
                (Tree::of([rule("byport/600", true)]), "127.0.0.1:600/tcp", Ours),
                (Tree::of([rule("byaddr/127.0.0.1,600", true)]), "127.0.0.1:600/tcp", Ours),
                (
                    Tree::of([rule("byport/600", false), rule("byaddr/!127.0.0.1,600", true)]),
                    "127.0.0.1:600/tcp",
                    Theirs,
                ),
            ],
        },
        Difference {
            name: "IPv4-mapped addresses are looked up as IPv6 and then as IPv4",
            reason: "a server that binds ::ffff:10.0.0.1 is on 10.0.0.1, so that the rules for that count",
            explains: |case, _| is_mapped(case.address),
            witnesses: vec![
                (Tree::of([rule("byaddr/127.0.0.1,80", true)]), "[::ffff:127.0.0.1]:80/tcp", Ours),
                (Tree::of([lines("4001", "127.0.0.0/8,80\n")]), "[::ffff:127.0.0.1]:80/tcp", Ours),
                (
                    Tree::of([rule("byaddr/127.0.0.1,80", false), lines("4001", "::/0,80\n")]),
                    "[::ffff:127.0.0.1]:80/tcp",
                    Theirs,
                ),
            ],
        },
        Difference {
            name: "files may have comments",
            reason: "a line may say what it is for",
            explains: |case, grants| grants == Ours && case.lines().any(|line| line.contains('#')),
            witnesses: vec![(Tree::of([lines("4001", "127.0.0.1,80 # web\n")]), TCP, Ours)],
        },
        Difference {
            name: "The directories must belong to root and be writable by root alone",
            reason: "whoever can write to a directory of rules could grant himself everything",
            explains: |case, grants| grants == Theirs && case.tree.has_untrusted_directory(),
            witnesses: vec![
                (granting(|tree| tree.top.mode = 0o775), TCP, Theirs),
                (granting(|tree| tree.top.owner = 4001), TCP, Theirs),
                (granting(|tree| tree.directories[0].1 = Some(Permission { mode: 0o1777, ..ROOTS })), TCP, Theirs),
                (granting(|tree| tree.directories[0].1 = Some(Permission { owner: 4002, ..ROOTS })), TCP, Theirs),
            ],
        },
        Difference {
            name: "A directory or another file that is not regular is no rule",
            reason: "anybody may search an ordinary directory, which must not pass for a grant",
            explains: |case, grants| {
                let is_odd = |entry: &Entry| matches!(entry.kind, Kind::Directory(_) | Kind::Fifo(_));
                let mut odd = case.tree.entries.iter().filter(|entry| is_odd(entry));
                grants == Theirs && odd.any(|entry| case.is_for_its_port(&entry.name))
            },
            witnesses: vec![
                (Tree::of([Entry { name: "byport/80".into(), kind: Kind::Directory(ROOTS) }]), TCP, Theirs),
                (Tree::of([Entry { name: "byaddr/127.0.0.1,80".into(), kind: Kind::Fifo(ROOTS) }]), TCP, Theirs),
            ],
        },
        Difference {
            name: "files are read as the subject, not as root",
            reason: "the helper has no right to read what its user may not",
            explains: |case, grants| grants == Theirs && case.cannot_read_its_lines(),
            witnesses: vec![
                (Tree::of([unreadable(lines("4001", "127.0.0.1,80\n"))]), TCP, Theirs),
                (
                    Tree {
                        directories: [
                            (BYPORT, None),
                            (BYADDR, None),
                            (BYUID, Some(Permission { mode: 0o700, ..ROOTS })),
                        ],
                        ..Tree::of([lines("4001", "127.0.0.1,80\n")])
                    },
                    TCP,
                    Theirs,
                ),
            ],
        },
        Difference {
            name: "and up to 64 KiB",
            reason: "nobody can have the helper read for ever",
            explains: NEVER,
            witnesses: vec![(Tree::of([lines("4001", &long_file())]), TCP, Theirs)],
        },
        Difference {
            name: "is looked up before byaddr/ADDRESS:PORT",
            reason: "the order of authbind's man page, where its program has the other one",
            explains: |case, _| case.has_both_separators(),
            witnesses: vec![
                (Tree::of([rule("byaddr/127.0.0.1,80", true), rule("byaddr/127.0.0.1:80", false)]), TCP, Ours),
                (Tree::of([rule("byaddr/127.0.0.1,80", false), rule("byaddr/127.0.0.1:80", true)]), TCP, Theirs),
            ],
        },
        Difference {
            name: "A line with a number that has a sign or is beyond 65535 grants nothing",
            reason: "authbind reads lines with sscanf(3), which takes signs, blanks and numbers that overflow",
            explains: |case, grants| grants == Theirs && case.lines().any(is_read_by_sscanf_alone),
            witnesses: [
                "127.0.0.1,+80",
                "127.0.0.1,80--1",
                "127.0.0.1,80-70000",
                "127.0.0.1,4294967376",
                "127.0.0.0/+8,80",
                "127.0.0.1,\x0b80",
                "127.0.0.00/8:80,80",
                "127. 0.0.0/8:80,80",
            ]
            .map(|line| (Tree::of([lines("4001", line)]), TCP, Theirs))
            .into(),
        },
        Difference {
            name: "file is read whole",
            reason: "authbind reads 298 bytes of a line, then the next ones as another line, and nothing behind a zero byte",
            explains: NEVER,
            witnesses: vec![
                (Tree::of([lines("4001", &format!("127.0.0.1,{}80\n", "0".repeat(300)))]), TCP, Ours),
                (Tree::of([lines("4001", &format!("{}127.0.0.1,80\n", "x".repeat(298)))]), TCP, Theirs),
                (Tree::of([lines("4001", "127.0.0.1,80\0 and so on\n")]), TCP, Theirs),
            ],
        },
    ]
}

/// A grant to everybody, but for this.
fn granting(but: impl FnOnce(&mut Tree)) -> Tree {
    let mut tree = Tree::of([rule("byport/80", true)]);
    but(&mut tree);
    tree
}

fn unreadable(entry: Entry) -> Entry {
    match entry.kind {
        Kind::File(permission, text) => {
            Entry { kind: Kind::File(Permission { mode: 0o600, ..permission }, text), ..entry }
        }
        _ => entry,
    }
}

fn long_file() -> String {
    "127.0.0.1,80\n".repeat(1 + usize::try_from(LONGEST_FILE).unwrap() / 13)
}

fn is_mapped(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

fn is_unmarked(entry: &Entry) -> bool {
    !entry.name.starts_with(BYUID) && !entry.name.contains('!')
}

impl Case {
    fn is_for_its_protocol(&self, name: &str) -> bool {
        name.strip_suffix(&format!(",{}", self.protocol)).is_some_and(|name| self.is_for_its_port(name))
    }

    fn is_for_its_port(&self, name: &str) -> bool {
        name.rsplit(['/', '!', ',', ':']).next() == Some(&self.address.port().to_string())
    }

    fn is_marked_port(&self) -> bool {
        MARKED_PORTS.contains(&self.address.port().into())
    }

    fn has_both_separators(&self) -> bool {
        let bang = if self.is_marked_port() { "!" } else { "" };
        let has = |separator| {
            let name = format!("{BYADDR}/{bang}{}{separator}{}", self.address.ip(), self.address.port());
            self.tree.entries.iter().any(|entry| entry.name == name)
        };
        has(',') && has(':')
    }

    /// The `byuid` file that is the subject's for this port.
    fn byuid(&self) -> Option<&Entry> {
        let bang = if self.is_marked_port() { "!" } else { "" };
        let name = format!("{BYUID}/{bang}{}", self.uid);
        self.tree.entries.iter().find(|entry| entry.name == name)
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let text = match self.byuid() {
            Some(Entry { kind: Kind::File(_, text), .. }) => text,
            _ => "",
        };
        text.split('\n')
    }

    fn cannot_read_its_lines(&self) -> bool {
        let [.., (_, directory)] = self.tree.directories;
        let hidden = directory.is_some_and(|directory| directory.mode & 0o001 == 0);
        hidden
            || self.byuid().is_some_and(|entry| match &entry.kind {
                Kind::File(permission, _) => permission.mode & 0o444 != 0o444,
                Kind::Link(to) => *to == NOBODYS,
                _ => false,
            })
    }
}

impl Tree {
    fn has_untrusted_directory(&self) -> bool {
        let below = self.directories.iter().filter_map(|(_, permission)| *permission);
        below.chain([self.top]).any(|permission| permission.owner != 0 || permission.mode & 0o022 != 0)
    }
}

/// Whether a line has a number, or a blank, that sscanf(3) takes for one and we do not.
fn is_read_by_sscanf_alone(line: &str) -> bool {
    let old_form = line.split_once('/').filter(|(_, rest)| rest.contains(':')).map(|(address, _)| address);
    let octets = old_form.is_some_and(|address| address.trim_ascii().parse::<IpAddr>().is_err());
    let is_sign = |before: &str| {
        let before = before.trim_ascii_end();
        before.is_empty() || before.ends_with([',', '-', '/']) || old_form.is_some() && before.ends_with(':')
    };
    let minus = line.match_indices('-').any(|(index, _)| line.get(..index).is_some_and(is_sign));
    let large = line.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.parse::<u64>().is_ok_and(|n| n > 0xffff));
    line.contains(',') && (octets || minus || large || line.contains(['+', '\x0b']))
}
