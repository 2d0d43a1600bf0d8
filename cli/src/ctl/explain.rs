//! `explain`: why a user may bind a port, or why not, by the very function with which the helper decides, and under the
//! identity of that user.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{geteuid, getgid, getgroups, getuid};
use rauthbind_policy::{Protocol, Refusal, Request, Rules, Verdict, first_unprivileged_port, keys};
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};
use serde_json::json;

use super::Outcome;
use super::arguments::Explain;
use super::error::Error;
use super::output::{BAD, GOOD, escaped, print};
use super::subject::{Names, Subject};
use crate::setup::Problem;
use crate::{accounts, identity, sys};

/// The group of those who are in no database, and so in no group: that of nobody.
const NO_GROUP: &str = "65534";

/// What there is to say of one address.
#[derive(PartialEq)]
enum Answer {
    /// Port 0: the kernel chooses a free one, which is not privileged.
    AnyPort,
    /// Privileged ports end before it.
    NotPrivileged(u32),
    /// Root needs no rule.
    Root,
    /// By the rules.
    Decided {
        /// What was looked up before the file that decides, and is not there.
        absent: Vec<String>,
        verdict: Verdict,
    },
}

/// `rauthbindctl explain`
///
/// # Errors
/// [`Error`]
pub fn explain(asked: &Explain) -> Result<Outcome, Error> {
    if let Some(user) = &asked.user {
        become_user(user)?;
    }
    let protocol = asked.port.protocol.unwrap_or(Protocol::Tcp);
    let wildcards = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut answers = Vec::new();
    for address in asked.addr.map_or(wildcards, |address| vec![address]) {
        answers.push((address, answer(&Request { protocol, address: SocketAddr::new(address, asked.port.port) })?));
    }
    let user = Names::default().of(Subject::User(getuid().as_raw()))?;
    let explanation = Explanation { asked, protocol, user, answers };
    match asked {
        Explain { quiet: true, .. } => {}
        Explain { json: true, .. } => print(&explanation.json())?,
        _ => print(&explanation.text()?)?,
    }
    Ok(if explanation.is_allowed() { Outcome::Good } else { Outcome::Bad })
}

/// Becomes the user who is asked for, with the groups that a login would give. Root alone can ask for others, because
/// nobody else could become them.
fn become_user(user: &str) -> Result<(), Error> {
    if Subject::parse_user(user)? == getuid().as_raw() {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(Error::NotRootForOthers);
    }
    let is_known = accounts::entry("passwd", user).map_err(Error::Getent)?.is_some();
    identity::become_user(user, (!is_known).then_some(NO_GROUP)).map_err(Error::Identity)?;
    sys::give_up_all_capabilities().map_err(|errno| Error::Identity(crate::error::Error::Identity("capset", errno)))
}

fn answer(request: &Request) -> Result<Answer, Error> {
    let port = request.address.port();
    let start = File::open(UNPRIVILEGED_PORT_START).ok().and_then(|file| first_unprivileged_port(&file));
    match start.ok_or(Error::UnknownPrivilege)? {
        _ if port == 0 => Ok(Answer::AnyPort),
        start if u32::from(port) >= start => Ok(Answer::NotPrivileged(start)),
        _ if geteuid().is_root() && sys::has_capability() => Ok(Answer::Root),
        _ => {
            let mut absent = Vec::new();
            let rules = Rules::open(Path::new(RULES)).map_err(Refusal::from);
            let verdict =
                rules.and_then(|rules| rules.decide_telling(request, &mut |file| absent.push(file.to_owned())));
            Ok(Answer::Decided { absent, verdict })
        }
    }
}

impl Answer {
    fn is_allowed(&self) -> bool {
        !matches!(self, Answer::Decided { verdict: Err(_), .. })
    }

    fn reason(&self) -> String {
        match self {
            Answer::AnyPort => "the kernel chooses a free port, which is not privileged".to_owned(),
            Answer::NotPrivileged(start) => {
                format!("ports from {start} on are not privileged here, so that anybody may bind them")
            }
            Answer::Root => "root may bind every port without a rule".to_owned(),
            Answer::Decided { verdict: Ok(rule), .. } => format!("{rule} grants it"),
            Answer::Decided { verdict: Err(Refusal::Untrusted(untrusted)), .. } => {
                Problem::Rules(untrusted.clone()).to_string()
            }
            Answer::Decided { verdict: Err(refusal), .. } => refusal.to_string(),
        }
    }
}

/// The file that decided, below the directory of rules; `None` where none did.
fn decider(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Ok(rule) => Some(&rule.file),
        Err(
            Refusal::NotExecutable(file)
            | Refusal::NotAFile(file)
            | Refusal::Unreadable(file, _)
            | Refusal::NoLine(file)
            | Refusal::TooLong(file),
        ) => Some(file),
        Err(Refusal::NoRule | Refusal::Untrusted(_)) => None,
    }
}

