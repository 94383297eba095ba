//! A file that an export has begun, and that the same command goes on with.

use std::{
    fs::{File, TryLockError},
    io::{BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::Request;
use crate::log_file::{Header, Reader};

/// What stands in a file that is a beginning.
pub(super) struct Begun {
    /// At the end of what is whole.
    pub(super) file: File,
    pub(super) digest: blake3::Hasher,
    pub(super) records: u64,
    /// The section and the offset that come next.
    pub(super) at: (u32, u64),
}

/// Where a file stands until it is complete.
pub(super) fn path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// A new one, in the place of one that cannot be gone on with.
pub(super) fn create(part: &Path) -> anyhow::Result<File> {
    let file = open(part)?;
    file.set_len(0).with_context(|| format!("writing {}", part.display()))?;
    Ok(file)
}

/// Refuses one that another process writes.
pub(super) fn check_lock(part: &Path) -> anyhow::Result<()> {
    if part.exists() {
        open(part)?;
    }
    Ok(())
}

fn open(part: &Path) -> anyhow::Result<File> {
    let opened = File::options().create(true).truncate(false).read(true).write(true).open(part);
    let file = opened.with_context(|| format!("opening {}", part.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another process is writing {}", part.display()),
        Err(TryLockError::Error(why)) => Err(why).with_context(|| format!("opening {}", part.display())),
    }
}

/// The header to write by, and what is there already of the file. A file that was begun keeps the ends that the log had
/// then.
pub(super) fn begun(part: &Path, request: &Request, now: Header) -> anyhow::Result<(Header, Option<Begun>)> {
    if !part.exists() {
        return Ok((now, None));
    }
    let file = open(part)?;
    match read(&file, request, &now) {
        Ok((header, begun)) => Ok((header, Some(Begun { file, ..begun }))),
        Err(why) => {
            eprintln!("{} is not what this command has begun: {why:#}; starting over", part.display());
            Ok((now, None))
        }
    }
}

fn read(file: &File, request: &Request, now: &Header) -> anyhow::Result<(Header, Begun)> {
    let mut reader = Reader::open(BufReader::new(file))?;
    if reader.format != request.format {
        bail!("it is in the other format");
    }
    if !is_same(&reader.header, request, now) {
        bail!("it is of another log, or of another part of it");
    }
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            // Complete, but not named yet: the trailer is written again.
            Ok(None) => break,
            Err(why) if why.cut_short => break,
            Err(why) => return Err(why.into()),
        }
    }
    let (bytes, digest, at) = reader.so_far();
    let (header, records) = (reader.header, reader.records);
    file.set_len(bytes)?;
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::End(0))?;
    Ok((header, Begun { file, digest, records, at }))
}

/// Whether a header is what this command has written, at this moment or before.
fn is_same(begun: &Header, request: &Request, now: &Header) -> bool {
    let same_log = begun.log_id == now.log_id && begun.partitions == now.partitions;
    let mut sections = begun.sections.iter().zip(&now.sections);
    same_log
        && begun.sections.len() == now.sections.len()
        && sections.all(|(begun, now)| {
            let same_end =
                begun.to_offset == now.to_offset || (request.to.is_none() && begun.to_offset < now.to_offset);
            same_end && (begun.topic, begun.partition, begun.from_offset) == (now.topic, now.partition, now.from_offset)
        })
}
