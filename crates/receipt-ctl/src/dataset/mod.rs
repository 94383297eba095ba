//! Data sets of real conversations, as the events they are in the contract.
//!
//! Both say only who did what when. [`Events`] yields conversation events and reads in the file's order; each
//! conversation event carries as `version` its ordinal among its conversation's, from 1, so that sending it twice is
//! harmless. Sending a read twice always is.

mod college_msg;
mod lines;
mod ubuntu_irc;

use std::{collections::VecDeque, fs::File, io, path::Path};

use flate2::read::MultiGzDecoder;
use receipt_proto::v1;

use self::{college_msg::CollegeMsg, lines::Lines, ubuntu_irc::UbuntuIrc};

/// One event of a data set.
#[derive(Debug, Clone, PartialEq)]
pub enum DataEvent {
    /// For receipts.conversations.
    Conversation(v1::ConversationEvent),
    /// For receipts.reads.
    Read(v1::ReadEvent),
}

/// Which data set a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One-to-one messages: sender, receiver, Unix time.
    CollegeMsg,
    /// Stretches of a public channel: stretch, minute, event, nickname, new nickname.
    UbuntuIrc,
}

impl Kind {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CollegeMsg => "college-msg",
            Self::UbuntuIrc => "ubuntu-irc",
        }
    }
}

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be read, or is not gzip.
    #[error("cannot read the data set: {0}")]
    Io(#[from] io::Error),
    /// A line is not as the data set's format says.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number in the file, from 1, comments counted.
        line: u64,
        /// What is wrong.
        problem: String,
    },
}

/// The events of a data set, in the file's order. After an error it is at its end.
pub struct Events {
    source: Option<Source>,
    ready: VecDeque<DataEvent>,
}

enum Source {
    CollegeMsg(CollegeMsg),
    UbuntuIrc(Box<UbuntuIrc>),
}

/// The events of the gzipped file at `path`.
pub fn open(kind: Kind, path: &Path) -> Result<Events, DatasetError> {
    Ok(from_reader(kind, MultiGzDecoder::new(File::open(path)?)))
}

/// The events of what `reader` yields, which is text, no longer gzipped.
pub fn from_reader(kind: Kind, reader: impl io::Read + Send + 'static) -> Events {
    let lines = Lines::new(reader);
    let source = match kind {
        Kind::CollegeMsg => Source::CollegeMsg(CollegeMsg::new(lines)),
        Kind::UbuntuIrc => Source::UbuntuIrc(Box::new(UbuntuIrc::new(lines))),
    };
    Events { source: Some(source), ready: VecDeque::new() }
}

impl Iterator for Events {
    type Item = Result<DataEvent, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let more = match self.source.as_mut()? {
                Source::CollegeMsg(source) => source.read_more(&mut self.ready),
                Source::UbuntuIrc(source) => source.read_more(&mut self.ready),
            };
            match more {
                Ok(true) => {}
                Ok(false) => self.source = None,
                Err(error) => {
                    self.source = None;
                    self.ready.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
