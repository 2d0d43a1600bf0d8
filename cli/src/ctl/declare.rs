//! `export` and `apply`: all grants as one text.
//!
//! A line is one grant, written as the arguments of `allow`, and stands for just one file, or lines of one `byuid` file,
//! so that what is printed on one machine makes the same rules on another:
//!
//! ```text
//! # the shop
//! allow 443/tcp alice @web
//! allow 53/udp --addr 192.0.2.1 --everybody --except bob
//! allow 25 --nobody
//! allow 6000-6010 --addr 10.0.0.0/8 alice
//! ```
//!
//! Comments before a line belong to its file. They are kept in it: below `byport` and `byaddr`, nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use clap::Parser;
use rauthbind_policy::keys::IMPERSONATING_PORTS;
use rauthbind_wire::names::RULES;

use super::Outcome;
use super::access::Access;
use super::arguments::Apply;
use super::error::Error;
use super::grants::{Whom, named};
use super::lines::{self, Line};
use super::list::findings;
use super::output::{self, Note};
use super::plan::Asked;
use super::ports::{Addresses, Ports};
use super::rules::{Key, Kind, Rule, RuleSet, byuid_file, user_of};
use super::subject::{Names, Subject};
use super::write;

/// What a line of the text says.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
enum Statement {
    Allow(Declared),
}

#[derive(Debug, clap::Args)]
struct Declared {
    ports: Ports,
    #[arg(required_unless_present_any = ["everybody", "nobody"], conflicts_with = "nobody")]
    subjects: Vec<String>,
    #[arg(long)]
    addr: Option<Addresses>,
    #[arg(long, conflicts_with = "nobody")]
    everybody: bool,
    #[arg(long)]
    nobody: bool,
    #[arg(long)]
    except: Vec<String>,
}

/// All that a text says.
#[derive(Debug, Default)]
struct Text {
    files: BTreeMap<Key, Declaration>,
    /// By `byuid` file.
    lines: BTreeMap<String, Vec<Entry>>,
    /// By name: asking for each takes a process.
    subjects: BTreeMap<String, Subject>,
}

/// What a file below `byport` or `byaddr` is to be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Declaration {
    whom: Whom,
    comments: Vec<String>,
}

/// A line of a `byuid` file that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Comment(String),
    /// With the comment at its end.
    Grant(Line, String),
}

impl Entry {
    fn is_grant(&self) -> bool {
        matches!(self, Entry::Grant(..))
    }
}

/// `rauthbindctl export`
///
/// # Errors
/// [`Error`]
pub fn export() -> Result<Outcome, Error> {
    let rules = RuleSet::read(Path::new(RULES))?;
    output::print(&text_of(&rules, &mut Names::default())?)?;
    for (_, file, _) in rules.keys().filter(|(.., rule)| rule.is_regular() && rule.text.is_none()) {
        output::say(&Note::Unread(file.clone()));
    }
    Ok(Outcome::Good)
}

fn text_of(rules: &RuleSet, names: &mut Names) -> Result<String, Error> {
    let mut text = String::new();
    let files: BTreeMap<Key, &Rule> = rules.keys().map(|(key, _, rule)| (key, rule)).collect();
    for (key, rule) in files {
        let Declaration { whom, comments } = declaration(rule);
        comments.iter().for_each(|comment| text += &format!("{comment}\n"));
        text += &format!("allow {}{}\n", Asked::from(key), words(&whom, names)?);
    }
    for (file, rule) in &rules.0 {
        let Some((user, impersonating)) = user_of(file).filter(|_| rule.is_readable) else {
            continue;
        };
        let name = names.of(Subject::User(user))?;
        let entries = entries(rule, impersonating);
        if !entries.iter().any(Entry::is_grant) {
            continue;
        }
        text += "\n";
        for entry in entries {
            text += &match entry {
                Entry::Comment(comment) => format!("{comment}\n"),
                Entry::Grant(Line { addresses, ports }, comment) => {
                    let addresses = Some(Addresses::Many(addresses));
                    let asked = Asked { ports, protocol: None, addresses };
                    format!("allow {asked} {name} {comment}").trim_end().to_owned() + "\n"
                }
            };
        }
    }
    Ok(text)
}

