//! A log into a file: what the log has when the file is begun.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::{Context as _, bail};
use flate2::{Compression, write::GzEncoder};
use receipt_log::Topic;
use tokio::sync::watch;

use super::part;
use crate::{
    copy::Timestamps,
    log_file::{Format, Header, Section, Writer},
    progress::Progress,
    source::{Bounds, Source},
};

/// What is to be exported.
pub(crate) struct Request {
    pub(crate) format: Format,
    pub(crate) topics: Vec<Topic>,
    pub(crate) partition: Option<u32>,
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
}

/// What was exported.
pub(crate) struct Exported {
    pub(crate) header: Header,
    pub(crate) records: u64,
    /// Of which so many an earlier run of the same command has written.
    pub(crate) before: u64,
}

impl Request {
    /// What the file is to begin with.
    pub(super) async fn header(&self, source: &Source) -> anyhow::Result<Header> {
        let partitions = match self.partition {
            Some(partition) => vec![partition],
            None => (0..source.partitions).collect(),
        };
        let mut sections = Vec::new();
        for &topic in &self.topics {
            for &partition in &partitions {
                let Bounds { start, end } = source.bounds(topic, partition).await?;
                let (from_offset, to_offset) = (self.from.unwrap_or(start), self.to.unwrap_or(end));
                if from_offset < start || from_offset > end {
                    bail!("--from {from_offset}: {topic}/{partition} has offsets from {start} up to {end}");
                }
                if to_offset < from_offset || to_offset > end {
                    bail!("--to {to_offset}: must be within offsets {from_offset} to {end} of {topic}/{partition}");
                }
                sections.push(Section { topic, partition, from_offset, to_offset });
            }
        }
        Ok(Header::new(source.log_id.clone(), source.origin.clone(), source.partitions, sections))
    }
}

/// Exports into a file, which is there when it is complete. What is written before stands in `FILE.part`, from where the
/// same command goes on; a compressed file is begun anew.
pub(crate) async fn export(
    source: &Source,
    request: &Request,
    file: &Path,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Exported> {
    if file.exists() {
        bail!("{} is there already: give another name, or delete it", file.display());
    }
    let header = request.header(source).await?;
    let part = part::path(file);
    let wrote = || format!("writing {}", part.display());
    let (header, begun) = if is_gzip(file) {
        part::check_lock(&part)?;
        (header, None)
    } else {
        part::begun(&part, request, header)?
    };
    let progress = Progress::new("records", offsets(&header), quiet);
    let (records, before, out) = match begun {
        Some(begun) => {
            let before = begun.records;
            progress.say(&format!("{} has {before} records already; going on from there", part.display()));
            progress.skipped(offsets(&header) - left(&header, begun.at));
            let out = BufWriter::new(begun.file);
            let mut writer = Writer::after(out, request.format, begun.digest, before);
            write(source, &header, begun.at, &mut writer, stop, &progress).await?;
            let (out, records) = writer.finish().with_context(wrote)?;
            (records, before, out)
        }
        None => {
            let out = part::create(&part)?;
            if is_gzip(file) {
                let writer =
                    Writer::new(GzEncoder::new(BufWriter::new(out), Compression::default()), request.format, &header);
                let mut writer = writer.with_context(wrote)?;
                write(source, &header, (0, 0), &mut writer, stop, &progress).await?;
                let (out, records) = writer.finish().with_context(wrote)?;
                (records, 0, out.finish().with_context(wrote)?)
            } else {
                let mut writer = Writer::new(BufWriter::new(out), request.format, &header).with_context(wrote)?;
                write(source, &header, (0, 0), &mut writer, stop, &progress).await?;
                let (out, records) = writer.finish().with_context(wrote)?;
                (records, 0, out)
            }
        }
    };
    let out: File = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(wrote)?;
    out.sync_all().with_context(wrote)?;
    fs::rename(&part, file).with_context(|| format!("naming {}", file.display()))?;
    progress.finish();
    Ok(Exported { header, records, before })
}

/// Exports to standard output.
pub(crate) async fn export_to_stdout(
    source: &Source,
    request: &Request,
    stop: &watch::Receiver<bool>,
) -> anyhow::Result<Exported> {
    let header = request.header(source).await?;
    let progress = Progress::new("records", offsets(&header), true);
    let mut writer = Writer::new(BufWriter::new(io::stdout().lock()), request.format, &header)?;
    write(source, &header, (0, 0), &mut writer, stop, &progress).await?;
    let (_, records) = writer.finish()?;
    Ok(Exported { header, records, before: 0 })
}

/// Writes what the header says, from an offset of a section on. What is written so far is handed on also where it ends
/// before its time.
async fn write<W: Write>(
    source: &Source,
    header: &Header,
    from: (u32, u64),
    writer: &mut Writer<W>,
    stop: &watch::Receiver<bool>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let written = write_sections(source, header, from, writer, stop, progress).await;
    let flushed = writer.flush().context("writing the file");
    written.and(flushed)
}

async fn write_sections<W: Write>(
    source: &Source,
    header: &Header,
    (first, first_offset): (u32, u64),
    writer: &mut Writer<W>,
    stop: &watch::Receiver<bool>,
    progress: &Progress,
) -> anyhow::Result<()> {
    for (number, section) in (0..).zip(&header.sections) {
        let Section { topic, partition, from_offset, to_offset } = *section;
        let from = if number == first { first_offset.max(from_offset) } else { from_offset };
        if number < first || from >= to_offset {
            continue;
        }
        let all = offsets(header);
        let mut records = source.records((topic, partition), (from, to_offset), stop).await?;
        let mut warned = false;
        while let Some(record) = records.next().await? {
            if !warned && let Err(why) = Timestamps::default().check((topic, partition), &record) {
                // The export of such a log is the way back from it.
                eprintln!("warning: {why}");
                warned = true;
            }
            writer.record(number, section, &record).context("writing the file")?;
            progress.at(all - left(header, (number, record.offset + 1)));
        }
    }
    Ok(())
}

/// Offsets of all sections.
fn offsets(header: &Header) -> u64 {
    left(header, (0, 0))
}

/// Offsets of all sections from one on.
fn left(header: &Header, (first, offset): (u32, u64)) -> u64 {
    let sections = (0..).zip(&header.sections).filter(|(number, _)| *number >= first);
    sections
        .map(|(number, section)| {
            let from = if number == first { offset.max(section.from_offset) } else { section.from_offset };
            section.to_offset.saturating_sub(from)
        })
        .sum()
}

/// Whether a file is compressed, by its name.
pub(super) fn is_gzip(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "gz")
}
