//! The manual says what the programs say: options, exit statuses, paths, variables. And man(1) can read it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rauthbind_tests::{checkout, source, stage, world_test};
use rauthbind_wire::names::{
    BROKER, BROKER_ARGUMENT, CHANNEL, DEPTH, HELPER, LD_PRELOAD, LOG_SOCKET, ONCE, RULES, SHIM, SUPERVISED,
    UNPRIVILEGED_PORT_START, VERBOSE,
};
use xtask::layout::{DEFAULT_PREFIX, Tree};

/// A page of the manual.
struct Page {
    path: PathBuf,
    name: String,
    section: String,
    /// With hyphens as they are typed.
    text: String,
}

/// Every page.
fn pages() -> Vec<Page> {
    let page = |path: PathBuf| Page {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        section: path.extension().unwrap().to_string_lossy().into_owned(),
        text: source(&path).replace("\\-", "-"),
        path,
    };
    let found: Vec<_> =
        fs::read_dir(checkout().join("docs/man")).unwrap().map(|entry| page(entry.unwrap().path())).collect();
    assert!(found.len() >= 4);
    found
}

/// The page of this name.
fn page(name: &str) -> Page {
    pages().into_iter().find(|page| page.name == name).unwrap_or_else(|| panic!("no page {name}"))
}

impl Page {
    /// What stands under this heading.
    fn under(&self, heading: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("\n.SH {heading}\n"))?;
        Some(rest.split_once("\n.SH ").map_or(rest, |(section, _)| section))
    }

    /// The headings of paragraphs there, without quotation marks.
    fn tags_under(&self, heading: &str) -> String {
        let lines: Vec<_> =
            self.under(heading).unwrap_or_else(|| panic!("{} has no {heading}", self.name)).lines().collect();
        let tags = lines.windows(2).filter(|pair| pair.first().is_some_and(|line| [".TP", ".TQ"].contains(line)));
        tags.filter_map(|pair| pair.last()).map(|tag| tag.replace('"', " ") + "\n").collect()
    }

    /// Its examples, as they are typed.
    fn examples(&self) -> Vec<String> {
        let blocks = self.under("EXAMPLES").unwrap_or_default().split("\n.EX\n").skip(1);
        blocks.map(|block| block.split_once("\n.EE\n").expect("its end").0.to_owned()).collect()
    }
}

/// A program of the installed tree.
fn installed(path: &str) -> Command {
    let mut command = Command::new(stage().join(path.trim_start_matches('/')));
    command.stdin(Stdio::null());
    command
}

/// What it prints.
fn help(program: &str) -> String {
    let output = installed(program).arg("--help").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

const LAUNCHER: &str = "/usr/local/bin/rauthbind";

/// The options in a text: `-x` and `--word`.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "[],;()'`".contains(c));
    let is_option = |word: &&str| match word.strip_prefix("--") {
        Some(name) => name.starts_with(|c: char| c.is_ascii_lowercase()),
        None => word.len() == 2 && word.starts_with('-') && !word.ends_with('-'),
    };
    words.filter(is_option).map(str::to_owned).collect()
}

/// The launcher's page has the options of `--help`, and no others; its completions have them too.
#[test]
fn the_options_of_the_launcher_are_known() {
    let help = help(LAUNCHER);
    let help = options(help.split_once("Examples:").unwrap().0);
    assert!(["-u", "--depth", "--user-env"].iter().all(|option| help.contains(*option)), "{help:?}");
    assert_eq!(options(&page("rauthbind").tags_under("OPTIONS")), help);
    for path in [
        "packaging/completions/rauthbind.bash",
        "packaging/completions/_rauthbind",
        "packaging/completions/rauthbind.fish",
    ] {
        let completion = source(path);
        for option in &help {
            assert!(completion.contains(option.trim_start_matches('-')), "{path} lacks {option}");
        }
    }
}

const CTL: &str = "/usr/local/sbin/rauthbindctl";

const COMMANDS: [&str; 8] = ["allow", "revoke", "list", "explain", "doctor", "import", "export", "apply"];

