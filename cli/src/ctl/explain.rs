//! `explain`: why a user may bind a port, or why not, by the very function with which the helper decides, and under the
//! identity of that user.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, getgid, getgroups, getuid, setgroups, setresgid, setresuid};
use rauthbind_policy::{Protocol, Refusal, Request, Rules, Verdict, first_unprivileged_port, keys};
use rauthbind_wire::names::{RULES, UNPRIVILEGED_PORT_START};
use serde_json::{Value, json};

use super::Outcome;
use super::access::{Access, Identity};
use super::arguments::Explain;
use super::error::Error;
use super::grants::Whom;
use super::output::{BAD, GOOD, describe, escaped, print};
use super::rules::read_text;
use super::rules::user_of;
use super::subject::{Names, Subject};
use crate::error::in_words;
use crate::setup::Problem;
use crate::{accounts, sys};

/// The group of those who are in no database, and so in no group: that of nobody.
const NO_GROUP: u32 = 65534;

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
    let own = getuid().as_raw();
    let (who, answers) = match asked.user.as_deref().map(Subject::parse_user).transpose()? {
        Some(user) if user != own => {
            if !geteuid().is_root() {
                return Err(Error::NotRootForOthers);
            }
            let who = Identity::of(Subject::User(user)).map_err(Error::Getent)?;
            let answers = as_user(user, &who.groups, || answers(asked))??;
            (who, answers)
        }
        _ => {
            let groups = getgroups().unwrap_or_default().into_iter().chain([getgid()]).map(Gid::as_raw).collect();
            (Identity { user: Some(own), groups }, answers(asked)?)
        }
    };
    let protocol = protocol(asked);
    let user = Names::default().of(Subject::User(who.user.unwrap_or(own)))?;
    let explanation = Explanation { asked, protocol, user, who, answers };
    match asked {
        Explain { quiet: true, .. } => {}
        Explain { json: true, .. } => print(&explanation.json()?)?,
        _ => print(&explanation.text()?)?,
    }
    Ok(if explanation.is_allowed() { Outcome::Good } else { Outcome::Bad })
}

/// Does something with the ids of another user, and is root again. Nobody can enter this process meanwhile, as that takes
/// its saved user id too (ptrace(2)); but a program that it executed then could be entered, and has root's terminal.
fn as_user<T>(user: u32, groups: &BTreeSet<u32>, act: impl FnOnce() -> T) -> Result<T, Error> {
    let step = |name, result: nix::Result<()>| result.map_err(|errno| Error::Identity(name, errno));
    let (root, roots_group) = (getuid(), getgid());
    let roots_groups = getgroups().map_err(|errno| Error::Identity("getgroups", errno))?;
    let (user, groups) = (Uid::from_raw(user), groups.iter().copied().map(Gid::from_raw).collect::<Vec<_>>());
    let group = groups.first().copied().unwrap_or(Gid::from_raw(NO_GROUP));
    step("setgroups", setgroups(&groups))?;
    step("setresgid", setresgid(group, group, group))?;
    step("setresuid", setresuid(user, user, root))?;
    // The kernel sees to that, unless it is told not to (SECBIT_NO_SETUID_FIXUP in capabilities(7)).
    step("capset", sys::let_capabilities_rest())?;
    let result = act();
    step("setresuid", setresuid(root, root, root))?;
    step("capset", sys::wake_capabilities())?;
    step("setresgid", setresgid(roots_group, roots_group, roots_group))?;
    step("setgroups", setgroups(&roots_groups))?;
    Ok(result)
}

fn protocol(asked: &Explain) -> Protocol {
    asked.port.protocol.unwrap_or(Protocol::Tcp)
}

/// The answer for each address that is asked about.
fn answers(asked: &Explain) -> Result<Vec<(IpAddr, Answer)>, Error> {
    let wildcards = vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let addresses = asked.addr.map_or(wildcards, |address| vec![address]);
    let request = |ip| Request { protocol: protocol(asked), address: SocketAddr::new(ip, asked.port.port) };
    addresses.into_iter().map(|ip| Ok((ip, answer(&request(ip))?))).collect()
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
            Answer::Root => "root may bind every port without a rule; --user asks for another".to_owned(),
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
    if let Some(line) = line {
        let text = read_text(&path, true).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let text = line.checked_sub(1).and_then(|index| text.split('\n').nth(index)).unwrap_or_default();
        return Ok(format!("line {line}: {}", escaped(text)));
    }
    let (status, access) = match fs::metadata(&path).and_then(|status| Ok((status, Access::of(&path)?))) {
        Ok(found) => found,
        Err(error) => return Ok(in_words(&error)),
    };
    let (owner, group) = (names.of(Subject::User(status.uid()))?, names.of(Subject::Group(status.gid()))?);
    let mut found = format!("owner {owner}, group {group}, mode {:04o}", status.permissions().mode() & 0o7777);
    if !access.named.is_empty() {
        // The mode does not tell whom an ACL names.
        let _ = write!(found, ", ACL: {}", describe(&Whom::of(&access), names)?.join(" "));
    }
    Ok(found)
}

