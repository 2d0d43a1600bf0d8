//! What is to change in the rules, so that it changes what was asked for and nothing else.
//!
//! The first file that exists decides, so a new one can take from others what a later one gives them. Each plan is
//! therefore tried on the rules as they were read, before anything is written: whoever is named in a rule, and somebody
//! who is not, must be told the same as before by every rule that could have changed its mind.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rauthbind_policy::keys::{self, IMPERSONATING_PORTS};
use rauthbind_policy::{Protocol, Request};

use super::access::{Access, EXECUTE, Identity};
use super::error::Error;
use super::lines::{self, EVERYWHERE, Line, Span};
use super::ports::{Addresses, Ports};
use super::rules::{Key, Kind, Rule, RuleSet, byuid_file};
use super::subject::{Names, Subject};

/// One port or range of ports that is given or taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Never empty.
    pub ports: RangeInclusive<u16>,
    /// `None`: all.
    pub protocol: Option<Protocol>,
    /// `None`: all.
    pub addresses: Option<Addresses>,
}

impl Asked {
    /// What a command line asks for, one by one.
    pub fn all(ports: &Ports, addresses: Option<Addresses>) -> Vec<Asked> {
        let each = |range: &RangeInclusive<u16>| Asked { ports: range.clone(), protocol: ports.protocol, addresses };
        ports.ranges.iter().map(each).collect()
    }

    /// The same of every protocol.
    #[must_use]
    pub fn of_all_protocols(&self) -> Asked {
        Asked { protocol: None, ..self.clone() }
    }

    /// Whether some of the ports are of those that pass for root's.
    pub fn is_impersonating(&self) -> bool {
        !lines::common(&self.ports, &IMPERSONATING_PORTS).is_empty()
    }

    /// The one file below `byport` or `byaddr` that says just this, if there can be one.
    pub fn key(&self) -> Option<Key> {
        let address = match self.addresses {
            None => None,
            Some(Addresses::One(ip)) => Some(ip),
            Some(Addresses::Many(_)) => return None,
        };
        let port = *self.ports.start();
        (port == *self.ports.end()).then_some(Key { port, address, protocol: self.protocol })
    }

    /// The addresses, as lines have them.
    pub fn spans(&self) -> Vec<Span> {
        self.addresses.map_or(EVERYWHERE.to_vec(), |addresses| vec![addresses.span()])
    }

    /// Whether the address is one of them. That of a socket for both families is also the IPv4 address in it.
    fn covers_address(&self, ip: IpAddr) -> bool {
        let spans = self.spans();
        keys::views(SocketAddr::new(ip, 0)).into_iter().any(|ip| spans.iter().any(|span| span.has(ip)))
    }

    fn covers(&self, request: &Request) -> bool {
        self.ports.contains(&request.address.port())
            && self.protocol.is_none_or(|protocol| protocol == request.protocol)
            && self.covers_address(request.address.ip())
    }

    /// Whether a file of this key decides nothing else.
    fn covers_key(&self, key: &Key) -> bool {
        self.ports.contains(&key.port)
            && (self.protocol.is_none() || self.protocol == key.protocol)
            && (self.addresses.is_none() || key.address.is_some_and(|ip| self.covers_address(ip)))
    }

    fn covers_file(&self, file: &str) -> bool {
        Key::of(file).is_some_and(|key| self.covers_key(&key))
    }
}

/// All that a file of this key decides.
impl From<Key> for Asked {
    fn from(Key { port, address, protocol }: Key) -> Asked {
        Asked { ports: port..=port, protocol, addresses: address.map(Addresses::One) }
    }
}

/// As on the command line.
impl fmt::Display for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", lines::Range(&self.ports))?;
        self.protocol.map_or(Ok(()), |protocol| write!(out, "/{protocol}"))?;
        self.addresses.map_or(Ok(()), |addresses| write!(out, " --addr {addresses}"))
    }
}

/// Why a plan is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The subject would be refused this all the same.
    StillRefused {
        /// What it would be refused.
        request: Request,
        /// The file that decides.
        file: Option<String>,
    },
    /// Somebody else would gain or lose this; or the subject something that was not asked for.
    Others {
        /// What would be decided otherwise.
        request: Request,
        /// For whom.
        who: String,
        /// Whether it is granted now.
        granted: bool,
        /// The file that would decide.
        file: Option<String>,
    },
}

