//! Random cases: rules that lie near the request, so that they matter to it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID};
use rauthbind_tests::sandbox::{USERS, WEB};

use crate::tree::{Entry, Kind, Permission, ROOTS, Tree};

/// Who asks for what, with which rules.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) uid: u32,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: &'static str,
    pub(crate) tree: Tree,
}

impl Case {
    /// The request in the words of the log.
    pub(crate) fn what(&self) -> String {
        format!("{}/{}", self.address, self.protocol)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "uid {} binds {} with\n{:?}", self.uid, self.what(), self.tree)
    }
}

/// The ports of which authbind expects an exclamation mark.
pub(crate) const MARKED_PORTS: RangeInclusive<i32> = 512..=1023;

/// Links lead here: to a rule for everybody, to one for nobody, and to nothing.
pub(crate) const EVERYBODYS: &str = "/run/twin/everybodys";
pub(crate) const NOBODYS: &str = "/run/twin/nobodys";
const NOWHERE: &str = "/run/twin/nowhere";

/// A link to itself.
pub(crate) const LOOP: &str = "/run/twin/loop";

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let request = (user(), select(&["tcp", "udp"][..]), address(), port());
    (request, prop::collection::vec(near(), 0..5), directories()).prop_map(|(request, near, (top, directories))| {
        let (uid, protocol, ip, port) = request;
        let names = [BYPORT, BYADDR, BYUID];
        let asked = Asked { uid, ip, port };
        let mut tree = Tree::of(near.iter().map(|near| near.entry(&asked)));
        tree.top = top;
        tree.directories = std::array::from_fn(|index| (names[index], directories[index]));
        Case { uid, address: SocketAddr::new(ip, port), protocol, tree }
    })
}

/// What the names and lines of a case are made from.
struct Asked {
    uid: u32,
    ip: IpAddr,
    port: u16,
}

fn user() -> impl Strategy<Value = u32> {
    select(USERS.map(|user| user.id).to_vec())
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(80), 2 => select(vec![1, 9, 443, 511, 512, 600, 1023]), 3 => 1..=1023_u16]
}

/// Addresses that any socket of their family may be bound to.
fn address() -> BoxedStrategy<IpAddr> {
    let v4 = prop_oneof![
        4 => select(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 5)]),
        2 => any::<u32>().prop_map(Ipv4Addr::from),
    ];
    let group = prop_oneof![2 => Just(0), 1 => 0..0x20_u16, 1 => any::<u16>()];
    let v6 = prop_oneof![
        4 => select(vec![Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xa, 0xb)]),
        3 => prop::array::uniform7(group).prop_map(|[a, b, c, d, e, f, g]| Ipv6Addr::new(0x2001, a, b, c, d, e, f, g)),
        1 => any::<u32>().prop_map(|bits| Ipv6Addr::from(u128::from(bits))),
    ];
    let mapped = v4.clone().prop_map(|v4| v4.to_ipv6_mapped());
    prop_oneof![12 => v4.prop_map(IpAddr::from), 9 => v6.prop_map(IpAddr::from), 1 => mapped.prop_map(IpAddr::from)]
        .boxed()
}

fn directories() -> impl Strategy<Value = (Permission, [Option<Permission>; 3])> {
    let modes = prop_oneof![150 => Just(0o755), 1 => select(vec![0o555, 0o700, 0o711, 0o775, 0o1777, 0o000])];
    let owner = prop_oneof![150 => Just(0), 1 => user()];
    let permission = (owner, modes).prop_map(|(owner, mode)| Permission { owner, group: 0, mode });
    let below = prop_oneof![30 => permission.clone().prop_map(Some), 1 => Just(None)];
    let below = prop::array::uniform3(below);
    (permission, below)
}

/// A rule, by how it differs from the one that the request asks for.
#[derive(Clone, Debug)]
struct Near {
    name: Name,
    odd_bang: bool,
    port: Distance,
    protocol: Option<&'static str>,
    kind: Shape,
    permission: Permission,
}

