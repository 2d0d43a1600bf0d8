//! `list`: who may bind what, and what in the directory is no effective rule.

use std::path::Path;

use rauthbind_policy::keys::{BYPORT, BYUID};
use rauthbind_policy::{Protocol, Rules};
use rauthbind_wire::names::RULES;
use serde_json::{Value, json};

use super::Outcome;
use super::access::Identity;
use super::arguments::List;
use super::error::Error;
use super::grants::{Grant, grants, named};
use super::lines::{Line, Range};
use super::output::{self, escaped};
use super::rules::{Key, Kind, Rule, RuleSet, user_of};
use super::subject::{Names, Subject};
use crate::setup::Problem;

/// `rauthbindctl list`
///
/// # Errors
/// [`Error`]
pub fn list(asked: &List) -> Result<Outcome, Error> {
    let rules = RuleSet::read(Path::new(RULES))?;
    let user = asked.user.as_deref().map(Subject::parse_user).transpose()?;
    let who = user.map(|user| Identity::of(Subject::User(user))).transpose().map_err(Error::Getent)?;
    let mut names = Names::default();
    let is_asked_for = |grant: &Grant| who.as_ref().is_none_or(|who| is_granted_to(grant, &rules, who));
    let grants: Vec<Grant> = grants(&rules).into_iter().filter(is_asked_for).collect();
    let findings = findings(&rules);
    if asked.json {
        output::print(&json(&grants, &findings, &mut names)?)?;
    } else {
        print(&grants, &findings, &mut names)?;
    }
    Ok(Outcome::Good)
}

fn is_granted_to(grant: &Grant, rules: &RuleSet, who: &Identity) -> bool {
    match grant.line {
        Some(_) => who.user.is_some_and(|user| grant.whom.subjects.contains(&Subject::User(user))),
        None => {
            earlier(rules, &grant.file).is_none()
                && rules.0.get(&grant.file).is_some_and(|rule| rule.is_granted_to(who))
        }
    }
}

fn print(grants: &[Grant], findings: &[Finding], names: &mut Names) -> Result<(), Error> {
    let mut rows = Vec::new();
    for grant in grants {
        let whom = output::describe(&grant.whom, names)?;
        rows.push([
            Range(&grant.ports).to_string(),
            grant.protocol.map_or("any".to_owned(), |protocol| protocol.to_string()),
            grant.addresses.map_or("any".to_owned(), |addresses| addresses.to_string()),
            // A user may have the name nobody.
            if whom.is_empty() { "-".to_owned() } else { whom.join(" ") },
            grant.line.map_or_else(|| grant.file.clone(), |line| format!("{}:{line}", grant.file)),
        ]);
    }
    output::print(&output::table(["PORT", "PROTOCOL", "ADDRESS", "WHO", "RULE"], &rows))?;
    for Finding { file, reason } in findings {
        // A reason about the whole directory names it by itself.
        let file = if file == RULES { String::new() } else { format!("{}: ", escaped(file)) };
        output::print(&format_args!("{file}{reason}\n"))?;
    }
    Ok(())
}

/// Something in the directory of rules that is not, or not quite, what it seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// As in `byport/80`; or a directory by its path.
    pub file: String,
    /// In words.
    pub reason: String,
}

/// Everything that is no rule, no effective one, or one that others than root can change.
pub fn findings(rules: &RuleSet) -> Vec<Finding> {
    let finding = |file: &str, reason: String| Finding { file: file.to_owned(), reason };
    let mut found = Vec::new();
    if let Err(untrusted) = Rules::open(Path::new(RULES)).and_then(|rules| rules.check()) {
        found.push(finding(RULES, Problem::Rules(untrusted).to_string()));
    }
    let of_ports = rules.keys().filter(|(key, ..)| (key.address, key.protocol) == (None, None));
    let deciders: Vec<_> = of_ports.map(|(key, file, _)| (key.port, file)).collect();
    for (file, rule) in &rules.0 {
        let reasons = match user_of(file) {
            Some((user, impersonating)) => of_lines(&deciders, rule, user, impersonating),
            None => of_file(rules, file, rule),
        };
        found.extend(reasons.into_iter().map(|reason| finding(file, reason)));
    }
    found
}