fn words(whom: &Whom, names: &mut Names) -> Result<String, Error> {
    let mut words = String::new();
    if whom.everybody {
        words += " --everybody";
    } else if whom.subjects.is_empty() {
        words += " --nobody";
    }
    named(&whom.subjects, names)?.iter().for_each(|name| words += &format!(" {name}"));
    named(&whom.except, names)?.iter().for_each(|name| words += &format!(" --except {name}"));
    Ok(words)
}

fn declaration(rule: &Rule) -> Declaration {
    let whom = if rule.is_regular() { Whom::of(&rule.access) } else { Whom::default() };
    Declaration { whom, comments: rule.lines().into_iter().filter_map(comment).collect() }
}

/// A line that is a comment. What a terminal would act on is written out: the text is printed.
fn comment(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line.trim_ascii());
    line.starts_with('#').then(|| output::escaped(&line))
}

fn entries(rule: &Rule, impersonating: bool) -> Vec<Entry> {
    let of = |line: &[u8]| {
        let behind = line.iter().position(|byte| *byte == b'#').and_then(|at| comment(line.get(at..)?));
        let grants = Line::read(line, impersonating);
        let grants = grants.into_iter().map(|grant| Entry::Grant(grant, behind.clone().unwrap_or_default()));
        let grants: Vec<Entry> = grants.collect();
        if grants.is_empty() { comment(line).map(Entry::Comment).into_iter().collect() } else { grants }
    };
    rule.lines().into_iter().flat_map(of).collect()
}

/// `rauthbindctl apply`
///
/// # Errors
/// [`Error`]; nothing has changed then.
pub fn apply(asked: &Apply) -> Result<Outcome, Error> {
    let text = read(&asked.file).map_err(|error| Error::File { verb: "read", path: asked.file.clone(), error })?;
    let declared = parse(&text, &asked.file)?;
    let mut after = RuleSet::default();
    let mut target = |rules: &RuleSet| {
        after = declared_rules(&declared, rules)?;
        Ok(after.clone())
    };
    let changes = if asked.check {
        let rules = RuleSet::read(Path::new(RULES))?;
        write::differences(&rules, &target(&rules)?)
    } else {
        write::change(target)?
    };
    output::print(&output::differences(&changes, &mut Names::default())?)?;
    if changes.is_empty() {
        return Ok(Outcome::Good);
    }
    let is_new = |file: &String| changes.iter().any(|change| change.file == *file && change.after.is_some());
    for finding in findings(&after).into_iter().filter(|finding| is_new(&finding.file)) {
        output::say(&Note::Found(finding));
    }
    let is_impersonating = |file: &String| match user_of(file) {
        Some((_, impersonating)) => impersonating,
        None => Key::of(file).is_some_and(|key| IMPERSONATING_PORTS.contains(&key.port)),
    };
    if changes.iter().any(|change| change.after.is_some() && is_impersonating(&change.file)) {
        output::say(&Note::Impersonating);
    }
    Ok(if asked.check { Outcome::Bad } else { Outcome::Good })
}

fn read(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map(|_| text)
}

fn parse(text: &str, file: &Path) -> Result<Text, Error> {
    let mut all = Text::default();
    let mut comments: Vec<String> = Vec::new();
    // The byuid file of the line before, to which comments at its end belong.
    let mut last: Option<String> = None;
    for (at, line) in text.lines().map(str::trim).chain([""]).enumerate() {
        let wrong = |why: String| Error::Line { file: file.to_owned(), number: at + 1, why };
        let (words, behind) = split_comment(line);
        if !words.is_empty() {
            let statement = Statement::try_parse_from(words.split_whitespace());
            let Statement::Allow(declared) = statement.map_err(|error| wrong(first_line(&error)))?;
            last = all
                .declare(&declared, std::mem::take(&mut comments), behind)
                .map_err(|error| wrong(error.to_string()))?;
        } else if line.is_empty() {
            let entries = last.take().and_then(|file| all.lines.get_mut(&file));
            entries.into_iter().for_each(|entries| entries.extend(comments.iter().cloned().map(Entry::Comment)));
            comments.clear();
        } else {
            comments.push(line.to_owned());
        }
    }
    Ok(all)
}

