//! Records of a log in a file: length-delimited protobuf (`log_file.proto`), or a JSON document a line.
//!
//! A header says which log and which stretches of it; a trailer how many records there are, and a digest of all bytes
//! before it, so that a file which was cut short or changed is noticed. A file may come from anywhere: whatever its bytes,
//! reading one ends well or says where it is wrong, and takes no more memory than its largest record.

mod counts;
mod json;
mod read;
#[cfg(test)]
mod tests;
mod write;

use anyhow::bail;
use receipt_log::Topic;
use receipt_proto::v1;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    read::{FileError, Reader},
    write::Writer,
};

/// Of this program's files.
const FORMAT_VERSION: u32 = 1;
/// Bytes of a frame or a line, at most. A record has about a MB at most; Kafka can be told to take larger ones.
const FRAME_MAX_BYTES: u64 = 64 << 20;
/// Partitions of a log, at most.
const PARTITIONS_MAX: u32 = 1024;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Length-delimited messages of receipts.v1.LogFileFrame.
    Protobuf,
    /// A JSON document a line, with the events in it decoded.
    Jsonl,
}

/// What a file says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    format_version: u32,
    pub(crate) log_id: String,
    pub(crate) origin: String,
    pub(crate) partitions: u32,
    #[serde(deserialize_with = "counts::at_most::<{ counts::SECTIONS_MAX }, _, _>")]
    pub(crate) sections: Vec<Section>,
}

/// A stretch of a partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    #[serde(with = "json::topic")]
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) from_offset: u64,
    pub(crate) to_offset: u64,
}

/// What a file says last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trailer {
    pub(crate) records: u64,
    /// Of all bytes before, in hexadecimal.
    pub(crate) blake3: String,
}

impl Header {
    pub(crate) fn new(log_id: String, origin: String, partitions: u32, sections: Vec<Section>) -> Self {
        Self { format_version: FORMAT_VERSION, log_id, origin, partitions, sections }
    }

    /// Whether it can be one of a file of ours.
    fn check(&self) -> anyhow::Result<()> {
        if self.format_version != FORMAT_VERSION {
            bail!("its format is {}, and this receiptctl knows {FORMAT_VERSION}", self.format_version);
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            bail!("a log has 1 to {PARTITIONS_MAX} partitions, and the header says {}", self.partitions);
        }
        let mut seen = std::collections::BTreeSet::new();
        for Section { topic, partition, from_offset, to_offset } in &self.sections {
            if *partition >= self.partitions {
                bail!("{topic}/{partition} is of no log of {} partitions", self.partitions);
            }
            if from_offset > to_offset {
                bail!("{topic}/{partition} goes from offset {from_offset} to {to_offset}");
            }
            if !seen.insert((*topic, *partition)) {
                bail!("{topic}/{partition} is named twice");
            }
        }
        Ok(())
    }
}

impl From<&Header> for v1::LogFileHeader {
    fn from(header: &Header) -> Self {
        let section = |section: &Section| v1::LogFileSection {
            topic: section.topic.name().to_owned(),
            partition: section.partition,
            from_offset: section.from_offset,
            to_offset: section.to_offset,
        };
        Self {
            format_version: header.format_version,
            log_id: header.log_id.clone(),
            origin: header.origin.clone(),
            partitions: header.partitions,
            sections: header.sections.iter().map(section).collect(),
        }
    }
}

impl TryFrom<v1::LogFileHeader> for Header {
    type Error = anyhow::Error;

    fn try_from(header: v1::LogFileHeader) -> anyhow::Result<Self> {
        let v1::LogFileHeader { format_version, log_id, origin, partitions, sections } = header;
        let section = |section: v1::LogFileSection| {
            let v1::LogFileSection { topic, partition, from_offset, to_offset } = section;
            Ok(Section { topic: topic_named(&topic)?, partition, from_offset, to_offset })
        };
        let sections = sections.into_iter().map(section).collect::<anyhow::Result<_>>()?;
        Ok(Self { format_version, log_id, origin, partitions, sections })
    }
}

/// A topic by its name, with or without what all begin with.
pub(crate) fn topic_named(name: &str) -> anyhow::Result<Topic> {
    let found = Topic::ALL.into_iter().find(|topic| {
        topic.name() == name || topic.name().strip_prefix("receipts.").is_some_and(|short| short == name)
    });
    match found {
        Some(topic) => Ok(topic),
        None => {
            bail!("there is no topic \"{}\": there are {}", name.escape_debug(), Topic::ALL.map(Topic::name).join(", "))
        }
    }
}
