//! `import`: the rules of authbind, made rules of root's that grant the same; and what cannot be taken over as it was, or
//! was dangerous as it was.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rauthbind_policy::keys::{BYADDR, BYPORT, BYUID, IMPERSONATING_PORTS};
use rauthbind_policy::{Protocol, Request};
use rauthbind_wire::names::RULES;

use super::Outcome;
use super::access::{Access, Identity, READ};
use super::arguments::Import;
use super::error::Error;
use super::grants::Whom;
use super::lines::Line;
use super::output::{differences, escaped, print};
use super::rules::{Key, Kind, Rule, RuleSet, user_of};
use super::subject::{Names, Subject};
use super::write;

/// The first port that authbind leaves alone.
const AUTHBINDS_END: u16 = 1024;

/// What is to be known beside the change. Rules are named as in `byport/80`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    /// authbind grants something here that would not be granted.
    Hidden {
        whom: String,
        request: String,
        decider: Option<String>,
    },
    /// The same of a rule that is here already.
    Taken {
        whom: String,
        request: String,
        decider: Option<String>,
    },
    /// Something else is here under that name.
    Exists(String),
    /// authbind took it for a rule, though it is a directory, say.
    NoFile(String),
    /// It is longer than the helper reads, or cannot be read.
    Unread(String),
    /// Others than root can make rules there.
    Directory(String),
    /// A user who could let others execute it.
    Owner(String, String),
    /// Others than root could put lines into it.
    Foreign(String),
    Everybody(String),
    /// A line, counted from 1, that would be one here.
    Comment(String, usize),
    /// A line that is none.
    NoLine(String, usize),
    /// authbind looks for another name.
    Mark(String),
    /// authbind looks for the second name first, whatever its manual says.
    Later(String, String),
    /// authbind does not ask about the port.
    Unprivileged(String),
    /// authbind looks for no such name.
    Name(String),
    Dangling(String),
}