/// Everything that is to be told.
struct Explanation<'a> {
    asked: &'a Explain,
    protocol: Protocol,
    user: String,
    who: Identity,
    answers: Vec<(IpAddr, Answer)>,
}

impl Explanation<'_> {
    fn is_allowed(&self) -> bool {
        self.answers.iter().all(|(_, answer)| answer.is_allowed())
    }

    /// The command of root's that would change the answer, where there is one.
    fn command(&self, answer: &Answer) -> Result<Option<String>, Error> {
        let Answer::Decided { verdict, .. } = answer else { return Ok(None) };
        Ok(match verdict {
            Ok(rule) => Some(self.revoking(&rule.file)?),
            Err(Refusal::NoRule) => Some(self.ctl("allow", "", &self.user)),
            Err(Refusal::NotExecutable(file) | Refusal::NoLine(file)) => Some(self.ctl("allow", file, &self.user)),
            Err(Refusal::NotAFile(file)) => Some(format!("mv {RULES}/{file} {RULES}/{file}.old")),
            Err(Refusal::Unreadable(file, Errno::EACCES)) => Some(format!("chmod 0644 {RULES}/{file}")),
            Err(Refusal::Unreadable(..) | Refusal::TooLong(_) | Refusal::Untrusted(_)) => None,
        })
    }

    /// The command that takes away what the file grants, from whom it grants it to: the user, a group or everybody.
    fn revoking(&self, file: &str) -> Result<String, Error> {
        let path = Path::new(RULES).join(file);
        let whom = Access::of(&path).map(|access| Whom::of(&access)).unwrap_or_default();
        let user = self.who.user;
        let is_named = user.is_some_and(|user| whom.subjects.contains(&Subject::User(user)));
        let by_group = whom.group_of(&self.who).filter(|_| !is_named);
        let own = user.map(accounts::private_group).transpose().map_err(Error::Getent)?.flatten();
        Ok(match by_group {
            Some(group) if group.group() != own => self.ctl("revoke", file, &Names::default().of(group)?),
            None if !is_named && user_of(file).is_none() => format!("chmod o-x {}", path.display()),
            _ => self.ctl("revoke", file, &self.user),
        })
    }

    /// No rule in byaddr counts where one in byport decides, so that there an address is no help.
    fn ctl(&self, verb: &str, decider: &str, subject: &str) -> String {
        let Explain { port, addr, .. } = self.asked;
        let protocol = port.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
        let address = addr.filter(|_| !decider.starts_with(keys::BYPORT)).map(|address| format!(" --addr {address}"));
        format!("rauthbindctl {verb} {}{protocol} {subject}{}", port.port, address.unwrap_or_default())
    }

    fn json(&self) -> Result<String, Error> {
        let answers = self.answers.iter().map(|(address, answer)| {
            let (absent, verdict) = match answer {
                Answer::Decided { absent, verdict } => (absent.as_slice(), Some(verdict)),
                _ => (&[][..], None),
            };
            Ok(json!({
                "protocol": self.protocol.name(),
                "address": address,
                "allowed": answer.is_allowed(),
                "absent": absent,
                "file": verdict.and_then(decider),
                "line": verdict.and_then(|verdict| verdict.as_ref().ok()?.line),
                "reason": answer.reason(),
                "command": self.command(answer)?,
            }))
        });
        let answers: Vec<Value> = answers.collect::<Result<_, Error>>()?;
        let explanation = json!({
            "user": self.user,
            "uid": self.who.user,
            "port": self.asked.port.port,
            "allowed": self.is_allowed(),
            "answers": answers,
        });
        Ok(format!("{explanation:#}\n"))
    }

    fn text(&self) -> Result<String, Error> {
        let mut names = Names::default();
        let groups = self.who.groups.iter().map(|group| names.of(Subject::Group(*group)));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        let groups = if groups.is_empty() { "no groups".to_owned() } else { format!("groups {}", groups.join(" ")) };
        let mut text = format!("{} (user id {}, {groups})\n", self.user, self.who.user.unwrap_or_default());
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
        if let Some(command) = self.command(answer)? {
            let _ = writeln!(text, "  to change that, as root: {command}");
        }
        Ok(text)
    }
}
