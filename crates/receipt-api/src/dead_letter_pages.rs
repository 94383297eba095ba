//! ListDeadLetters: the records that were refused, by page.

use receipt_codec::token::DeadLettersToken;
use receipt_log::{Log, LogError, Topic};
use receipt_proto::v1;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    api::Api,
    dead_letters::{check_partition, in_time, message},
    deadline::Deadline,
    error,
    members::page_size,
};

/// Bytes of the log that one page reads, about, at most: a page of large ones is short.
const PAGE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that are asked of the log at a time.
const READ_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Offsets that are read at a time where the newest come first: that goes backwards by stretches, each read forwards.
const STRETCH: u64 = 64;
/// Bytes of a key that a list shows; what an id has at most.
const KEY_MAX_BYTES: usize = 256;

/// ListDeadLetters.
pub(crate) async fn list(
    api: &Api,
    request: Request<v1::ListDeadLettersRequest>,
) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
    let deadline = Deadline::of(&request);
    let request = request.into_inner();
    let size = page_size(request.page_size).map_err(error::invalid)?;
    let start = start(&api.log, &request)?;
    // Half of the time: what has been found by then is answered.
    let until = Instant::now() + deadline.instant().saturating_duration_since(Instant::now()) / 2;
    let log = api.log.clone();
    let walk = move || {
        let mut walk = Walk { log: &log, at: start, size, until, letters: Vec::new(), bytes: 0 };
        let finished = walk.go().map_err(|why| error::unread(&why))?;
        Ok((walk.letters, (!finished).then(|| walk.at.encode())))
    };
    let (dead_letters, next) = in_time(deadline, walk).await?;
    let is_finished = next.is_none();
    Ok(Response::new(v1::ListDeadLettersResponse {
        dead_letters,
        next_page_token: next.unwrap_or_default(),
        is_finished,
    }))
}

/// Where the page begins.
fn start(log: &Log, request: &v1::ListDeadLettersRequest) -> Result<DeadLettersToken, Status> {
    let (only, newest_first) = (request.partition, request.newest_first);
    if let Some(partition) = only {
        check_partition(log, "partition", partition)?;
    }
    let log_id = *log.id().as_bytes();
    if request.page_token.is_empty() {
        let at = DeadLettersToken { log_id, only, newest_first, partition: only.unwrap_or(0), offset: 0 };
        return Ok(DeadLettersToken { offset: first(newest_first), ..at });
    }
    let token = DeadLettersToken::decode(&request.page_token);
    let token = token.map_err(|_| error::page_token("is damaged, or no page token of dead letters"))?;
    if token.log_id != log_id || token.only != only || token.newest_first != newest_first {
        return Err(error::page_token("is of another log, partition or order"));
    }
    Ok(token)
}

/// Where a partition's walk begins, before its ends are looked at.
fn first(newest_first: bool) -> u64 {
    if newest_first { u64::MAX } else { 0 }
}

/// A page on its way.
struct Walk<'a> {
    log: &'a Log,
    at: DeadLettersToken,
    size: usize,
    until: Instant,
    letters: Vec<v1::DeadLetter>,
    /// What has been read for it.
    bytes: usize,
}

impl Walk<'_> {
    /// Goes on until the page is full, or takes too long; whether there is nothing after it.
    fn go(&mut self) -> Result<bool, LogError> {
        loop {
            let Some((from, to)) = self.rest() else { return Ok(true) };
            if self.letters.len() >= self.size || self.bytes >= PAGE_MAX_BYTES || Instant::now() > self.until {
                return Ok(false);
            }
            let read = if self.at.newest_first { self.backwards(from, to) } else { self.forwards(from, to) };
            match read {
                // The topic's retention has taken some meanwhile: the log knows its start now.
                Err(LogError::Trimmed { .. }) => {}
                // The topic is not the one it was, which it may be: these are for people only.
                Err(LogError::PastEnd { end, .. }) => self.at.offset = if self.at.newest_first { end } else { to },
                other => other?,
            }
        }
    }

    /// The offsets that are left of the partition that it is in, or of the next one that has any.
    fn rest(&mut self) -> Option<(u64, u64)> {
        loop {
            let partition = self.at.partition;
            let start = self.log.start_offset(Topic::DeadLetter, partition);
            let end = self.log.end_offset(Topic::DeadLetter, partition);
            let (from, to) =
                if self.at.newest_first { (start, end.min(self.at.offset)) } else { (start.max(self.at.offset), end) };
            if from < to {
                return Some((from, to));
            }
            let next = partition.checked_add(1).filter(|next| self.at.only.is_none() && *next < self.log.partitions());
            self.at.partition = next?;
            self.at.offset = first(self.at.newest_first);
        }
    }

    fn forwards(&mut self, from: u64, to: u64) -> Result<(), LogError> {
        let room = self.size - self.letters.len();
        let letters = self.read(from, to, room)?;
        self.at.offset = letters.last().map_or(to, |last| last.offset + 1);
        self.letters.extend(letters);
        Ok(())
    }

    fn backwards(&mut self, from: u64, to: u64) -> Result<(), LogError> {
        let room = self.size - self.letters.len();
        let lowest = from.max(to.saturating_sub(STRETCH.min(room as u64)));
        let (mut next, mut stretch) = (lowest, Vec::new());
        while next < to {
            let letters = self.read(next, to, room)?;
            next = letters.last().map_or(to, |last| last.offset + 1);
            stretch.extend(letters);
        }
        self.at.offset = lowest;
        self.letters.extend(stretch.into_iter().rev());
        Ok(())
    }

    /// Some from an offset on and before another, at most so many; none where there are no more.
    fn read(&mut self, from: u64, to: u64, max: usize) -> Result<Vec<v1::DeadLetter>, LogError> {
        let partition = self.at.partition;
        let records = self.log.read(Topic::DeadLetter, partition, from, max, READ_MAX_BYTES)?;
        let records: Vec<_> = records.into_iter().filter(|record| record.offset < to).collect();
        let letter = |record| {
            let mut letter = message(partition, record);
            if let Some(key) = &mut letter.key {
                key.truncate(KEY_MAX_BYTES);
            }
            letter
        };
        self.bytes += records.iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum::<usize>();
        Ok(records.iter().map(letter).collect())
    }
}