impl Finding {
    /// Whether something is granted otherwise than before.
    fn is_difference(&self) -> bool {
        matches!(
            self,
            Finding::Hidden { .. }
                | Finding::Taken { .. }
                | Finding::Exists(_)
                | Finding::NoFile(_)
                | Finding::Unread(_)
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by =
            |decider: &Option<String>| decider.as_ref().map_or(String::new(), |file| format!(" by {RULES}/{file}"));
        match self {
            Finding::Hidden { whom, request, decider } => {
                write!(
                    out,
                    "differs: {request} was granted to {whom} and would be refused{}; change that rule",
                    by(decider)
                )
            }
            Finding::Taken { whom, request, decider } => write!(
                out,
                "differs: {request} is granted to {whom} here and would be refused{}, which is new; grant it there too",
                by(decider)
            ),
            Finding::Exists(file) => {
                write!(
                    out,
                    "differs: {RULES}/{} is here already and says something else; it is left as it is",
                    escaped(file)
                )
            }
            Finding::NoFile(file) => write!(
                out,
                "differs: {} is no regular file: authbind let whoever could search or execute it bind; not taken over",
                escaped(file)
            ),
            Finding::Unread(file) => {
                write!(out, "differs: {} is too long or cannot be read; not taken over", escaped(file))
            }
            Finding::Directory(path) => {
                write!(
                    out,
                    "dangerous: {} could be changed by others than root, who could grant anything",
                    escaped(path)
                )
            }
            Finding::Owner(file, owner) => {
                write!(out, "dangerous: {file} belonged to {owner}, who could grant it to anybody; here it is root's")
            }
            Finding::Foreign(file) => {
                write!(out, "dangerous: {file} could be changed by others than root, who could put any line into it")
            }
            Finding::Everybody(file) => {
                write!(out, "dangerous: {file} could be executed by everybody, and so everybody may bind it here too")
            }
            Finding::Comment(file, line) => write!(
                out,
                "ineffective: {file} line {line} granted nothing, for the # in it, and would grant something here; it is \
                 made a comment"
            ),
            Finding::NoLine(file, line) => write!(
                out,
                "ineffective: {file} line {line} has none of the forms in authbind(1), or contradicts itself; left out, \
                 though authbind may read numbers more loosely"
            ),
            Finding::Mark(file) => write!(
                out,
                "ineffective: authbind looks for {} with an exclamation mark before its name only; left out",
                escaped(file)
            ),
            Finding::Later(file, earlier) => {
                write!(out, "ineffective: authbind looks for {earlier} before {file}; left out")
            }
            Finding::Unprivileged(file) => {
                write!(out, "ineffective: the port of {} is not privileged; left out", escaped(file))
            }
            Finding::Name(file) => write!(out, "ineffective: authbind looks for no file {}; left out", escaped(file)),
            Finding::Dangling(file) => {
                write!(out, "ineffective: {} is a link to something that is not there; left out", escaped(file))
            }
        }
    }
}

/// `rauthbindctl import`
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn import(asked: &Import) -> Result<Outcome, Error> {
    let mut names = Names::default();
    let mut findings = BTreeSet::new();
    fs::read_dir(&asked.directory).map_err(|error| Error::File {
        verb: "read",
        path: asked.directory.clone(),
        error,
    })?;
    let authbinds = RuleSet::read(&asked.directory)?;
    examine_directories(&asked.directory, &mut findings);
    let taken = take(&authbinds, &mut names, &mut findings)?;
    let mut plan = |rules: &RuleSet| {
        let after = add(rules, &taken, &mut findings);
        for (whom, request, decider) in lost(&taken, &after, &mut names)? {
            findings.insert(Finding::Hidden { whom, request, decider });
        }
        for (whom, request, decider) in lost(rules, &after, &mut names)? {
            findings.insert(Finding::Taken { whom, request, decider });
        }
        Ok(after)
    };
    let changes = if asked.apply {
        write::change(plan)?
    } else {
        let rules = RuleSet::read(Path::new(RULES))?;
        write::differences(&rules, &plan(&rules)?)
    };
    let mut text = differences(&changes, &mut names)?;
    for finding in &findings {
        let _ = writeln!(text, "{finding}");
    }
    text += match (changes.is_empty(), asked.apply) {
        (true, _) => "there is nothing to change\n",
        (false, true) => "",
        (false, false) => "nothing has been changed; with --apply it would be\n",
    };
    print(&text)?;
    Ok(if findings.iter().any(Finding::is_difference) { Outcome::Bad } else { Outcome::Good })
}

fn examine_directories(root: &Path, findings: &mut BTreeSet<Finding>) {
    for path in [root.to_owned(), root.join(BYPORT), root.join(BYADDR), root.join(BYUID)] {
        if fs::metadata(&path).is_ok_and(|status| status.uid() != 0 || status.mode() & 0o022 != 0) {
            findings.insert(Finding::Directory(path.to_string_lossy().into_owned()));
        }
    }
}

/// The rules of authbind's that are effective, as ours.
fn take(authbinds: &RuleSet, names: &mut Names, findings: &mut BTreeSet<Finding>) -> Result<RuleSet, Error> {
    let mut taken = RuleSet::default();
    for (file, rule) in &authbinds.0 {
        let user = user_of(file);
        let with_colon = file.rsplit_once(',').map(|(address, port)| format!("{address}:{port}"));
        let earlier = with_colon.filter(|name| Key::of(name).is_some() && authbinds.exists(name));
        let told = match (Key::of(file), user, rule.kind) {
            (_, _, Kind::Dangling) => Some(Finding::Dangling(file.clone())),
            _ if earlier.is_some() => earlier.map(|earlier| Finding::Later(file.clone(), earlier)),
            (None | Some(Key { protocol: Some(_), .. }), None, _) => Some(Finding::Name(file.clone())),
            (Some(key), ..) if key.port >= AUTHBINDS_END => Some(Finding::Unprivileged(file.clone())),
            (Some(key), ..) if IMPERSONATING_PORTS.contains(&key.port) && !file.contains("/!") => {
                Some(Finding::Mark(file.clone()))
            }
            (_, _, Kind::NoFile) => Some(Finding::NoFile(file.clone())),
            (_, _, Kind::Unseen) => Some(Finding::Unread(file.clone())),
            (_, Some(_), _) if rule.text.is_none() => Some(Finding::Unread(file.clone())),
            _ => None,
        };
        if let Some(told) = told {
            findings.insert(told);
            continue;
        }
        let ours = match user {
            Some((_, impersonating)) => take_lines(file, rule, impersonating, findings),
            None => {
                let whom = Whom::of(&rule.access);
                if rule.access.owner != 0 {
                    let owner = names.of(Subject::User(rule.access.owner))?;
                    findings.insert(Finding::Owner(file.clone(), owner));
                }
                if whom.everybody {
                    findings.insert(Finding::Everybody(file.clone()));
                }
                Rule::new(whom.access())
            }
        };
        taken.0.insert(file.clone(), ours);
    }
    Ok(taken)
}

/// authbind reads these files as root, the helper as their user. Only what grants something is copied, and comments where
/// everybody can read them already, lest a link give away what it leads to.
fn take_lines(file: &str, rule: &Rule, impersonating: bool, findings: &mut BTreeSet<Finding>) -> Rule {
    if rule.access.is_foreign() {
        findings.insert(Finding::Foreign(file.to_owned()));
    }
    let mut lines = Vec::new();
    let is_public = rule.kind == Kind::File && rule.access.is_everybodys(READ);
    for (at, line) in rule.lines().into_iter().enumerate() {
        let is_comment = line.trim_ascii().first().is_none_or(|first| *first == b'#');
        let is_granting = !Line::read(line, impersonating).is_empty();
        if is_comment && !is_public {
            continue;
        }
        if is_comment || is_granting && !line.contains(&b'#') {
            lines.push(line.to_vec());
        } else if is_granting && is_public {
            lines.push([b"# ", line].concat());
            findings.insert(Finding::Comment(file.to_owned(), at + 1));
        } else {
            findings.insert(Finding::NoLine(file.to_owned(), at + 1));
        }
    }
    let mut ours = Rule::new(Access::readable());
    ours.set_lines(&lines);
    ours
}

/// These rules and those, where they do not contradict each other.
fn add(rules: &RuleSet, taken: &RuleSet, findings: &mut BTreeSet<Finding>) -> RuleSet {
    let mut after = rules.clone();
    for (file, rule) in &taken.0 {
        match rules.0.get(file).filter(|known| known.kind != Kind::Dangling) {
            None => drop(after.0.insert(file.clone(), rule.clone())),
            Some(known) if known.is_regular() && says_the_same(file, known, rule) => {}
            Some(_) => {
                findings.remove(&Finding::Everybody(file.clone()));
                findings.insert(Finding::Exists(file.clone()));
            }
        }
    }
    after
}

fn says_the_same(file: &str, one: &Rule, other: &Rule) -> bool {
    if user_of(file).is_some() {
        one.lines() == other.lines()
    } else {
        Whom::of(&one.access) == Whom::of(&other.access)
    }
}

/// Whom and what the first rules grant and the others do not, and the file that refuses: for everybody, or else for all
/// who are named, and one request of each rule.
fn lost(
    rules: &RuleSet,
    after: &RuleSet,
    names: &mut Names,
) -> Result<BTreeSet<(String, String, Option<String>)>, Error> {
    let mut lost = BTreeSet::new();
    let subjects = rules.subjects();
    for request in examples(rules) {
        let is_lost = |who: &Identity| rules.allows(&request, who) && !after.allows(&request, who);
        let whom = if is_lost(&Identity::nobody()) {
            vec!["everybody".to_owned()]
        } else {
            let subjects = subjects.iter().filter(|subject| is_lost(&Identity::bare(**subject)));
            subjects.map(|subject| names.of(*subject)).collect::<Result<_, _>>()?
        };
        lost.extend(whom.into_iter().map(|whom| (whom, request.to_string(), after.decider(&request))));
    }
    Ok(lost)
}

fn examples(rules: &RuleSet) -> impl Iterator<Item = Request> {
    let wildcards = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let keys = rules.keys().flat_map(move |(Key { port, address, protocol }, ..)| {
        let addresses = address.map_or(wildcards.to_vec(), |address| vec![address]);
        addresses.into_iter().map(move |ip| (ip, port, protocol.unwrap_or(Protocol::Tcp)))
    });
    let lines = rules.lines().map(|(.., line)| (line.addresses.first, *line.ports.start(), Protocol::Tcp));
    let all = keys.chain(lines).map(|(ip, port, protocol)| Request { protocol, address: SocketAddr::new(ip, port) });
    all.collect::<Vec<_>>().into_iter()
}
