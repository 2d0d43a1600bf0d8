//! What README.md tells its reader to type.

use crate::source;

/// Something that the README shows apart from its text: commands, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The heading that it stands under; empty at the top.
    pub heading: String,
    /// Its lines, as they are typed.
    pub text: String,
}

impl Block {
    /// Its commands: the lines without comments and what is empty.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(|line| line.split_once("  #").map_or(line, |(command, _)| command).trim());
        lines.filter(|line| !line.is_empty() && !line.starts_with("# "))
    }
}

fn text() -> String {
    source("README.md")
}

/// Everything that is shown apart, in its order.
#[must_use]
pub fn blocks() -> Vec<Block> {
    let (mut heading, mut blocks, mut is_open) = (String::new(), Vec::<Block>::new(), false);
    for line in text().lines() {
        match (line.strip_prefix("    "), line.strip_prefix("## ")) {
            (Some(shown), _) if is_open => blocks.last_mut().expect("one is open").text += &format!("{shown}\n"),
            (Some(shown), _) => blocks.push(Block { heading: heading.clone(), text: format!("{shown}\n") }),
            (None, Some(name)) => name.clone_into(&mut heading),
            (None, None) => {}
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
pub fn block(beginning: &str) -> Block {
    let mut found: Vec<_> = blocks().into_iter().filter(|block| block.text.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "blocks of the README that begin with {beginning:?}");
    found.remove(0)
}

/// What is set off within the text and has more than one word: most are commands.
#[must_use]
pub fn phrases() -> Vec<String> {
    let text: String =
        text().lines().filter(|line| !line.starts_with("    ")).map(|line| format!("{line}\n")).collect();
    let set_off = text.split('`').skip(1).step_by(2);
    set_off
        .filter(|phrase| phrase.contains(' '))
        .map(|phrase| phrase.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
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