/// What was found of the file that decided: the line that grants, or who may do what with the file.
fn found(file: &str, line: Option<usize>, names: &mut Names) -> Result<String, Error> {
    let path = Path::new(RULES).join(file);
    let text = || fs::read(&path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    if let Some(line) = line {
        let text = text();
        let text = line.checked_sub(1).and_then(|index| text.split('\n').nth(index)).unwrap_or_default();
        return Ok(format!("line {line}: {}", escaped(text)));
    }
    let status = match fs::metadata(&path) {
        Ok(status) => status,
        Err(error) => return Ok(error.to_string()),
    };
    let (owner, group) = (names.of(Subject::User(status.uid()))?, names.of(Subject::Group(status.gid()))?);
    Ok(format!("owner {owner}, group {group}, mode {:04o}", status.permissions().mode() & 0o7777))
}

/// Everything that is to be told.
struct Explanation<'a> {
    asked: &'a Explain,
    protocol: Protocol,
    user: String,
    answers: Vec<(IpAddr, Answer)>,
}

impl Explanation<'_> {
    fn is_allowed(&self) -> bool {
        self.answers.iter().all(|(_, answer)| answer.is_allowed())
    }

    /// The command of root's that would change the answer, where there is one.
    fn command(&self, answer: &Answer) -> Option<String> {
        let Answer::Decided { verdict, .. } = answer else { return None };
        match verdict {
            Ok(rule) => Some(self.ctl("revoke", &rule.file)),
            Err(Refusal::NoRule) => Some(self.ctl("allow", "")),
            Err(Refusal::NotExecutable(file) | Refusal::NoLine(file)) => Some(self.ctl("allow", file)),
            Err(Refusal::NotAFile(file)) => Some(format!("mv {RULES}/{file} {RULES}/{file}.old")),
            Err(Refusal::Unreadable(file, Errno::EACCES)) => Some(format!("chmod 0644 {RULES}/{file}")),
            Err(Refusal::Unreadable(..) | Refusal::TooLong(_) | Refusal::Untrusted(_)) => None,
        }
    }

    /// No rule in byaddr counts where one in byport decides, so that there an address is no help.
    fn ctl(&self, verb: &str, decider: &str) -> String {
        let Explain { port, addr, .. } = self.asked;
        let protocol = port.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
        let address = addr.filter(|_| !decider.starts_with(keys::BYPORT)).map(|address| format!(" --addr {address}"));
        format!("rauthbindctl {verb} {}{protocol} {}{}", port.port, self.user, address.unwrap_or_default())
    }

    fn json(&self) -> String {
        let answers = self.answers.iter().map(|(address, answer)| {
            let (absent, verdict) = match answer {
                Answer::Decided { absent, verdict } => (absent.as_slice(), Some(verdict)),
                _ => (&[][..], None),
            };
            json!({
                "protocol": self.protocol.name(),
                "address": address,
                "allowed": answer.is_allowed(),
                "absent": absent,
                "file": verdict.and_then(decider),
                "line": verdict.and_then(|verdict| verdict.as_ref().ok()?.line),
                "reason": answer.reason(),
                "command": self.command(answer),
            })
        });
        let answers: Vec<_> = answers.collect();
        let explanation = json!({
            "user": self.user,
            "uid": getuid().as_raw(),
            "port": self.asked.port.port,
            "allowed": self.is_allowed(),
            "answers": answers,
        });
        format!("{explanation:#}\n")
    }

    fn text(&self) -> Result<String, Error> {
        let mut names = Names::default();
        let groups = getgroups().unwrap_or_default().into_iter().chain([getgid()]);
        let mut groups: Vec<u32> = groups.map(|group| group.as_raw()).collect();
        groups.sort_unstable();
        groups.dedup();
        let groups = groups.into_iter().map(|group| names.of(Subject::Group(group))).collect::<Result<Vec<_>, _>>()?;
        let mut text = format!("{} (user id {}, groups {})\n", self.user, getuid(), groups.join(" "));
        for same in self.answers.chunk_by(|(_, one), (_, other)| one == other) {
            let addresses: Vec<String> = same.iter().map(|(address, _)| address.to_string()).collect();
            let _ = writeln!(text, "port {}/{} of {}", self.asked.port.port, self.protocol, addresses.join(" and "));
            for (_, answer) in same.iter().take(1) {
                text += &self.told(answer, &mut names)?;
            }
        }
        Ok(text)
    }

    fn told(&self, answer: &Answer, names: &mut Names) -> Result<String, Error> {
        let mut files = Vec::new();
        if let Answer::Decided { absent, verdict } = answer {
            files.extend(absent.iter().map(|file| (file.as_str(), "is not there".to_owned())));
            if let Some(file) = decider(verdict) {
                files.push((file, found(file, verdict.as_ref().ok().and_then(|rule| rule.line), names)?));
            }
        }
        let width = files.iter().map(|(file, _)| file.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (file, found) in files {
            let _ = writeln!(text, "  {RULES}/{file:width$}  {found}");
        }
        let (style, answered) = if answer.is_allowed() { (GOOD, "allowed") } else { (BAD, "refused") };
        let _ = writeln!(text, "  {style}{answered}{style:#}: {}", answer.reason());
        if let Some(command) = self.command(answer) {
            let _ = writeln!(text, "  to change that, as root: {command}");
        }
        Ok(text)
    }
}
