//! A data set in chunks of what one call of either kind may hold.

use std::path::{Path, PathBuf};

use prost::Message as _;
use receipt_ctl::dataset::{self, DataEvent, DatasetError, Events, Kind};
use receipt_proto::v1::{self, conversation_event::Event};
use tokio::sync::mpsc;

/// Events of a call, at most.
const EVENTS_MAX: usize = 1_000;
/// Bytes of a call, at most; the server takes 4 MiB, of which 1 MiB is left for framing.
const BYTES_MAX: usize = 3 * 1024 * 1024;
/// Chunks that are read ahead.
const READ_AHEAD: usize = 4;

/// Consecutive events of a data set.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// How many events of the data set stand before its end.
    pub(super) end: u64,
    pub(super) conversations: Vec<v1::ConversationEvent>,
    pub(super) reads: Vec<v1::ReadEvent>,
    /// The last message in it.
    pub(super) last_message: Option<v1::MessageRef>,
}

/// Reads the events after the first `skip` on a thread of their own. After an error the channel is at its end.
pub(super) fn read(kind: Kind, file: PathBuf, skip: u64) -> mpsc::Receiver<Result<Chunk, DatasetError>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut chunks = match Chunks::open(kind, &file, skip) {
            Ok(chunks) => chunks,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        // A receiver that is gone wants no more.
        while let Some(chunk) = chunks.next().transpose() {
            if sender.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Chunks {
    events: Events,
    position: u64,
    /// Did not fit into the chunk before.
    next: Option<DataEvent>,
}

impl Chunks {
    fn open(kind: Kind, file: &Path, skip: u64) -> Result<Self, DatasetError> {
        let mut events = dataset::open(kind, file)?;
        for _ in 0..skip {
            events.next().transpose()?;
        }
        Ok(Self { events, position: skip, next: None })
    }

    fn next(&mut self) -> Result<Option<Chunk>, DatasetError> {
        let mut chunk = Chunk::default();
        let (mut conversation_bytes, mut read_bytes) = (0, 0);
        loop {
            let event = match self.next.take() {
                Some(event) => Some(event),
                None => self.events.next().transpose()?,
            };
            let Some(event) = event else { break };
            let (bytes, events) = match &event {
                DataEvent::Conversation(event) => {
                    conversation_bytes += framed(event.encoded_len());
                    (conversation_bytes, chunk.conversations.len())
                }
                DataEvent::Read(event) => {
                    read_bytes += framed(event.encoded_len());
                    (read_bytes, chunk.reads.len())
                }
            };
            if events > 0 && (events == EVENTS_MAX || bytes > BYTES_MAX) {
                self.next = Some(event);
                break;
            }
            self.position += 1;
            match event {
                DataEvent::Conversation(event) => chunk.add(event),
                DataEvent::Read(event) => chunk.reads.push(event),
            }
        }
        chunk.end = self.position;
        Ok((!chunk.conversations.is_empty() || !chunk.reads.is_empty()).then_some(chunk))
    }
}

impl Chunk {
    fn add(&mut self, event: v1::ConversationEvent) {
        if let Some(Event::MessageSent(sent)) = &event.event {
            let conversation_id = event.conversation_id.clone();
            self.last_message = Some(v1::MessageRef { conversation_id, message_id: sent.message_id.clone() });
        }
        self.conversations.push(event);
    }
}

/// A field's bytes with its tag and length.
fn framed(len: usize) -> usize {
    len + 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: String, skip: usize) -> Vec<Chunk> {
        let mut events = dataset::from_reader(Kind::UbuntuIrc, std::io::Cursor::new(text));
        for _ in 0..skip {
            events.next();
        }
        let mut chunks = Chunks { events, position: skip.try_into().unwrap(), next: None };
        std::iter::from_fn(|| chunks.next().unwrap()).collect()
    }

    fn stretch(name: &str, messages: usize) -> String {
        (0..messages).map(|n| format!("{name}\t10:00\tmessage\tu{}\t\n", n % 7)).collect()
    }

    #[test]
    fn chunks_hold_what_a_call_may_and_nothing_is_lost() {
        for skip in [0, 1, 1234] {
            let text = [stretch("s", 1500), stretch("t", 700)].concat();
            let all: u64 = (2 + 2200 + 2198) - u64::try_from(skip).unwrap();
            let chunks = chunks(text, skip);
            let mut sent = 0;
            for chunk in &chunks {
                assert!(chunk.conversations.len() <= 1_000 && chunk.reads.len() <= 1_000);
                sent += u64::try_from(chunk.conversations.len() + chunk.reads.len()).unwrap();
                assert_eq!(chunk.end, sent + u64::try_from(skip).unwrap());
            }
            assert_eq!(sent, all);
            assert!(chunks.len() <= 4);
        }
    }

    #[test]
    fn chunks_keep_the_byte_limit() {
        let name = "n".repeat(20_000);
        let chunks = chunks(stretch(&name, 600), 0);
        assert!(chunks.len() > 3);
        for chunk in chunks {
            let conversations = v1::PublishConversationEventsRequest { events: chunk.conversations, wait: false };
            let reads = v1::PublishReadEventsRequest { events: chunk.reads };
            assert!(conversations.encoded_len() <= BYTES_MAX && reads.encoded_len() <= BYTES_MAX);
        }
    }
}