#[derive(Clone, Debug)]
enum Name {
    Port,
    Address {
        place: Place,
        spelling: Spelling,
        separator: char,
    },
    /// With its lines; the number of another user, where there is one.
    User(Option<u32>, Vec<Line>),
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    File,
    Directory,
    Fifo,
    Link(&'static str),
}

/// From the port that is asked for.
type Distance = i32;

fn near() -> BoxedStrategy<Near> {
    let address = (place(), spelling(), select(vec![',', ':']))
        .prop_map(|(place, spelling, separator)| Name::Address { place, spelling, separator });
    let user = (option::weighted(0.1, user()), prop::collection::vec(line(), 0..6))
        .prop_map(|(other, lines)| Name::User(other, lines));
    let name = prop_oneof![2 => Just(Name::Port), 4 => address, 6 => user];
    let links = select(vec![EVERYBODYS, NOBODYS, NOWHERE, LOOP]).prop_map(Shape::Link);
    let kind = prop_oneof![40 => Just(Shape::File), 1 => Just(Shape::Directory), 1 => Just(Shape::Fifo), 3 => links];
    let protocol = option::weighted(0.06, select(vec!["tcp", "udp", "sctp", "TCP"]));
    (name, prop::bool::weighted(0.04), distance(), protocol, kind, permission())
        .prop_map(|(name, odd_bang, port, protocol, kind, permission)| Near {
            name,
            odd_bang,
            port,
            protocol,
            kind,
            permission,
        })
        .boxed()
}

fn distance() -> impl Strategy<Value = Distance> {
    prop_oneof![12 => Just(0), 2 => -2..=2_i32, 1 => -1023..=1023_i32]
}

fn permission() -> BoxedStrategy<Permission> {
    let owner = prop_oneof![4 => Just(0), 1 => user()];
    let group = prop_oneof![1 => Just(0), 2 => user(), 2 => Just(WEB.1)];
    let mode = prop_oneof![4 => Just(0o755), 2 => Just(0o710), 1 => Just(0o644), 3 => 0..0o1000_u32];
    (owner, group, mode).prop_map(|(owner, group, mode)| Permission { owner, group, mode }).boxed()
}

impl Near {
    fn entry(&self, asked: &Asked) -> Entry {
        let port = moved(asked.port, self.port);
        let bang = if MARKED_PORTS.contains(&port) == self.odd_bang { "" } else { "!" };
        let protocol = self.protocol.map_or(String::new(), |protocol| format!(",{protocol}"));
        let (name, text) = match &self.name {
            Name::Port => (format!("{BYPORT}/{bang}{port}{protocol}"), String::new()),
            Name::Address { place, spelling, separator } => {
                let ip = spelling.spell(place.of(asked.ip));
                (format!("{BYADDR}/{bang}{ip}{separator}{port}{protocol}"), String::new())
            }
            Name::User(other, lines) => {
                let text = lines.iter().map(|line| line.text(asked)).collect();
                (format!("{BYUID}/{bang}{}", other.unwrap_or(asked.uid)), text)
            }
        };
        let permission = match self.name {
            // Most can be read by all.
            Name::User(..) if self.permission.mode & 0o111 != 0 => Permission { mode: 0o644, ..ROOTS },
            _ => self.permission,
        };
        let kind = match (self.kind, &self.name) {
            // Whoever reads a FIFO waits for a writer.
            (Shape::Directory, _) | (Shape::Fifo, Name::User(..)) => Kind::Directory(permission),
            (Shape::File, _) => Kind::File(permission, text),
            (Shape::Fifo, _) => Kind::Fifo(permission),
            (Shape::Link(to), _) => Kind::Link(to),
        };
        Entry { name, kind }
    }
}

fn moved(port: u16, distance: Distance) -> i32 {
    (i32::from(port) + distance).max(0)
}

/// An address, by how it differs from the one that is asked for.
#[derive(Clone, Copy, Debug)]
enum Place {
    Moved(i8),
    /// The first bits of it, and zeroes.
    Prefix(u8),
    Other(IpAddr),
}

fn place() -> BoxedStrategy<Place> {
    prop_oneof![
        8 => Just(Place::Moved(0)),
        2 => any::<i8>().prop_map(Place::Moved),
        1 => any::<u8>().prop_map(Place::Prefix),
        1 => address().prop_map(Place::Other),
    ]
    .boxed()
}

impl Place {
    fn of(self, ip: IpAddr) -> IpAddr {
        match (self, ip) {
            (Place::Other(other), _) => other,
            (Place::Moved(by), IpAddr::V4(ip)) => Ipv4Addr::from(ip.to_bits().wrapping_add_signed(by.into())).into(),
            (Place::Moved(by), IpAddr::V6(ip)) => Ipv6Addr::from(ip.to_bits().wrapping_add_signed(by.into())).into(),
            (Place::Prefix(bits), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
                Ipv4Addr::from(ip.to_bits() & mask).into()
            }
            (Place::Prefix(bits), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
                Ipv6Addr::from(ip.to_bits() & mask).into()
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Spelling {
    Usual,
    InFull,
    Capitals,
    LeadingZeroes,
    /// The last 32 bits of IPv6 as IPv4.
    Dotted,
    Brackets,
}

fn spelling() -> BoxedStrategy<Spelling> {
    use Spelling::*;
    prop_oneof![
        10 => Just(Usual), 4 => Just(InFull), 1 => Just(Capitals), 1 => Just(LeadingZeroes), 2 => Just(Dotted),
        1 => Just(Brackets),
    ]
    .boxed()
}

impl Spelling {
    fn spell(self, ip: IpAddr) -> String {
        let IpAddr::V6(v6) = ip else {
            return match self {
                Spelling::LeadingZeroes => ip.to_string().replace('.', ".0"),
                Spelling::Brackets => format!("[{ip}]"),
                _ => ip.to_string(),
            };
        };
        let groups = v6.segments();
        match self {
            Spelling::Usual => v6.to_string(),
            Spelling::InFull => groups.map(|group| format!("{group:x}")).join(":"),
            Spelling::Capitals => v6.to_string().to_uppercase(),
            Spelling::LeadingZeroes => groups.map(|group| format!("{group:04x}")).join(":"),
            Spelling::Dotted => {
                let [.., a, b, c, d] = v6.octets();
                let [first @ .., _, _] = groups.map(|group| format!("{group:x}"));
                let first = if groups[..6] == [0; 6] { ":".to_owned() } else { first.join(":") };
                format!("{first}:{a}.{b}.{c}.{d}")
            }
            Spelling::Brackets => format!("[{v6}]"),
        }
    }
}

/// A line of a `byuid` file.
#[derive(Clone, Debug)]
enum Line {
    Rule {
        addresses: Addresses,
        spelling: Spelling,
        ports: (Distance, Option<Distance>),
        edits: Vec<Edit>,
        end: &'static str,
    },
    Anything(String),
}

/// The addresses of a line, in each of the forms.
#[derive(Clone, Debug)]
enum Addresses {
    Range(Place, Option<Place>),
    /// The length, and another address than the one that belongs to it.
    Prefix(Option<Place>, u8),
    /// The same, as `ADDRESS/LENGTH:PORT,PORT`.
    OldPrefix(Option<Place>, u8),
}

#[derive(Clone, Debug)]
struct Edit {
    at: Index,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Insert(char),
    /// Beside a separator, or at an end.
    Blank(char),
    Delete,
}

fn line() -> BoxedStrategy<Line> {
    let prefix = (option::weighted(0.1, place()), 0..=129_u8);
    let addresses = prop_oneof![
        2 => (place(), Just(None)).prop_map(|(first, last)| Addresses::Range(first, last)),
        2 => (place(), place()).prop_map(|(first, last)| Addresses::Range(first, Some(last))),
        4 => prefix.clone().prop_map(|(other, bits)| Addresses::Prefix(other, bits)),
        2 => prefix.prop_map(|(other, bits)| Addresses::OldPrefix(other, bits)),
    ];
    let ports = (distance(), option::of(distance()));
    let change = prop_oneof![
        2 => select(vec![' ', '\t', '\r']).prop_map(Change::Blank),
        2 => select(" ,-/:.#+!0189af\x0b\n".chars().collect::<Vec<_>>()).prop_map(Change::Insert),
        1 => Just(Change::Delete),
    ];
    let edit = (any::<Index>(), change).prop_map(|(at, change)| Edit { at, change });
    let edits = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(edit, 1..3)];
    let end = prop_oneof![16 => Just("\n"), 1 => select(vec!["\r\n", " \n", "", " # web\n", "#\n", ",tcp\n"])];
    let rule = (addresses, spelling(), ports, edits, end)
        .prop_map(|(addresses, spelling, ports, edits, end)| Line::Rule { addresses, spelling, ports, edits, end });
    prop_oneof![12 => rule, 1 => "[0-9a-f:., /-]{0,24}\n".prop_map(Line::Anything)].boxed()
}

impl Line {
    fn text(&self, asked: &Asked) -> String {
        let (addresses, spelling, ports, edits, end) = match self {
            Line::Rule { addresses, spelling, ports, edits, end } => (addresses, spelling, ports, edits, end),
            Line::Anything(text) => return text.clone(),
        };
        let spell = |place: &Place| spelling.spell(place.of(asked.ip));
        let prefix = |other: &Option<Place>, bits: u8| {
            // Most lengths would be too long for IPv4.
            let bits = if asked.ip.is_ipv4() { bits % 34 } else { bits };
            format!("{}/{bits}", spell(&other.unwrap_or(Place::Prefix(bits))))
        };
        let (first, last) = (moved(asked.port, ports.0), ports.1.map(|distance| moved(asked.port, distance)));
        let range = last.map_or(first.to_string(), |last| format!("{first}-{last}"));
        let mut text = match addresses {
            Addresses::Range(first, None) => format!("{},{range}", spell(first)),
            Addresses::Range(first, Some(last)) => format!("{}-{},{range}", spell(first), spell(last)),
            Addresses::Prefix(other, bits) => format!("{},{range}", prefix(other, *bits)),
            Addresses::OldPrefix(other, bits) => {
                format!("{}:{first},{}", prefix(other, *bits), last.unwrap_or(first))
            }
        };
        for Edit { at, change } in edits {
            let anywhere = (0..=text.len()).collect();
            let beside = text.match_indices(['-', '/', ':', ',']).flat_map(|(index, _)| [index, index + 1]);
            let beside = beside.chain([0, text.len()]);
            let places: Vec<_> = if let Change::Blank(_) = change { beside.collect() } else { anywhere };
            let place = *at.get(&places);
            match change {
                Change::Insert(char) | Change::Blank(char) => text.insert(place, *char),
                Change::Delete if place < text.len() => drop(text.remove(place)),
                Change::Delete => {}
            }
        }
        text + end
    }
}