/// The rules with this granted to the subject.
///
/// # Errors
/// [`Error::Conflict`], [`Error::NeedsLines`] or [`Error::NotRegular`].
pub fn allow(rules: &RuleSet, asked: &Asked, subject: Subject) -> Result<RuleSet, Error> {
    let by_file = asked.key().map(|key| allow_by_file(rules, asked, &key, subject)).transpose()?;
    let user = subject.user().filter(|_| asked.protocol.is_none());
    let by_line = user.map(|user| allow_by_line(rules, asked, user)).transpose()?;
    let mut conflict = None;
    for after in [by_file, by_line].into_iter().flatten() {
        match compare(rules, &after, asked, &[subject], true) {
            Ok(()) => return Ok(after),
            Err(found) => drop(conflict.get_or_insert(found)),
        }
    }
    Err(conflict.unwrap_or(Error::NeedsLines))
}

fn allow_by_file(rules: &RuleSet, asked: &Asked, key: &Key, subject: Subject) -> Result<RuleSet, Error> {
    let mut after = rules.clone();
    let who = Identity::bare(subject);
    if rules.of_key(key).is_none() {
        let lacks = |request: &Request| match rules.decider(request) {
            Some(file) => !asked.covers_file(&file) && !grants(rules, &file, subject),
            None => !rules.allows(request, &who),
        };
        if let Some(request) =
            requests(&[rules], asked).into_iter().find(|request| asked.covers(request) && lacks(request))
        {
            // Those who have it by the file that decides now are to keep it.
            let now = rules.decider(&request).and_then(|file| rules.0.get(&file));
            let mut rule = Rule::new(now.map_or(Access::roots(), |rule| rule.access.made_roots()));
            rule.access.allow(subject);
            after.0.extend(key.files().into_iter().next().map(|file| (file, rule)));
        }
    }
    allow_in_deciders(&mut after, asked, subject)?;
    Ok(after)
}

fn allow_by_line(rules: &RuleSet, asked: &Asked, user: u32) -> Result<RuleSet, Error> {
    let mut after = rules.clone();
    for ports in lines::split(&asked.ports) {
        let impersonating = lines::is_impersonating(&ports);
        let file = byuid_file(user, impersonating);
        let lines = asked.spans().into_iter().map(|addresses| Line { addresses, ports: ports.clone() });
        let has = |line: &Line| rules.lines().any(|(known, _, has)| *known == file && has.includes(line));
        let missing: Vec<Line> = lines.filter(|line| !has(line)).collect();
        if missing.is_empty() {
            continue;
        }
        let rule = after.0.entry(file.clone()).or_insert_with(|| Rule::new(Access::readable()));
        let rule = change(rule, &file)?;
        if !rule.is_readable {
            (rule.access, rule.is_readable) = (Access::readable(), true);
        }
        let mut text: Vec<Vec<u8>> = rule.lines().into_iter().map(<[u8]>::to_vec).collect();
        text.extend(missing.iter().map(|line| line.to_string().into_bytes()));
        rule.set_lines(&text);
    }
    allow_in_deciders(&mut after, asked, Subject::User(user))?;
    Ok(after)
}

/// Lets the subject execute each file that decides something of what is asked for, and nothing else.
fn allow_in_deciders(rules: &mut RuleSet, asked: &Asked, subject: Subject) -> Result<(), Error> {
    for request in requests(&[rules], asked).iter().filter(|request| asked.covers(request)) {
        let Some(file) = rules.decider(request).filter(|file| asked.covers_file(file)) else { continue };
        if grants(rules, &file, subject) {
            continue;
        }
        if let Some(rule) = rules.0.get_mut(&file) {
            change(rule, &file)?.access.allow(subject);
        }
    }
    Ok(())
}

/// Whether the file lets the subject execute it by name, or lets everybody.
fn grants(rules: &RuleSet, file: &str, subject: Subject) -> bool {
    rules.0.get(file).is_some_and(|rule| {
        let own = rule.access.of_subject(subject).is_some_and(|bits| bits & EXECUTE != 0);
        rule.is_regular() && (own || rule.access.is_everybodys(EXECUTE))
    })
}

/// A rule that is to be changed: what is written is root's.
fn change<'r>(rule: &'r mut Rule, file: &str) -> Result<&'r mut Rule, Error> {
    if rule.kind != Kind::File || rule.text.is_none() {
        return Err(Error::NotRegular(file.to_owned()));
    }
    rule.access = rule.access.made_roots();
    Ok(rule)
}

