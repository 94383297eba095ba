//! What a snapshot is of, and which files it has. It is written last and never changed: a snapshot without one is none.

use std::fmt::{self, Write as _};

use receipt_domain::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::SnapshotError;

/// Raised where an older version would read a manifest wrongly.
const FORMAT_VERSION: u32 = 1;

/// Its name in a snapshot.
pub(crate) const MANIFEST: &str = "manifest.json";

/// What is snapshot by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// The embedded log, all of it.
    Log,
    /// A partition's store of the receipt projection.
    Receipts(u32),
    /// A partition's store of the inbox projection.
    Inboxes(u32),
}

impl Unit {
    /// Its partition, where it is one's.
    #[must_use]
    pub fn partition(self) -> Option<u32> {
        match self {
            Self::Log => None,
            Self::Receipts(partition) | Self::Inboxes(partition) => Some(partition),
        }
    }

    /// The unit that is written so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once('-') {
            None if text == "log" => Some(Self::Log),
            Some(("receipts", partition)) => partition.parse().ok().map(Self::Receipts),
            Some(("inboxes", partition)) => partition.parse().ok().map(Self::Inboxes),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::Receipts(partition) => write!(f, "receipts-{partition}"),
            Self::Inboxes(partition) => write!(f, "inboxes-{partition}"),
        }
    }
}

/// How far a snapshot is in one partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The topic's name.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Of a log: its first offset. Of a store: 0.
    pub start: u64,
    /// Of a log: the next offset to be given out. Of a store: the next one to be applied.
    pub offset: u64,
}

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The identity of its log.
    pub log_id: String,
    /// The log, for people.
    pub origin: String,
    /// What it is a copy of.
    pub unit: Unit,
    /// How many partitions the log has.
    pub partitions: u32,
    /// How far it is. Of receipts: in receipts.conversations and receipts.reads, in that order.
    pub positions: Vec<Position>,
    /// Up to when, by the times in the log.
    pub log_time_ms: u64,
    /// By which settings it is folded; a log has none.
    pub settings: Option<Settings>,
}

impl Facts {
    /// Whether the log is an embedded one, whose copy is a snapshot of its own. Kafka keeps its logs itself.
    #[must_use]
    pub fn is_of_embedded_log(&self) -> bool {
        self.origin == format!("embedded log {}", self.log_id)
    }

    /// The snapshot's name: names of one unit sort as its offsets rise.
    #[must_use]
    pub fn name(&self) -> String {
        let numbers: Vec<u64> = match self.unit {
            Unit::Log => {
                let sum = |of: fn(&Position) -> u64| self.positions.iter().map(of).fold(0_u64, u64::saturating_add);
                vec![sum(|at| at.offset), sum(|at| at.start)]
            }
            Unit::Receipts(_) | Unit::Inboxes(_) => self.positions.iter().map(|at| at.offset).collect(),
        };
        let mut name = String::new();
        for number in numbers {
            let dash = if name.is_empty() { "" } else { "-" };
            // Into a string it cannot fail.
            let _ = write!(name, "{dash}{number:020}");
        }
        name
    }
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the directory that was snapshot.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The BLAKE3 hash of its content, in hex.
    pub blake3: String,
}

impl FileEntry {
    /// Its name in the snapshot. With half of the hash in it, so that two creators of one snapshot, or one that goes on
    /// after a crash, never write over a file that a manifest names.
    pub(crate) fn object(&self) -> String {
        format!("{}-{}", self.name, self.blake3.get(..32).unwrap_or(&self.blake3))
    }
}

