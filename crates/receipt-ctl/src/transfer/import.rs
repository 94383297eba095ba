//! A file into a log. The file is read twice: first as a whole, so that nothing is appended of one that is damaged.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context as _, bail};
use flate2::bufread::MultiGzDecoder;
use receipt_log::{Log, StoredRecord, Topic, check_limits, partition_for};
use tokio::sync::watch;

use crate::{
    copy::{Copied, CopyError, Stretch, Timestamps, copy, same},
    log_file::{FileError, Header, Reader, Section},
    progress::Progress,
};

/// Records and bytes that are appended at a time.
const CHUNK_RECORDS: usize = 1_000;
const CHUNK_BYTES: usize = 1 << 20;
/// Between two reports of how far it is, in records.
const REPORT_EVERY: u64 = 1_000;

/// A file that is whole, and can be imported.
pub(crate) struct Checked {
    pub(crate) header: Header,
    /// Records of each section.
    pub(crate) records: Vec<u64>,
    /// Sections, of those that are taken, whose offsets are not 0, 1, 2 and so on.
    pub(crate) renumbered: Vec<u32>,
}

/// What was done with a section.
pub(crate) struct Imported {
    pub(crate) section: Section,
    pub(crate) copied: Copied,
}

/// What is taken of a file.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) topics: Vec<Topic>,
    /// Also where the digest or the count in the trailer is not that of the file.
    pub(crate) edited: bool,
    /// Also records in a partition that is not their key's.
    pub(crate) misplaced: bool,
    pub(crate) timestamps: Timestamps,
}

type Input = Reader<Box<dyn BufRead + Send>>;

fn open(file: &Path) -> anyhow::Result<Input> {
    let opened = || format!("opening {}", file.display());
    let mut input = BufReader::with_capacity(1 << 16, File::open(file).with_context(opened)?);
    let is_gzip = input.fill_buf().with_context(opened)?.starts_with(&[0x1f, 0x8b]);
    let input: Box<dyn BufRead + Send> =
        if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(input))) } else { Box::new(input) };
    Reader::open(input).with_context(|| file.display().to_string())
}

/// Reads all of a file, and refuses it where not all of it can be imported.
pub(crate) fn check(file: &Path, taken: &Taken) -> anyhow::Result<Checked> {
    let reader = open(file)?;
    check_all(reader, taken).with_context(|| file.display().to_string())
}

fn check_all(mut reader: Input, taken: &Taken) -> Result<Checked, FileError> {
    let mut records = vec![0_u64; reader.header.sections.len()];
    let mut renumbered = Vec::new();
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some((number, record))) => {
                let section = reader.section(number).cloned();
                let count = usize::try_from(number).ok().and_then(|number| records.get_mut(number));
                let (Some(section), Some(count)) = (section, count) else { continue };
                if !taken.topics.contains(&section.topic) {
                    *count += 1;
                    continue;
                }
                check_record(&section, reader.header.partitions, &record, taken).map_err(|why| reader.wrong(why))?;
                if record.offset != *count && renumbered.last() != Some(&number) {
                    renumbered.push(number);
                }
                *count += 1;
            }
            // Whoever has edited it may have lost the last line.
            Err(why) if why.cut_short && taken.edited => break,
            Err(why) => return Err(why),
        }
    }
    if !taken.edited {
        reader.check_trailer()?;
    }
    Ok(Checked { header: reader.header, records, renumbered })
}

fn check_record(section: &Section, partitions: u32, record: &StoredRecord, taken: &Taken) -> Result<(), String> {
    let key = record.key.as_deref().unwrap_or_default();
    let (topic, partition, offset) = (section.topic, section.partition, record.offset);
    check_limits(record.key.as_deref(), record.value.as_deref(), &record.headers)
        .map_err(|why| format!("{topic}/{partition}: the record at offset {offset}: {why}"))?;
    taken.timestamps.check((topic, partition), record).map_err(|why| why.to_string())?;
    let is_event = matches!(section.topic, Topic::Conversations | Topic::Reads);
    let right = partition_for(key, partitions);
    if is_event && !key.is_empty() && right != section.partition && !taken.misplaced {
        return Err(format!(
            "the record stands in partition {}, and its key belongs in {right}: its producer had another partitioner; \
             with --misplaced it is taken as it is, and is a dead letter",
            section.partition
        ));
    }
    Ok(())
}