/// The page of rauthbindctl has each command, with the options of its `--help`, and no others; the completions that are
/// not generated have them too.
#[test]
fn the_options_of_rauthbindctl_are_known() {
    let page = page("rauthbindctl");
    let headings: Vec<&str> =
        page.under("COMMANDS").unwrap().lines().filter_map(|line| line.strip_prefix(".SS ")).collect();
    assert_eq!(headings, COMMANDS);
    let listed = help(CTL);
    let mut all = BTreeSet::new();
    for command in COMMANDS {
        assert!(listed.contains(&format!("\n  {command} ")), "{listed}");
        let output = installed(CTL).args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let (_, help) = help.split_once("\nOptions:\n").unwrap();
        let help = options(help.split_once("\nExamples:").map_or(help, |(options, _)| options));
        all.extend(help.into_iter().filter(|option| !["-h", "--help"].contains(&option.as_str())));
    }
    assert_eq!(options(&page.tags_under("COMMANDS")), all);
    for path in ["packaging/completions/rauthbindctl.bash", "packaging/completions/rauthbindctl.fish"] {
        let completion = source(path);
        let words: BTreeSet<&str> = completion.split(|c: char| c.is_whitespace() || "'-".contains(c)).collect();
        for word in all.iter().map(|option| option.trim_start_matches('-')).chain(COMMANDS) {
            assert!(words.contains(word), "{path} lacks {word}");
        }
    }
}

/// The helper's page has the arguments that the others give it.
#[test]
fn the_arguments_of_the_helper_are_known() {
    let [once, broker] = [ONCE, BROKER_ARGUMENT].map(|argument| argument.to_str().unwrap());
    let arguments = ["--protocol", once, broker, VERBOSE, "--help", "--version"].map(str::to_owned);
    assert_eq!(options(&page("rauthbind-helper").tags_under("OPTIONS")), BTreeSet::from(arguments));
}

/// The numbers that a page has as exit statuses.
fn exit_statuses(page: &str) -> BTreeSet<i32> {
    let tags = self::page(page).tags_under("EXIT STATUS");
    tags.lines().map(|tag| tag.trim_start_matches(".B ").parse().unwrap()).collect()
}

/// Launcher and helper end with each exit status that their pages have, and with no other of their own.
#[test]
fn the_exit_statuses_are_known() {
    let status =
        |program: &str, arguments: &[&str]| installed(program).args(arguments).output().unwrap().status.code().unwrap();
    let launchers =
        [&["--no-such-option"][..], &["/etc/passwd"], &["/no/such/command"]].map(|words| status(LAUNCHER, words));
    assert_eq!(exit_statuses("rauthbind"), BTreeSet::from(launchers));
    let help = help(LAUNCHER);
    let (_, said) = help.split_once("\nExit status: ").unwrap();
    assert!(launchers.iter().all(|status| said.contains(&format!("{status} if "))), "{said}");
    let helpers = [&["--version"][..], &[]].map(|words| status(HELPER, words));
    assert_eq!(exit_statuses("rauthbind-helper"), BTreeSet::from(helpers));
}

/// The pages name every path and variable by which the programs find each other; and no path or variable of ours that
/// there is not.
#[test]
fn the_paths_and_variables_are_known() {
    let all: String = pages().into_iter().map(|page| page.text).collect();
    let ours = [CHANNEL, DEPTH, SUPERVISED];
    for name in [BROKER, HELPER, LD_PRELOAD, LOG_SOCKET, RULES, SHIM, UNPRIVILEGED_PORT_START].iter().chain(&ours) {
        assert!(all.contains(name), "no page names {name}");
    }
    let tree = Tree { prefix: DEFAULT_PREFIX.into(), destdir: "/".into(), authbind: true };
    let installed: Vec<PathBuf> = tree.rows().map(|row| tree.path(row.to)).collect();
    let is_installed = |path: &Path| installed.iter().any(|known| known == path);
    let holds_rules = |path: &Path| is_installed(path) && path.starts_with(RULES) && path != Path::new(RULES);
    for word in all.split(|c: char| c.is_whitespace() || ",:\"'\\()=<>;".contains(c)) {
        if word.starts_with('/') && word.contains("rauthbind") && !word.ends_with('*') {
            let path = Path::new(word.trim_end_matches(['.', '/']));
            let is_known =
                is_installed(path) || Path::new(BROKER).starts_with(path) || path.parent().is_some_and(holds_rules);
            assert!(is_known, "the manual names {}, which is not there", path.display());
        }
        if word.starts_with("RAUTHBIND_") {
            assert!(ours.contains(&word), "the manual names {word}, which means nothing");
        }
    }
}

