//! Answers on standard output: tables for people, or one JSON document.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table};
use serde_json::Value;

/// How to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON document instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints the answer in the form that was asked for.
    pub(crate) fn print(self, json: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(json)? } else { text() };
        match writeln!(io::stdout().lock(), "{text}") {
            // Whoever read the answer has read enough of it, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

/// A table with this header.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}