/// The rules with this taken from the subject, by whichever of its names it has it: a user's own group is the user.
///
/// # Errors
/// [`Error::Conflict`] or [`Error::NotRegular`].
pub fn revoke(rules: &RuleSet, asked: &Asked, subject: &[Subject]) -> Result<RuleSet, Error> {
    let mut after = rules.clone();
    let mut touched = Vec::new();
    let grants = |rules: &RuleSet, file: &str| {
        subject.iter().any(|one| {
            let rule = rules.0.get(file);
            rule.and_then(|rule| rule.access.of_subject(*one)).is_some_and(|bits| bits & EXECUTE != 0)
        })
    };
    for (file, rule) in after.0.iter_mut().filter(|(file, _)| asked.covers_file(file) && grants(rules, file)) {
        let rule = change(rule, file)?;
        subject.iter().for_each(|one| rule.access.revoke(*one));
        touched.push(file.clone());
    }
    for user in subject.iter().filter_map(Subject::user).filter(|_| asked.protocol.is_none()) {
        for impersonating in [false, true] {
            revoke_lines(&mut after, asked, &byuid_file(user, impersonating), impersonating)?;
        }
    }
    // A file that covers more stays as it is; a copy that is looked up before it says no.
    for request in requests(&[rules], asked).into_iter().filter(|request| asked.covers(request)) {
        let Some(file) = after.decider(&request).filter(|file| grants(&after, file)) else { continue };
        let asked_for_one = Asked { ports: request.address.port()..=request.address.port(), ..asked.clone() };
        let (Some(key), Some(rule)) = (asked_for_one.key(), after.0.get(&file)) else { continue };
        let mut copy = Rule::new(rule.access.made_roots());
        subject.iter().for_each(|one| copy.access.revoke(*one));
        if after.of_key(&key).is_none() {
            let mut with_copy = after.clone();
            with_copy.0.extend(key.files().into_iter().next().map(|file| (file, copy)));
            if with_copy.decider(&request) != Some(file) {
                after = with_copy;
            }
        }
    }
    for file in touched {
        remove_if_idle(rules, &mut after, asked, subject, &file);
    }
    compare(rules, &after, asked, subject, false)?;
    Ok(after)
}

/// Removes a file that grants nothing any more, unless it keeps others from what a later one would grant them.
fn remove_if_idle(before: &RuleSet, after: &mut RuleSet, asked: &Asked, subject: &[Subject], file: &str) {
    let is_idle = |rule: &Rule| rule.access.is_nobodys() && rule.text.as_ref().is_some_and(Vec::is_empty);
    if after.0.get(file).is_some_and(is_idle) {
        let mut without = after.clone();
        without.0.remove(file);
        if compare(before, &without, asked, subject, false).is_ok() {
            *after = without;
        }
    }
}

fn revoke_lines(after: &mut RuleSet, asked: &Asked, file: &str, impersonating: bool) -> Result<(), Error> {
    let Some(rule) = after.0.get_mut(file) else { return Ok(()) };
    if rule.is_obscure() {
        return Err(Error::NotRegular(file.to_owned()));
    }
    let spans = asked.spans();
    let spans: Vec<Span> = spans.iter().copied().chain(spans.iter().filter_map(Span::mapped)).collect();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for text in rule.lines() {
        let granted = Line::read(text, impersonating);
        let rest = spans.iter().fold(granted.clone(), |lines, span| {
            lines.iter().flat_map(|line| line.without(span, &asked.ports)).collect()
        });
        if rest == granted {
            kept.push(text.to_vec());
        } else {
            let comment = text.iter().position(|byte| *byte == b'#').and_then(|at| text.get(at..));
            let comment = comment.map_or_else(Vec::new, |comment| [b" ", comment].concat());
            kept.extend(rest.iter().map(|line| [line.to_string().as_bytes(), &comment].concat()));
        }
    }
    if kept != rule.lines() {
        change(rule, file)?.set_lines(&kept);
        if kept.is_empty() {
            after.0.remove(file);
        }
    }
    Ok(())
}

