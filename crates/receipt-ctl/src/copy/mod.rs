//! Copies a log, partition by partition, from one engine to another or within one.
//!
//! Of the four topics the two that come in: deltas and dead letters follow from these, and whoever folds the copy
//! appends them anew. A copied delta would carry a consistency token of another log.

mod ends;
mod stretch;
mod timestamps;
mod walk;

use anyhow::bail;
use receipt_log::{Clock, Log, Topic, is_far_ahead};
use tokio::sync::watch;

use self::walk::Place;
pub(crate) use self::{
    ends::{End, Opened, are_one},
    stretch::{Stretch, until_stopped},
    timestamps::Timestamps,
    walk::{Copied, CopyError, copy, same},
};
use crate::progress::Progress;

/// What is copied.
pub(crate) const TOPICS: [Topic; 2] = [Topic::Conversations, Topic::Reads];

/// What became of one partition of one topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) copied: Copied,
}

/// Copies what the source has now; `quiet`: without a progress bar.
pub(crate) async fn run(
    source: &Log,
    target: &Log,
    timestamps: Timestamps,
    stop: &watch::Receiver<bool>,
    quiet: bool,
) -> anyhow::Result<Vec<Done>> {
    if source.id() == target.id() {
        bail!("source and target are the same log: {}", source.origin());
    }
    let mut places = Vec::new();
    for topic in TOPICS {
        for partition in 0..source.partitions() {
            check_starts(source, target, topic, partition)?;
            let end = source.end_offset(topic, partition);
            places.push(Place { source, target, topic, partition, end, timestamps });
        }
    }
    check_timestamps(&places, stop).await?;
    let progress = Progress::new("records", places.iter().map(|place| place.end).sum(), quiet);
    let (mut done, mut before) = (Vec::with_capacity(places.len()), 0);
    for place in places {
        let copied = match walk::walk(place, stop, |records| progress.at(before + records)).await {
            Err(CopyError::Stopped) => bail!("{}", so_far(&done)),
            walked => walked?,
        };
        before += copied.compared + copied.appended;
        done.push(Done { topic: place.topic, partition: place.partition, copied });
    }
    progress.finish();
    Ok(done)
}

/// Refuses records that the target would not take, before it has any. The embedded log knows its last arrival; of a log on
/// Kafka all records are read for this.
async fn check_timestamps(places: &[Place<'_>], stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
    for place in places {
        if place.source.last_arrival_ms().is_some_and(|last_ms| !is_far_ahead(last_ms, Clock::System.now_ms())) {
            continue;
        }
        let mut records = Stretch::of_source(*place, 0, stop);
        while let Some(record) = records.next().await? {
            place.timestamps.check((place.topic, place.partition), &record)?;
        }
    }
    Ok(())
}

fn so_far(done: &[Done]) -> String {
    let partitions = done.len();
    format!("{partitions} partitions are done; {}", CopyError::Stopped)
}

/// Refuses partitions that do not begin at their beginning.
fn check_starts(source: &Log, target: &Log, topic: Topic, partition: u32) -> anyhow::Result<()> {
    for (log, which) in [(source, "source"), (target, "target")] {
        let start = log.start_offset(topic, partition);
        if start > 0 {
            bail!(
                "{topic}/{partition} of the {which} begins at offset {start}: what was before that has been trimmed, and \
                 no state can be folded from what is left"
            );
        }
    }
    Ok(())
}
