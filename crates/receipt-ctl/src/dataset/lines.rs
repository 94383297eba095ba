//! The lines of a data set: tab-separated, `#` starts a comment.

use std::io::{BufRead, BufReader, Read};

use super::DatasetError;

/// Reads lines one by one, leaving out comments.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: String,
    number: u64,
}

impl Lines {
    pub(super) fn new(reader: impl Read + Send + 'static) -> Self {
        Self { reader: Box::new(BufReader::with_capacity(64 * 1024, reader)), line: String::new(), number: 0 }
    }

    /// The fields of the next line, exactly `N`; `None` at the end.
    pub(super) fn next_fields<const N: usize>(&mut self) -> Result<Option<[&str; N]>, DatasetError> {
        loop {
            self.line.clear();
            if self.reader.read_line(&mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if !self.line.starts_with('#') {
                break;
            }
        }
        let fields: Vec<&str> = self.line.trim_end_matches(['\n', '\r']).split('\t').collect();
        match fields.try_into() {
            Ok(fields) => Ok(Some(fields)),
            Err(fields) => {
                let problem = format!("has {} tab-separated fields, {N} are expected", fields.len());
                Err(DatasetError::Line { line: self.number, problem })
            }
        }
    }

    /// What is wrong with the line read last.
    pub(super) fn wrong(&self, problem: String) -> DatasetError {
        DatasetError::Line { line: self.number, problem }
    }
}
