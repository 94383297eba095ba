//! The one thread that appends: it takes what many callers ask for at once, gives out offsets, and syncs once for all.

use std::sync::Arc;

use rocksdb::WriteBatch;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::arrival::Arrivals;
use super::keys::{self, Place};
use super::shared::Shared;
use super::value;
use crate::{Appended, LogError, NewRecord};

/// Bytes of records in one write, about: what waits beyond it comes with the next.
const WRITE_BYTES: usize = 8 * 1024 * 1024;

/// What a caller gets: for each of its batches, where each record stands.
pub(super) type Answer = Result<Vec<Vec<Appended>>, LogError>;

/// What the appender is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Append this.
    Append(Request),
    /// Look whether the log is closed.
    Wake,
}

/// Batches to append in one write, in this order. They have been checked.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batches: Vec<Checked>,
    /// Bytes of all its records.
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Answer>,
    /// The queue's room that it takes, given back when it has been answered. `None`: it is of a thread that folds.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Records for one partition, which exists.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) place: Place,
    pub(super) slot: usize,
    pub(super) records: Vec<NewRecord>,
    /// A copy's timestamps, as many as records. `None`: they arrive now.
    pub(super) timestamps: Option<Vec<Option<u64>>>,
}

/// What the thread has.
pub(super) struct Appender {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Message>,
    arrivals: Arrivals,
    /// The next offset to give out, by slot.
    next: Vec<u64>,
    /// Where each record is encoded.
    buffer: Vec<u8>,
}

