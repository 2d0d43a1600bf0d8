//! What README.md tells its reader to type.

use crate::source;

fn text() -> String {
    let text = source("README.md");
    assert!(!text.contains("```"), "the README has fenced blocks, which nobody looks into here");
    text
}

/// What is shown apart from the text, by four spaces: commands, or files. In its order, without empty lines.
#[must_use]
pub fn blocks() -> Vec<String> {
    let (mut blocks, mut is_open) = (Vec::<String>::new(), false);
    for line in text().lines() {
        if let Some(shown) = line.strip_prefix("    ") {
            if !is_open {
                blocks.push(String::new());
            }
            *blocks.last_mut().expect("one is open") += &format!("{shown}\n");
        }
        // An empty line does not end a block.
        is_open = line.starts_with("    ") || (is_open && line.is_empty());
    }
    blocks
}

/// The block that begins with this.
///
/// # Panics
/// There is none, or there are several.
#[must_use]
pub fn block(beginning: &str) -> String {
    let mut found: Vec<_> = blocks().into_iter().filter(|block| block.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "blocks of the README that begin with {beginning:?}");
    found.remove(0)
}

/// The commands in a block: its lines without comments.
pub fn commands(block: &str) -> impl Iterator<Item = &str> {
    let lines = block.lines().filter(|line| !line.starts_with("# "));
    lines.map(|line| line.split_once("  #").map_or(line, |(command, _)| command).trim_end())
}

/// What is set off within the text and has more than one word: most are commands.
#[must_use]
pub fn phrases() -> Vec<String> {
    let text = text();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("    ")).collect();
    let text = lines.join(" ");
    let set_off = text.split('`').skip(1).step_by(2);
    set_off.filter(|phrase| phrase.contains(' ')).map(str::to_owned).collect()
}

/// That phrase, if the README has it.
///
/// # Panics
/// It has not.
#[must_use]
pub fn phrase(phrase: &str) -> &str {
    assert!(phrases().iter().any(|found| found == phrase), "the README has no `{phrase}`");
    phrase
}
