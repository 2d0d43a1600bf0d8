//! What is promised of the source tree itself: where unsafe code lives, how much there is to read, what it depends on,
//! and that names are the same everywhere. The manual has tests of its own (manual.rs), and the README (readme.rs).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rauthbind_tests::{checkout, source, stage};
use xtask::layout::{DEFAULT_PREFIX, Tree};

/// Every Rust file below these folders, relative to the root.
fn sources(folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| checkout().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(checkout()).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The code of a file: no comments, no blank lines, no tests.
fn code(path: &str) -> Vec<String> {
    let text = source(path);
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).map(str::to_owned).collect()
}

/// Unsafe code is in the modules that are named here, and in no other.
#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    const NAMED: [&str; 14] = [
        "cli/src/bin/authbind.rs",
        "cli/src/bin/rauthbind.rs",
        "cli/src/notify.rs",
        "cli/src/sys.rs",
        "helper/src/main.rs",
        "helper/src/sys.rs",
        "shim/src/environment.rs",
        "shim/src/lib.rs",
        "tests/src/sys.rs",
        "wire/src/ask/run.rs",
        "wire/src/ask/sys.rs",
        "wire/src/capability.rs",
        "wire/src/fdpass.rs",
        "wire/src/sys.rs",
    ];
    let folders = [
        "policy/src",
        "wire/src",
        "helper/src",
        "shim/src",
        "cli/src",
        "tests/src",
        "benches/src",
        "fuzz",
        "xtask/src",
    ];
    let word = |line: &String| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
    let found: Vec<String> = sources(&folders).into_iter().filter(|path| code(path).iter().any(word)).collect();
    assert_eq!(found, NAMED);
}

/// What holds the capability, and all that it calls of ours, can be read in one sitting; and so can what runs in other
/// people's programs: the shim and the asking side of the wire.
#[test]
fn each_side_stays_small() {
    let mut all = sources(&["policy/src", "wire/src", "helper/src", "shim/src"]);
    // In neither: the function for programs that call it.
    all.retain(|path| path != "wire/src/bind.rs");
    let apps_own = ["shim/", "wire/src/ask", "wire/src/channel.rs"];
    let is_apps = |path: &&String| apps_own.iter().any(|own| path.starts_with(own));
    let (apps, helpers): (Vec<_>, Vec<_>) = all.iter().partition(is_apps);
    let lines = |side: Vec<&String>| side.iter().map(|path| code(path).len()).sum::<usize>();
    let (apps, helpers) = (lines(apps), lines(helpers));
    assert!(helpers < 1550, "helper, policy and their part of wire have {helpers} lines of code");
    assert!(apps < 620, "shim and its part of wire have {apps} lines of code");
}

/// What is loaded into every program, and what holds the capability, do not grow unnoticed: within a twentieth, which is
/// the compiler's, they have the sizes in bytes that are recorded here for x86_64.
#[test]
#[cfg(target_arch = "x86_64")]
fn shim_and_helper_do_not_grow() {
    for (file, recorded) in
        [("lib/rauthbind/librauthbind.so", 308_960), ("libexec/rauthbind/rauthbind-helper", 1_174_336)]
    {
        let size = fs::metadata(stage().join("usr/local").join(file)).unwrap().len();
        assert!(
            size <= recorded + recorded / 20,
            "{file} has {size} bytes, no longer {recorded}: if that is worth it, record it here and say why in the commit"
        );
    }
}

/// The crates that these packages are made of, a line each, as `cargo tree` prints them.
fn cargo_tree(packages: &[&str], edges: &str) -> Command {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "-e", edges, "--prefix", "none"]);
    tree.args(packages.iter().flat_map(|package| ["-p", package]));
    // Where sudo has taken cargo's directory out of PATH.
    tree.env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc")).current_dir(checkout());
    tree
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whose licence asks for a notice beside the programs is named in NOTICES.
#[test]
fn notices_are_given() {
    let mut tree = cargo_tree(&["rauthbind", "rauthbind-helper", "rauthbind-shim"], "normal,no-proc-macro");
    let found = output_of(tree.args(["--format", "{p} {l}"]));
    let asks = |line: &&str| !["rauthbind", "Apache-2.0", "Unlicense"].iter().any(|other| line.contains(other));
    let asking: BTreeSet<&str> =
        found.lines().filter(asks).filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    let notices = source("NOTICES");
    let starts = |name: &&str| notices.lines().any(|line| line.split([' ', ',']).next() == Some(name));
    assert!(asking.contains("redhook") && asking.iter().all(starts), "{asking:?}");
}