/// Each page has the title of its file and this version, the sections that its readers look for, and refers to pages
/// that there are.
#[test]
fn the_pages_are_whole() {
    let pages = pages();
    for Page { path, name, section, text } in &pages {
        let path = path.display();
        let title = format!(".TH {} {section} ", name.to_uppercase());
        let first = text.lines().next().unwrap();
        assert!(first.starts_with(&title), "{path}: {first}");
        assert!(first.contains(concat!("\"rauthbind ", env!("CARGO_PKG_VERSION"), "\"")), "{path}: {first}");
        // Section 7 is about many things; a page in it is examples throughout.
        let examples = (section != "7").then_some("EXAMPLES");
        for heading in ["NAME", "DESCRIPTION", "SEE ALSO"].into_iter().chain(examples) {
            assert!(text.contains(&format!("\n.SH {heading}\n")), "{path} lacks {heading}");
        }
        let references = text.lines().filter_map(|line| line.strip_prefix(".BR ")?.split_once(" ("));
        for (name, rest) in references.filter(|(name, _)| name.starts_with("rauthbind")) {
            let is_it = |page: &Page| page.name == name && rest.starts_with(&format!("{})", page.section));
            assert!(pages.iter().any(is_it), "{path} refers to {name}({rest}");
        }
    }
}

/// Neither groff nor mandoc finds anything wrong with the pages.
#[test]
fn the_pages_are_well_formed() {
    for Page { path, .. } in pages() {
        for linter in ["groff -man -ww -Tutf8 -z", "mandoc -T lint -W warning"] {
            let mut words = linter.split(' ');
            let output = Command::new(words.next().unwrap()).args(words).arg(&path).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success() && said.is_empty(), "{linter}: {}", String::from_utf8_lossy(&said));
        }
    }
}

world_test! {
    /// Every example of rauthbindctl's does what it is said to do, and its text of rules is one.
    fn the_examples_of_rauthbindctl_are_right(world) {
        let mut examples = page("rauthbindctl").examples();
        let text = examples.pop().unwrap();
        let type_as_root = |line: &str| world.command("root", ["sh", "-c", line]).run();
        for line in examples.iter().flat_map(|block| block.lines()) {
            let done = type_as_root(line);
            let is_question = line.contains(" explain ");
            assert_eq!(done.status.code(), Some(i32::from(is_question)), "{line}: {}{}", done.stdout, done.stderr);
        }
        let list = type_as_root("rauthbindctl list").successful().stdout;
        for row in ["53\tudp\t192.0.2.1\t@web\t", "443\tany\tany\talice\t", "400-410\tany\t10.0.0.0/8\talice\t"] {
            assert!(list.contains(row), "{list}");
        }
        fs::write("/run/tmp/text", &text).unwrap();
        let _ = type_as_root("rauthbindctl apply /run/tmp/text").successful();
        let exported = type_as_root("rauthbindctl export").successful().stdout;
        let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(lines(&exported), lines(&text));
    }
}

world_test! {
    /// The helper's capability can be seen and given as its page shows.
    fn the_capability_is_mended_as_the_manual_says(world) {
        let examples = page("rauthbind-helper").examples();
        let [see, seen, give, ..] = &*examples else { panic!("{examples:?}") };
        let type_as_root = |line: &str| world.command("root", ["sh", "-c", line]).run().successful().stdout;
        assert_eq!(type_as_root(see), format!("{seen}\n"));
        let _ = type_as_root(&format!("setcap -r {HELPER}"));
        assert_eq!(type_as_root(see), "");
        let _ = type_as_root(give);
        assert_eq!(type_as_root(see), format!("{seen}\n"));
    }
}