/// A request that is in the write, with what its caller will get.
struct Pending {
    answer: oneshot::Sender<Answer>,
    appended: Vec<Vec<Appended>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Appender {
    /// Goes on from the ends that are published.
    pub(super) fn new(
        shared: Arc<Shared>,
        requests: mpsc::Receiver<Message>,
        arrivals: Arrivals,
        next: Vec<u64>,
    ) -> Appender {
        Appender { shared, requests, arrivals, next, buffer: Vec::new() }
    }

    /// Appends until the log is closed. What was queued by then is still appended.
    pub(super) fn run(mut self) {
        let mut open = true;
        while open {
            let Some(first) = self.requests.blocking_recv() else { return };
            if self.shared.is_closed() {
                self.requests.close();
                open = false;
            }
            let mut message = Some(first);
            while let Some(first) = message {
                let group = self.gather(first);
                self.append(group);
                message = if open { None } else { self.requests.try_recv().ok() };
            }
        }
    }

    /// Takes what waits, up to about one write.
    fn gather(&mut self, first: Message) -> Vec<Request> {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut message = Some(first);
        while let Some(next) = message {
            if let Message::Append(request) = next {
                bytes += request.bytes;
                group.push(request);
            }
            message = if bytes < WRITE_BYTES { self.requests.try_recv().ok() } else { None };
        }
        group
    }

    /// Appends a group in one synced write, then shows and answers it; where the disk is nearly full, refuses it.
    fn append(&mut self, group: Vec<Request>) {
        let refuses = self.shared.look_at_room();
        let mut write = WriteBatch::default();
        let mut pending = Vec::with_capacity(group.len());
        let mut touched = Vec::new();
        for request in group {
            let Request { batches, answer, room, .. } = request;
            let refused = if room.is_some() { &refuses.callers } else { &refuses.folding };
            if let Some(error) = refused {
                drop(answer.send(Err(error.clone())));
                continue;
            }
            match self.put_request(&mut write, &mut touched, batches) {
                Ok(appended) => pending.push(Pending { answer, appended, _room: room }),
                // A caller that has gone away wants no answer, here and below.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        if pending.is_empty() {
            return;
        }
        for checked in &touched {
            write.put(checked.place.end(), self.next[checked.slot].to_be_bytes());
        }
        if let Some(last_ms) = self.arrivals.last_ms() {
            write.put(keys::LAST_ARRIVAL, last_ms.to_be_bytes());
        }
        match self.shared.write(write) {
            Ok(()) => {
                self.shared.publish_last_arrival(self.arrivals.last_ms());
                for checked in touched {
                    self.shared.publish_end(checked.slot, self.next[checked.slot]);
                }
                for Pending { answer, appended, .. } in pending {
                    drop(answer.send(Ok(appended)));
                }
            }
            Err(error) => {
                for Pending { answer, .. } in pending {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    /// Puts a request's records into the write, all or none.
    fn put_request(
        &mut self,
        write: &mut WriteBatch,
        touched: &mut Vec<Touched>,
        batches: Vec<Checked>,
    ) -> Result<Vec<Vec<Appended>>, LogError> {
        self.shared.check_failed()?;
        batches
            .iter()
            .filter_map(|batch| batch.timestamps.as_deref())
            .try_for_each(|timestamps| self.arrivals.check_copied(timestamps))?;
        let arrival_ms = match batches.iter().any(|batch| batch.timestamps.is_none()) {
            true => Some(self.arrivals.next()?),
            false => None,
        };
        let mut appended = Vec::with_capacity(batches.len());
        for Checked { place, slot, records, timestamps } in batches {
            if self.next[slot] == self.shared.end(slot) && !records.is_empty() {
                touched.push(Touched { place, slot });
            }
            let mut timestamps = timestamps.map(Vec::into_iter);
            let stamp = || match &mut timestamps {
                None => arrival_ms,
                Some(timestamps) => timestamps.next().flatten(),
            };
            appended.push(self.put_records(write, (place, slot), &records, stamp));
        }
        Ok(appended)
    }

    /// Puts the records of one partition into the write, each with the next timestamp.
    fn put_records(
        &mut self,
        write: &mut WriteBatch,
        (place, slot): (Place, usize),
        records: &[NewRecord],
        mut stamp: impl FnMut() -> Option<u64>,
    ) -> Vec<Appended> {
        let mut appended = Vec::with_capacity(records.len());
        for record in records {
            let (offset, timestamp_ms) = (self.next[slot], stamp());
            if let Some(timestamp_ms) = timestamp_ms {
                self.arrivals.copied(timestamp_ms);
            }
            let key = place.record(offset);
            value::encode(&mut self.buffer, &key, timestamp_ms, record);
            write.put(key, &self.buffer);
            appended.push(Appended { offset, timestamp_ms: timestamp_ms.unwrap_or(0) });
            self.next[slot] += 1;
        }
        appended
    }
}

/// A partition that gets records in the write.
struct Touched {
    place: Place,
    slot: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{open, options};
    use crate::{Clock, Topic};

    /// An appender over an empty log, with requests of so many bytes waiting.
    fn waiting(dir: &std::path::Path, requests: usize, bytes: usize) -> (Appender, Vec<oneshot::Receiver<Answer>>) {
        let mut database = options::database();
        database.create_if_missing(true);
        let lock = open::lock(dir).unwrap();
        let bounds = [super::super::rows::Bounds { start: 0, end: 0 }; 4];
        let shared = Arc::new(Shared::new(rocksdb::DB::open(&database, dir).unwrap(), lock, 1, &bounds));
        let (sender, receiver) = mpsc::channel(requests);
        let place = Place { topic: Topic::Reads, partition: 0 };
        let slot = shared.slot(place).unwrap();
        let answers = (0..requests).map(|_| {
            let (answer, answered) = oneshot::channel();
            let records = vec![NewRecord::new("key", vec![0; bytes])];
            let batches = vec![Checked { place, slot, records, timestamps: None }];
            sender.try_send(Message::Append(Request { batches, bytes, answer, room: None })).unwrap();
            answered
        });
        let answers = answers.collect();
        let (clock, _) = Clock::manual(0);
        (Appender::new(shared, receiver, Arrivals::new(clock, 0, false, None), vec![0; 4]), answers)
    }

    #[test]
    fn what_waits_is_synced_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut appender, answers) = waiting(dir.path(), 32, 10);
        let group = appender.gather(Message::Wake);
        assert_eq!(group.len(), 32);
        appender.append(group);
        let offsets = answers.into_iter().map(|answer| answer.blocking_recv().unwrap().unwrap()[0][0].offset);
        assert!(offsets.eq(0..32));
        // 32 records, an end and the last arrival: RocksDB has counted each row once.
        assert_eq!(appender.shared.db.latest_sequence_number(), 34);
    }

    #[test]
    fn what_waits_beyond_a_write_comes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (mut appender, _answers) = waiting(dir.path(), 20, 1_000_000);
        assert_eq!([(); 4].map(|()| appender.gather(Message::Wake).len()), [9, 9, 2, 0]);
    }
}