/// The crates that run in other people's programs, or with the capability, are these and no others.
#[test]
fn helper_and_shim_depend_on_what_they_are_said_to() {
    let trees: [(&str, &[&str]); 2] = [
        (
            "rauthbind-helper",
            &["bitflags", "cfg-if", "libc", "nix", "rauthbind-helper", "rauthbind-policy", "rauthbind-wire"],
        ),
        ("rauthbind-shim", &["libc", "once_cell", "rauthbind-shim", "rauthbind-wire", "redhook"]),
    ];
    for (package, expected) in trees {
        let text = output_of(cargo_tree(&[package], "normal").args(["--format", "{p} {f}"]));
        let found: BTreeSet<&str> =
            text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{package}");
        let wire = text.lines().find(|line| line.starts_with("rauthbind-wire ")).unwrap();
        assert!(wire.ends_with(") "), "{package} has the wire with features: {wire}");
    }
}

/// Each test that SECURITY.md names is there.
#[test]
fn the_tests_of_the_threats_are_there() {
    let security = source("SECURITY.md");
    let (_, table) = security.split_once("## Threats and answers").unwrap();
    let mut named = 0;
    for cell in table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| ")).map(|(_, cell)| cell) {
        let mut code = None;
        for word in cell.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
            if let Some(place) = word.strip_suffix(':') {
                code = match place.strip_prefix("rauthbind-") {
                    Some(package) => Some(sources(&[&format!("{package}/src")]).iter().map(source).collect::<String>()),
                    None if place.ends_with(".rs") => Some(source(Path::new("tests/tests").join(place))),
                    None => None,
                };
            } else if let Some(code) = &code {
                assert!(code.contains(&format!("fn {word}(")), "SECURITY.md names {word}, which is nowhere");
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named} tests are named");
}

/// The units of the broker, and its recipes, run the helper that is installed, on the socket that the shim looks for.
#[test]
fn the_units_know_the_names() {
    use rauthbind_wire::names::{BROKER, BROKER_ARGUMENT, HELPER};
    let socket = source("packaging/systemd/rauthbind-broker.socket");
    assert!(socket.contains(&format!("\nListenSequentialPacket={BROKER}\n")), "{socket}");
    let service = source("packaging/systemd/rauthbind-broker@.service");
    let run = format!("{HELPER} {}", BROKER_ARGUMENT.to_str().unwrap());
    assert!(service.contains(&format!("\nExecStart={run}\n")), "{service}");
    // What the page says for those who have no systemd.
    let recipes = source("docs/man/rauthbind-recipes.7").replace("\\-", "-");
    assert!(recipes.contains(BROKER) && recipes.contains(&run));
}

/// The programs look for each other where `cargo xtask install` puts them.
#[test]
fn everything_is_looked_for_where_it_is_installed() {
    use rauthbind_wire::names::{HELPER, RULES, SHIM};
    let tree = Tree { prefix: DEFAULT_PREFIX.into(), destdir: "/".into(), authbind: false };
    let installed: Vec<PathBuf> = tree.rows().map(|row| tree.path(row.to)).collect();
    for name in [HELPER, SHIM, RULES] {
        assert!(installed.iter().any(|path| path == Path::new(name)), "{name} is not installed");
    }
}

/// What the README begins with is what there is.
#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = source("README.md");
    let top: String = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    for command in ["cargo xtask demo", "cargo xtask test"] {
        assert!(top.contains(command), "the top of the README lacks `{command}`");
    }
    let run = source(".ci/run");
    assert!(run.lines().any(|line| line.trim() == "exec cargo xtask test"), "{run}");
}
