//! A partition's records from one offset to another, in order, however they come.

use std::{collections::VecDeque, time::Duration};

use receipt_log::{Log, LogError, Reader, StoredRecord, Topic};
use tokio::sync::watch;

use super::{
    timestamps::Timestamps,
    walk::{CopyError, Place},
};

/// Records and bytes that are read, and appended, at a time.
const CHUNK_RECORDS: usize = 1_000;
const CHUNK_BYTES: usize = 1 << 20;
/// How long nothing may come before the end.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is left of a stretch of a partition.
pub(crate) struct Stretch {
    /// For errors: which log.
    log: &'static str,
    topic: Topic,
    partition: u32,
    reader: Reader,
    end: u64,
    /// Read, and not taken yet.
    ahead: VecDeque<StoredRecord>,
    stop: watch::Receiver<bool>,
    timestamps: Timestamps,
}

impl Stretch {
    /// From an offset up to the one before another; `log` says for errors which log it is.
    pub(crate) fn new(
        (log, of): (&Log, &'static str),
        (topic, partition): (Topic, u32),
        (from, end): (u64, u64),
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let reader = log.reader(topic, partition, from);
        let (ahead, timestamps) = (VecDeque::new(), Timestamps::default());
        Self { log: of, topic, partition, reader, end, ahead, stop: stop.clone(), timestamps }
    }

    pub(super) fn of_source(place: Place<'_>, from: u64, stop: &watch::Receiver<bool>) -> Self {
        let Place { source, topic, partition, end, timestamps, .. } = place;
        Self { timestamps, ..Self::new((source, "source"), (topic, partition), (from, end), stop) }
    }

    pub(super) fn of_target(place: Place<'_>, from: u64, end: u64, stop: &watch::Receiver<bool>) -> Self {
        let Place { target, topic, partition, .. } = place;
        Self::new((target, "target"), (topic, partition), (from, end), stop)
    }

    /// Goes on up to another end.
    pub(crate) fn extend_to(&mut self, end: u64) {
        self.end = end;
    }

    /// The offset from which the rest can be read again.
    pub(super) fn next_offset(&self) -> u64 {
        self.ahead.front().map_or(self.reader.position(), |record| record.offset)
    }

    /// The next record; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredRecord>, CopyError> {
        self.fill().await?;
        Ok(self.ahead.pop_front())
    }

    /// A chunk of the next records; none at the end.
    pub(crate) async fn take(&mut self) -> Result<Vec<StoredRecord>, CopyError> {
        self.fill().await?;
        Ok(self.ahead.drain(..).collect())
    }

    /// Reads on, unless there is something left or it is at its end.
    async fn fill(&mut self) -> Result<(), CopyError> {
        let Self { log, topic, partition, .. } = *self;
        let failed = |error: LogError| CopyError::Read { log, topic, partition, error };
        while self.ahead.is_empty() && self.reader.position() < self.end {
            if *self.stop.borrow() {
                return Err(CopyError::Stopped);
            }
            let mut records = self.reader.poll(CHUNK_RECORDS, CHUNK_BYTES).map_err(failed)?;
            records.retain(|record| record.offset < self.end);
            if records.is_empty() && self.reader.position() < self.end {
                tokio::select! {
                    () = until_stopped(&mut self.stop) => return Err(CopyError::Stopped),
                    waited = tokio::time::timeout(SILENCE_MAX, self.reader.wait()) => match waited {
                        Ok(waited) => waited.map_err(failed)?,
                        Err(_) => {
                            return Err(CopyError::Silent { log, topic, partition, seconds: SILENCE_MAX.as_secs() });
                        }
                    },
                }
            }
            self.ahead.extend(records.into_iter().map(|record| self.timestamps.apply(record)));
        }
        Ok(())
    }
}

pub(crate) async fn until_stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left to stop it.
        std::future::pending().await
    }
}