/// Appends what a log does not have yet of a file that was checked. What it has is compared, and what was appended is
/// read back.
pub(crate) async fn import(
    file: &Path,
    checked: &Checked,
    taken: &Taken,
    target: &Log,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<Imported>> {
    let mut reader = open(file)?;
    if reader.header != checked.header {
        bail!("{} changed while it was read", file.display());
    }
    let sections = checked.header.sections.iter().zip(&checked.records);
    let wanted = sections.filter(|(section, _)| taken.topics.contains(&section.topic));
    let progress = Progress::new("records", wanted.map(|(_, records)| records).sum(), quiet);
    let (mut done, mut before) = (Vec::new(), 0);
    let mut ahead = next(&mut reader)?;
    for (number, section) in (0..).zip(&checked.header.sections) {
        // A partition that has no records is looked at too: the target may have some there.
        let timestamps = taken.timestamps;
        let mut of_section = OfSection { reader: &mut reader, number, ahead: &mut ahead, timestamps };
        if !taken.topics.contains(&section.topic) {
            while of_section.next()?.is_some() {}
            continue;
        }
        let copied = walk(target, section, &mut of_section, stop, |records| progress.at(before + records)).await;
        let copied = match copied.map_err(|why| (why.downcast_ref::<CopyError>() == Some(&CopyError::Stopped), why)) {
            Err((true, _)) => bail!("{} partitions are done; {}", done.len(), CopyError::Stopped),
            Err((false, why)) => return Err(why),
            Ok(copied) => copied,
        };
        before += copied.compared + copied.appended;
        done.push(Imported { section: section.clone(), copied });
    }
    progress.finish();
    Ok(done)
}

/// The next record. Of an edited file the trailer may be missing; that was looked at before.
fn next(reader: &mut Input) -> Result<Option<(u32, StoredRecord)>, FileError> {
    match reader.next() {
        Err(why) if why.cut_short => Ok(None),
        other => other,
    }
}

/// The records of one section, as the file comes to them.
struct OfSection<'a> {
    reader: &'a mut Input,
    number: u32,
    ahead: &'a mut Option<(u32, StoredRecord)>,
    timestamps: Timestamps,
}

impl OfSection<'_> {
    fn next(&mut self) -> Result<Option<StoredRecord>, FileError> {
        if self.ahead.as_ref().is_none_or(|(number, _)| *number != self.number) {
            return Ok(None);
        }
        let next = next(self.reader)?;
        Ok(std::mem::replace(self.ahead, next).map(|(_, record)| self.timestamps.apply(record)))
    }

    fn chunk(&mut self) -> Result<Vec<StoredRecord>, FileError> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES {
            let Some(record) = self.next()? else { break };
            bytes += record.memory_bytes();
            chunk.push(record);
        }
        Ok(chunk)
    }
}

async fn walk(
    target: &Log,
    section: &Section,
    records: &mut OfSection<'_>,
    stop: &watch::Receiver<bool>,
    report: impl Fn(u64),
) -> anyhow::Result<Copied> {
    let Section { topic, partition, .. } = *section;
    let place = (topic, partition);
    let start = target.start_offset(topic, partition);
    if start > 0 {
        bail!("{topic}/{partition} of the target begins at offset {start}: import into an empty log");
    }
    let mut copied = Copied::default();
    let mut theirs = Stretch::new((target, "target"), place, (0, target.end_offset(topic, partition)), stop);
    while let Some(there) = theirs.next().await? {
        let Some(ours) = records.next()? else {
            let (target_offset, records) = (there.offset, copied.compared);
            return Err(CopyError::Longer { topic, partition, target_offset, records }.into());
        };
        same(target, place, &ours, &there)?;
        copied.compared += 1;
        if copied.compared.is_multiple_of(REPORT_EVERY) {
            report(copied.compared);
        }
    }
    loop {
        let chunk = records.chunk()?;
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { break };
        if *stop.borrow() {
            return Err(CopyError::Stopped.into());
        }
        let (first, last) = (first.offset, last.offset);
        let appended = target.append_copied(topic, partition, chunk.iter().cloned().map(copy).collect()).await;
        let appended = appended.map_err(|error| CopyError::Append { topic, partition, first, last, error })?;
        copied.appended += appended.len() as u64;
        theirs.extend_to(appended.last().map_or(0, |last| last + 1));
        for ours in &chunk {
            let Some(there) = theirs.next().await? else {
                let (appended, found) = (copied.appended, copied.verified);
                return Err(CopyError::Lost { topic, partition, appended, found }.into());
            };
            same(target, place, ours, &there)?;
            copied.verified += 1;
        }
        report(copied.compared + copied.appended);
    }
    report(copied.compared + copied.appended);
    Ok(copied)
}
