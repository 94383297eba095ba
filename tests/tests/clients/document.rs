//! docs/clients.md, and what it shows.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The code blocks of docs/clients.md in one language, in their order.
pub(crate) fn blocks(fence: &str) -> Vec<String> {
    let document = fs::read_to_string(repository().join("docs/clients.md")).expect("docs/clients.md");
    between(&document, |line| line == format!("```{fence}"), "```")
}

/// The sections of a source file that are marked as examples, in their order.
pub(crate) fn examples(source: &Path, comment: &str) -> Vec<String> {
    let text = fs::read_to_string(source).expect("the source of a client");
    between(&text, |line| line.starts_with(&format!("{comment} example: ")), &format!("{comment} end"))
}

fn between(text: &str, is_start: impl Fn(&str) -> bool, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while lines.any(&is_start) {
        let block = lines.by_ref().take_while(|line| *line != end).map(|line| format!("{line}\n"));
        found.push(block.collect());
    }
    found
}
