//! A stretch of a partition, however it is reached.

use std::collections::VecDeque;

use receipt_log::{Log, StoredRecord, Topic};
use receipt_proto::v1;
use tokio::sync::watch;
use tonic::Streaming;

use crate::copy::{CopyError, Stretch, until_stopped};

/// Records in their order. What is read ahead is one chunk.
pub(crate) struct Records {
    reach: Reach,
    ahead: VecDeque<StoredRecord>,
}

enum Reach {
    Log(Box<Stretch>),
    Server { responses: Box<Streaming<v1::ReadLogResponse>>, stop: watch::Receiver<bool> },
}

impl Records {
    pub(super) fn of_log(log: &Log, place: (Topic, u32), span: (u64, u64), stop: &watch::Receiver<bool>) -> Self {
        let stretch = Stretch::new((log, "log"), place, span, stop);
        Self { reach: Reach::Log(Box::new(stretch)), ahead: VecDeque::new() }
    }

    pub(super) fn of_server(responses: Streaming<v1::ReadLogResponse>, stop: &watch::Receiver<bool>) -> Self {
        let reach = Reach::Server { responses: Box::new(responses), stop: stop.clone() };
        Self { reach, ahead: VecDeque::new() }
    }

    /// The next one; `None` at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<StoredRecord>> {
        if self.ahead.is_empty() {
            self.ahead = self.chunk().await?.into();
        }
        Ok(self.ahead.pop_front())
    }

    /// Reads on so that there is something to look at, but at the end.
    pub(crate) async fn peek(&mut self) -> anyhow::Result<Option<&StoredRecord>> {
        if self.ahead.is_empty() {
            self.ahead = self.chunk().await?.into();
        }
        Ok(self.ahead.front())
    }

    /// Those that have come next; none at the end.
    async fn chunk(&mut self) -> anyhow::Result<Vec<StoredRecord>> {
        match &mut self.reach {
            Reach::Log(stretch) => Ok(stretch.take().await?),
            Reach::Server { responses, stop } => loop {
                let response = tokio::select! {
                    () = until_stopped(stop) => return Err(CopyError::Stopped.into()),
                    response = responses.message() => response?,
                };
                let Some(response) = response else { return Ok(Vec::new()) };
                if !response.records.is_empty() {
                    return Ok(response.records.into_iter().map(stored).collect());
                }
            },
        }
    }
}

/// A record of the contract as the log has it.
pub(crate) fn stored(record: v1::LogRecord) -> StoredRecord {
    let v1::LogRecord { offset, timestamp_ms, key, value, headers } = record;
    StoredRecord {
        offset,
        timestamp_ms,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: headers.into_iter().map(|header| (header.name, header.value.into())).collect(),
        leader_epoch: None,
    }
}

/// A record of the log as the contract has it.
pub(crate) fn of_contract(record: &StoredRecord) -> v1::LogRecord {
    let StoredRecord { offset, timestamp_ms, key, value, headers, .. } = record;
    let header = |(name, value): &(String, _)| v1::RecordHeader {
        name: name.clone(),
        value: Vec::from(AsRef::<[u8]>::as_ref(value)),
    };
    v1::LogRecord {
        offset: *offset,
        timestamp_ms: *timestamp_ms,
        key: key.as_deref().map(Vec::from),
        value: value.as_deref().map(Vec::from),
        headers: headers.iter().map(header).collect(),
    }
}