/// What the subject may still bind of what is asked for: an example, and the file that grants it.
pub fn remaining(rules: &RuleSet, asked: &Asked, who: &Identity) -> Option<(Request, String)> {
    let found =
        requests(&[rules], asked).into_iter().find(|request| asked.covers(request) && rules.allows(request, who));
    let byuid = |request: &Request| {
        byuid_file(who.user.unwrap_or_default(), IMPERSONATING_PORTS.contains(&request.address.port()))
    };
    found.map(|request| (request, rules.decider(&request).unwrap_or_else(|| byuid(&request))))
}

/// Sees that nobody but the subject is told anything else than before, nor the subject of anything that was not asked
/// for; and, if so wanted, that the subject is granted all of that.
fn compare(before: &RuleSet, after: &RuleSet, asked: &Asked, subject: &[Subject], wanted: bool) -> Result<(), Error> {
    let others: BTreeSet<Subject> = before.subjects().union(&after.subjects()).copied().collect();
    let others = others.into_iter().filter(|other| *other != Subject::User(0) && !subject.contains(other));
    let others: Vec<_> = others.map(Some).chain([None]).collect();
    let mut names = Names::default();
    for request in requests(&[before, after], asked) {
        let (file, decider) = (before.decider(&request), after.decider(&request));
        let mut conflict = |who: Option<Subject>, granted| {
            let who = who.map_or(Ok("everybody".to_owned()), |who| names.of(who))?;
            Err(Error::Conflict(Conflict::Others { request, who, granted, file: decider.clone() }))
        };
        for one in subject {
            let who = Identity::bare(*one);
            let (was, is) = (before.allows(&request, &who), after.allows(&request, &who));
            if !asked.covers(&request) && was != is {
                return conflict(Some(*one), was);
            }
            if asked.covers(&request) && wanted && !is {
                return Err(Error::Conflict(Conflict::StillRefused { request, file: decider }));
            }
        }
        // Below byuid everybody has files of one's own.
        let same = |file: &Option<String>, rules: &RuleSet| file.as_ref().and_then(|file| rules.0.get(file)).cloned();
        if same(&file, before) == same(&decider, after) {
            continue;
        }
        for other in &others {
            let who = other.map_or(Identity::nobody(), Identity::bare);
            let was = before.allows(&request, &who);
            if was != after.allows(&request, &who) {
                return conflict(*other, was);
            }
        }
    }
    Ok(())
}

/// A request of each kind that any of these rules, or what is asked for, could tell apart: what they say changes only at
/// the ends of what they name.
fn requests(rules: &[&RuleSet], asked: &Asked) -> Vec<Request> {
    let lines: Vec<Line> = rules.iter().flat_map(|rules| rules.lines().map(|(_, _, line)| line)).collect();
    let keys: Vec<Key> = rules.iter().flat_map(|rules| rules.keys().map(|(key, ..)| key)).collect();

    let ranges = [&asked.ports, &IMPERSONATING_PORTS].into_iter().chain(lines.iter().map(|line| &line.ports));
    let ends = ranges.flat_map(|range| [Some(*range.start()), range.end().checked_add(1)]);
    let ends = ends.chain(keys.iter().flat_map(|key| [Some(key.port), key.port.checked_add(1)]));
    let ports: BTreeSet<u16> = ends.flatten().filter(|port| asked.ports.contains(port)).collect();

    // Of a port, only what is said of that port: many lines and many ports are too many together.
    let addresses = |port: u16| -> BTreeSet<IpAddr> {
        let of_lines = lines.iter().filter(|line| line.ports.contains(&port)).map(|line| line.addresses);
        let of_keys = keys.iter().filter(|key| key.port == port).filter_map(|key| key.address).map(Span::one);
        let spans = of_lines.chain(of_keys).chain(asked.spans()).chain(EVERYWHERE);
        let with_mapped = spans.flat_map(|span| [Some(span), span.mapped()]).flatten();
        with_mapped.flat_map(|span| [Some(span.first), lines::next(span.last)]).flatten().collect()
    };

    // Of the protocols that nothing names, one is as good as the others.
    let mut protocols: BTreeSet<Protocol> = keys.iter().filter_map(|key| key.protocol).chain(asked.protocol).collect();
    protocols.extend(Protocol::ALL.into_iter().find(|protocol| !protocols.contains(protocol)));

    let at = |port| addresses(port).into_iter().map(move |ip| SocketAddr::new(ip, port));
    let of = |address| protocols.iter().map(move |protocol| Request { protocol: *protocol, address });
    ports.into_iter().flat_map(at).flat_map(of).collect()
}