fn of_file(rules: &RuleSet, file: &str, rule: &Rule) -> Vec<String> {
    if Key::of(file).is_none() {
        return vec!["no rule: nothing looks for a file of this name (rauthbind-rules(5))".to_owned()];
    }
    let hidden = earlier(rules, file).map(|earlier| format!("never reached: {} is looked up first", escaped(&earlier)));
    of_kind(rule).into_iter().chain(hidden).chain(of_owner(rule)).collect()
}

/// The file that is always looked up before this one, and exists.
fn earlier(rules: &RuleSet, file: &str) -> Option<String> {
    let key = Key::of(file)?;
    let by_port = |protocol| rules.of_key(&Key { port: key.port, address: None, protocol });
    match rules.of_key(&key) {
        Some(first) if first != file => Some(first),
        _ if file.starts_with(BYPORT) => None,
        _ => by_port(None).or_else(|| key.protocol.and_then(|protocol| by_port(Some(protocol)))),
    }
}

fn of_lines(deciders: &[(u16, &String)], rule: &Rule, user: u32, impersonating: bool) -> Vec<String> {
    let unreadable = match &rule.text {
        _ if !rule.is_regular() => None,
        _ if !rule.is_readable => Some("grants nothing: its user cannot read it (chmod 0644)".to_owned()),
        None => Some("cannot be read, or is longer than the helper reads".to_owned()),
        Some(_) => None,
    };
    let lines = rule.lines().into_iter().enumerate().filter_map(|(at, line)| {
        let at = at + 1;
        let is_comment = line.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|byte| *byte == b'#');
        match (Line::read(line, impersonating).is_empty(), Line::read(line, !impersonating).is_empty()) {
            _ if is_comment => None,
            (true, true) => Some(format!("line {at} grants nothing: it has none of the forms of a line")),
            (_, false) if impersonating => Some(format!("line {at} grants only ports 512 to 1023 of those in it")),
            (_, false) => Some(format!("line {at} does not grant ports 512 to 1023: they belong into {BYUID}/!{user}")),
            _ => None,
        }
    });
    let granted: Vec<Vec<Line>> = rule.lines().into_iter().map(|line| Line::read(line, impersonating)).collect();
    let hidden = deciders.iter().filter_map(|(port, file)| {
        let at = granted.iter().position(|lines| lines.iter().any(|line| line.ports.contains(port)))? + 1;
        Some(format!("line {at} does not decide port {port}: {file} is looked up first"))
    });
    of_kind(rule).into_iter().chain(unreadable).chain(lines).chain(hidden).chain(of_owner(rule)).collect()
}

fn of_kind(rule: &Rule) -> Option<String> {
    match rule.kind {
        Kind::File | Kind::Link => None,
        Kind::NoFile => Some("refuses everybody: it is no regular file".to_owned()),
        Kind::Unseen => {
            Some("a symbolic link that cannot be followed: whom it grants something is not known".to_owned())
        }
        Kind::Dangling => Some("no rule: a symbolic link to nowhere".to_owned()),
    }
}

fn of_owner(rule: &Rule) -> Option<String> {
    rule.access.is_foreign().then(|| {
        "others than root can change it, and so grant themselves or others more: chown root, chmod go-w (and setfacl)"
            .to_owned()
    })
}

/// As rauthbindctl(8) documents it.
fn json(grants: &[Grant], findings: &[Finding], names: &mut Names) -> Result<String, Error> {
    let mut of_grant = |grant: &Grant| {
        Ok(json!({
            "first_port": grant.ports.start(),
            "last_port": grant.ports.end(),
            "protocol": grant.protocol.map(Protocol::name),
            "addresses": grant.addresses.map(|addresses| addresses.to_string()),
            "everybody": grant.whom.everybody,
            "subjects": named(&grant.whom.subjects, names)?,
            "except": named(&grant.whom.except, names)?,
            "file": grant.file,
            "line": grant.line,
        }))
    };
    let grants: Vec<Value> = grants.iter().map(&mut of_grant).collect::<Result<_, Error>>()?;
    let of_finding = |Finding { file, reason }: &Finding| json!({ "file": file, "reason": reason });
    let findings: Vec<Value> = findings.iter().map(of_finding).collect();
    Ok(format!("{:#}\n", json!({ "grants": grants, "findings": findings })))
}