/// What stands before a comment, and the comment.
fn split_comment(line: &str) -> (&str, &str) {
    let begins = |(at, _): &(usize, &str)| {
        line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    };
    let at = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
    let (words, comment) = line.split_at_checked(at).unwrap_or((line, ""));
    (words.trim(), comment.trim())
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl Text {
    /// Takes a statement in; gives the `byuid` file that it went to.
    fn declare(&mut self, declared: &Declared, comments: Vec<String>, behind: &str) -> Result<Option<String>, Error> {
        let whom = Whom {
            everybody: declared.everybody,
            subjects: self.subjects(&declared.subjects)?,
            except: self.subjects(&declared.except)?,
        };
        let mut last = None;
        for asked in Asked::all(&declared.ports, declared.addr) {
            match asked.key() {
                Some(key) => {
                    let file = self.files.entry(key).or_default();
                    file.whom.everybody |= whom.everybody;
                    file.whom.subjects.extend(&whom.subjects);
                    file.whom.except.extend(&whom.except);
                    file.comments.extend(comments.iter().cloned());
                    file.comments.extend((!behind.is_empty()).then(|| behind.to_owned()));
                }
                None => last = self.declare_lines(&asked, &whom, &comments, behind)?,
            }
        }
        Ok(last)
    }

    fn subjects(&mut self, names: &[String]) -> Result<BTreeSet<Subject>, Error> {
        let mut subject = |name: &String| match self.subjects.get(name) {
            Some(known) => Ok(*known),
            None => {
                let subject = Subject::parse(name)?;
                self.subjects.insert(name.clone(), subject);
                Ok(subject)
            }
        };
        names.iter().map(&mut subject).collect()
    }

    fn declare_lines(
        &mut self,
        asked: &Asked,
        whom: &Whom,
        comments: &[String],
        behind: &str,
    ) -> Result<Option<String>, Error> {
        let is_lines = asked.protocol.is_none() && !whom.everybody && whom.except.is_empty();
        let mut last = None;
        for subject in &whom.subjects {
            let user = subject.user().filter(|_| is_lines).ok_or(Error::NeedsLines)?;
            for ports in lines::split(&asked.ports) {
                let file = byuid_file(user, lines::is_impersonating(&ports));
                let entries = self.lines.entry(file.clone()).or_default();
                entries.extend(comments.iter().cloned().map(Entry::Comment));
                let line = |addresses| Entry::Grant(Line { addresses, ports: ports.clone() }, behind.to_owned());
                entries.extend(asked.spans().into_iter().map(line));
                last = Some(file);
            }
        }
        last.map(Some).ok_or(Error::NeedsLines)
    }
}

/// The rules that the text asks for. What says that already stays as it is; so does what is no rule.
fn declared_rules(text: &Text, rules: &RuleSet) -> Result<RuleSet, Error> {
    let mut after = rules.clone();
    for (key, file, rule) in rules.keys() {
        match text.files.get(&key) {
            Some(declared) if is_as_declared(declared, rule) => {}
            Some(_) if rule.kind != Kind::File => return Err(Error::NotRegular(file.clone())),
            Some(declared) => drop(after.0.insert(file.clone(), declared.rule())),
            None if matches!(rule.kind, Kind::NoFile | Kind::Unseen) => return Err(Error::NotRegular(file.clone())),
            // Its other names too, which would be found now.
            None => key.files().iter().for_each(|file| drop(after.0.remove(file))),
        }
    }
    for (key, declared) in text.files.iter().filter(|(key, _)| rules.of_key(key).is_none()) {
        after.0.extend(key.files().into_iter().next().map(|file| (file, declared.rule())));
    }
    for (file, rule) in &rules.0 {
        let Some((_, impersonating)) = user_of(file) else { continue };
        match text.lines.get(file) {
            Some(declared) if rule.is_readable && entries(rule, impersonating) == *declared => {}
            None if !rule.is_obscure() && !entries(rule, impersonating).iter().any(Entry::is_grant) => {}
            _ if rule.kind != Kind::File => return Err(Error::NotRegular(file.clone())),
            Some(declared) => drop(after.0.insert(file.clone(), lines_rule(declared))),
            None => drop(after.0.remove(file)),
        }
    }
    for (file, declared) in text.lines.iter().filter(|(file, _)| !rules.0.contains_key(*file)) {
        after.0.insert(file.clone(), lines_rule(declared));
    }
    Ok(after)
}

impl Declaration {
    fn rule(&self) -> Rule {
        let mut rule = Rule::new(self.whom.access());
        rule.set_lines(&self.comments.iter().map(|comment| comment.clone().into_bytes()).collect::<Vec<_>>());
        rule
    }
}

fn is_as_declared(declared: &Declaration, rule: &Rule) -> bool {
    let is = declaration(rule);
    // Its comments can be read by root alone, as a rule.
    is.whom == declared.whom && (is.comments == declared.comments || rule.text.is_none())
}

fn lines_rule(entries: &[Entry]) -> Rule {
    let text = |entry: &Entry| match entry {
        Entry::Comment(comment) => comment.clone(),
        Entry::Grant(line, comment) => format!("{line} {comment}").trim_end().to_owned(),
    };
    let mut rule = Rule::new(Access::readable());
    rule.set_lines(&entries.iter().map(|entry| text(entry).into_bytes()).collect::<Vec<_>>());
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> RuleSet {
        declared_rules(&parse(text, Path::new("grants")).unwrap(), &RuleSet::default()).unwrap()
    }

    #[test]
    fn what_is_printed_makes_the_same_rules() {
        let text = "\
# the shop, and its
# neighbours
allow 80 4001 @4100
allow 80/udp --nobody
allow 80 --addr 10.0.0.1 4002 --except 4003
allow 443/tcp --addr ::1 --everybody 4002 --except 4001 --except @4100
allow 600 --everybody

allow 512-1023 --addr ::1-::4 4001

# networks
allow 80-81 --addr 10.0.0.0/8 4001 # web
allow 80 --addr ::1/128 4001
# the end of them
";
        let made = rules(text);
        assert_eq!(text_of(&made, &mut Names::default()).unwrap(), text);
        assert_eq!(declared_rules(&parse(text, Path::new("grants")).unwrap(), &made).unwrap(), made);
        assert_eq!(
            String::from_utf8(made.0["byuid/4001"].text.clone().unwrap()).unwrap(),
            "# networks\n10.0.0.0/8,80-81 # web\n::1/128,80\n# the end of them\n"
        );
        assert!(made.0.contains_key("byport/!600"));
        assert_eq!(
            declared_rules(&parse("# nothing", Path::new("grants")).unwrap(), &made).unwrap(),
            RuleSet::default()
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_the_line() {
        for wrong in [
            "allow 80",
            "deny 80 4001",
            "allow 80 --nobody 4001",
            "allow 80 --nobody --everybody",
            "allow 80-90 @4100",
            "allow 80-90/tcp 4001",
            "allow 80-90 --everybody",
            "allow 80-90 --nobody",
            "allow 80 --addr 10.0.0.0/8 4001 --except 4002",
            "allow 80 4001#",
            "80 4001",
            "--help",
            "allow --help",
            "help",
            "allow 80 no-such-user-here",
        ] {
            let error = parse(&format!("# first\n{wrong}\n"), Path::new("grants")).unwrap_err();
            assert!(matches!(error, Error::Line { number: 2, .. }), "{wrong}: {error}");
        }
    }
}
