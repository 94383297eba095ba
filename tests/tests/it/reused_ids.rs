//! S30, R6: a message id that is used again after it was forgotten, with the state folded again from the log's beginning.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use prost::Message as _;
use receipt_domain::{effects::DeltaChange, receipt::Receipt, settings::Settings};
use receipt_log::{Clock, EmbeddedOptions, Log, NewRecord, Topic};
use receipt_notifier::{Notifier, Start, Subscription};
use receipt_projector::{Offsets, Options, Phase, Projector};
use receipt_proto::v1;
use receipt_store::Resources;
use receipt_tests::{dir, events, poll::until, scenario::id};
use tokio::{runtime::Handle, time::Instant};

const START_MS: u64 = 1_700_000_000_000;
const RETENTION_MS: u64 = 8_000;
const FOLD_MAX: Duration = Duration::from_secs(30);
const SETTINGS: Settings =
    Settings { retention_ms: RETENTION_MS, early_window_ms: RETENTION_MS, max_group_members: 100 };

/// Both projections over one log.
struct Site {
    projector: Projector,
    notifier: Notifier,
}

impl Site {
    /// Starts them over whatever is in the directory, and waits until all that the log has is folded.
    async fn start(dir: &Path, log: &Log, clock: &Clock) -> Self {
        let resources = || Resources::new(1 << 20, 1 << 20);
        let options =
            Options { dir: dir.join("receipts"), settings: SETTINGS, resources: resources(), clock: clock.clone() };
        let projector = Projector::start(log, &options, &Handle::current()).unwrap();
        assert_eq!(projector.partitions()[0].settled().await, Phase::Serving);
        let options =
            receipt_notifier::Options { dir: dir.join("inboxes"), settings: SETTINGS, resources: resources() };
        let notifier = Notifier::start(log, &options, &Handle::current()).unwrap();
        assert_eq!(notifier.inboxes()[0].settled().await, Phase::Serving);
        let site = Self { projector, notifier };
        site.caught_up(log).await;
        site
    }

    async fn caught_up(&self, log: &Log) {
        let (conversations, reads) = (log.end_offset(Topic::Conversations, 0), log.end_offset(Topic::Reads, 0));
        self.projector.partitions()[0].reached(Offsets { conversations, reads }).await.unwrap();
        let inbox = &self.notifier.inboxes()[0];
        let folded = async || (inbox.applied_offset() == log.end_offset(Topic::Deltas, 0)).then_some(());
        until("the inbox has all deltas", FOLD_MAX, folded).await;
    }

    async fn stop(self) {
        self.projector.stop().await;
        self.notifier.stop().await;
    }

    fn answer(&self) -> Receipt {
        let partition = &self.projector.partitions()[0];
        let receipt = partition.serve(|store| store.view().unwrap().receipt(&id("c"), &id("m"), None).unwrap());
        receipt.unwrap().unwrap()
    }

    /// What a subscriber from the oldest is told of the message, and who is named.
    async fn told(&self, log: &Log) -> (Receipt, Vec<String>) {
        let (inbox, log_id) = (self.notifier.inboxes()[0].clone(), *log.id().as_bytes());
        let deadline = Instant::now() + FOLD_MAX;
        let start = Subscription::start(inbox, log_id, id("ann"), Start::Oldest, deadline);
        let mut subscription = start.await.unwrap();
        let told = subscription.next().await.unwrap();
        assert_eq!(told.deltas.len(), 1, "{told:?}");
        let DeltaChange::Receipt { receipt, new_readers, more_readers } = told.deltas[0].0.change.clone() else {
            panic!("{told:?}")
        };
        assert!(!more_readers);
        (receipt, new_readers.into_iter().map(|(user, _)| user.as_str().to_owned()).collect())
    }
}

async fn read(log: &Log, reader: &str) {
    let target = v1::read_event::Target::Messages(v1::MessageIds { message_ids: vec!["m".to_owned()] });
    let (conversation_id, reader_id) = ("c".to_owned(), reader.to_owned());
    let event = v1::ReadEvent { conversation_id, reader_id, read_at: None, target: Some(target) };
    log.append(Topic::Reads, 0, vec![NewRecord::new(b"c".to_vec(), event.encode_to_vec())]).await.unwrap();
}

async fn publish(log: &Log, event: v1::ConversationEvent) {
    log.append(Topic::Conversations, 0, vec![NewRecord::new(b"c".to_vec(), event.encode_to_vec())]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s30_a_reused_id_is_right_on_the_stream_also_when_all_is_folded_again() {
    let dir = dir::temporary();
    let (clock, hand) = Clock::manual(START_MS);
    let log = Log::open_embedded(EmbeddedOptions {
        dir: dir.path().join("log"),
        partitions: 1,
        retention_ms: RETENTION_MS,
        accept_clock_jump: true,
        clock: clock.clone(),
    })
    .unwrap();
    let site = Site::start(dir.path(), &log, &clock).await;
    let readers: Vec<String> = (0..9).map(|n| format!("u{n}")).collect();
    let members: Vec<&str> = readers.iter().map(String::as_str).chain(["ann"]).collect();
    publish(&log, events::group_created("c", "work", &members)).await;
    publish(&log, events::sent_to_all("c", "m", "ann")).await;
    for reader in &readers[..5] {
        read(&log, reader).await;
    }
    site.caught_up(&log).await;
    assert_eq!((site.answer().read_count, site.told(&log).await.0.read_count), (5, 5));
    hand.fetch_add(2 * RETENTION_MS + 1, Ordering::SeqCst);
    publish(&log, events::sent_to_all("c", "m", "ann")).await;
    read(&log, "u8").await;
    site.caught_up(&log).await;
    let live = (site.answer(), site.told(&log).await);
    site.stop().await;
    let deltas = log.end_offset(Topic::Deltas, 0);
    for state in ["receipts", "inboxes"] {
        std::fs::remove_dir_all(dir.path().join(state)).unwrap();
    }
    let site = Site::start(dir.path(), &log, &clock).await;
    let again = (site.answer(), site.told(&log).await);
    assert_eq!(live, again);
    let (answer, (told, named)) = again;
    assert_eq!((told.read_count, told.unread_count), (1, 8));
    assert_eq!((&told, named), (&answer, vec!["u8".to_owned()]));
    assert_eq!(log.end_offset(Topic::Deltas, 0), deltas + 1, "no delta of the use that is forgotten by now");
    site.stop().await;
}