/// A complete snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is of.
    pub facts: Facts,
    /// When it was created, in milliseconds since 1970, by the creator's clock.
    pub created_at_ms: u64,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    format_version: u32,
    log_id: String,
    origin: String,
    unit: String,
    partition: Option<u32>,
    partitions: u32,
    positions: Vec<Position>,
    log_time_ms: u64,
    settings: Option<Settings>,
    created_at_ms: u64,
    files: Vec<FileEntry>,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        let Self { facts, created_at_ms, files } = self.clone();
        let written = Written {
            format_version: FORMAT_VERSION,
            log_id: facts.log_id,
            origin: facts.origin,
            unit: facts.unit.to_string(),
            partition: facts.unit.partition(),
            partitions: facts.partitions,
            positions: facts.positions,
            log_time_ms: facts.log_time_ms,
            settings: facts.settings,
            created_at_ms,
            files,
        };
        serde_json::to_vec_pretty(&written).map_err(|why| SnapshotError::Invalid(format!("a manifest: {why}")))
    }

    /// Reads the manifest of the snapshot that `place` names, for people.
    pub(crate) fn decode(bytes: &[u8], place: &str) -> Result<Self, SnapshotError> {
        let corrupt = |what: String| SnapshotError::Corrupt { snapshot: place.to_owned(), what };
        let unreadable = |why: serde_json::Error| corrupt(format!("{MANIFEST} cannot be read: {why}"));
        let Version { format_version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format_version > FORMAT_VERSION {
            return Err(SnapshotError::Refused(format!(
                "the snapshot {place} has format {format_version}, and this version knows up to {FORMAT_VERSION}: use the \
                 receiptctl that made it, or a newer one"
            )));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(unreadable)?;
        let unit = Unit::parse(&written.unit).ok_or_else(|| corrupt(format!("it is of {:?}", written.unit)))?;
        // They become names in a directory of whoever restores it.
        if let Some(file) = written.files.iter().find(|file| !is_plain(&file.name) || !is_hash(&file.blake3)) {
            return Err(corrupt(format!("{MANIFEST} names a file {:?} of hash {:?}", file.name, file.blake3)));
        }
        let facts = Facts {
            log_id: written.log_id,
            origin: written.origin,
            unit,
            partitions: written.partitions,
            positions: written.positions,
            log_time_ms: written.log_time_ms,
            settings: written.settings,
        };
        Ok(Self { facts, created_at_ms: written.created_at_ms, files: written.files })
    }
}

/// A file's name, and not a path.
pub(crate) fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(letter)
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(topic: &str, start: u64, offset: u64) -> Position {
        Position { topic: topic.to_owned(), partition: 2, start, offset }
    }

    fn facts(unit: Unit, positions: Vec<Position>) -> Facts {
        let (log_id, origin) = ("id".to_owned(), "log".to_owned());
        Facts { log_id, origin, unit, partitions: 4, positions, log_time_ms: 5, settings: Some(Settings::default()) }
    }

    #[test]
    fn names_sort_as_offsets_rise() {
        let of = |conversations, reads| {
            facts(Unit::Receipts(2), vec![position("c", 0, conversations), position("r", 0, reads)]).name()
        };
        assert_eq!(of(12, 345), "00000000000000000012-00000000000000000345");
        assert!(of(9, 5) < of(10, 5) && of(10, 5) < of(10, 30) && of(10, 30) < of(u64::MAX, 30));
        let log = facts(Unit::Log, vec![position("c", 1, 10), position("r", 2, 20)]);
        assert_eq!(log.name(), "00000000000000000030-00000000000000000003");
        assert_eq!(facts(Unit::Inboxes(2), vec![position("d", 0, 7)]).name(), "00000000000000000007");
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let file = FileEntry { name: "CURRENT".to_owned(), bytes: 3, blake3: "ab".repeat(32) };
        let facts = facts(Unit::Inboxes(2), vec![position("d", 0, 7)]);
        let manifest = Manifest { facts, created_at_ms: 8, files: vec![file] };
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes, "x").unwrap(), manifest);
        let text = String::from_utf8(bytes).unwrap();
        let newer = text.replace("\"format_version\": 1", "\"format_version\": 2, \"more\": []");
        let error = Manifest::decode(newer.as_bytes(), "x").unwrap_err();
        assert!(matches!(&error, SnapshotError::Refused(why) if why.contains("has format 2")), "{error}");
        for name in ["../CURRENT", "", ".x", "a/b"] {
            let wrong = text.replace("\"CURRENT\"", &format!("{name:?}"));
            let error = Manifest::decode(wrong.as_bytes(), "x").unwrap_err();
            assert!(matches!(error, SnapshotError::Corrupt { .. }), "{error}");
        }
    }
}
