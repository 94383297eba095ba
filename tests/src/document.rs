//! Documents of the repository, and what they show of programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository.
///
/// # Panics
/// Never in practice.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// The code blocks of a document in one language, in their order.
///
/// # Panics
/// If there is no such document.
#[must_use]
pub fn blocks(document: &str, fence: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(document)).expect("a document of the repository");
    between(&text, |line| line == format!("```{fence}"), "```")
}

/// The sections of a source file that are marked as examples, in their order.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn examples(source: &Path, comment: &str) -> Vec<String> {
    let text = fs::read_to_string(source).expect("the source of a program");
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
