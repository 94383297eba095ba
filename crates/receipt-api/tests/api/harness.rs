//! A server in this process, and what tests say to it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use receipt_api::{BodyLimits, CallLimits, Connections, Context, ServeError, StreamLimits, serve};
use receipt_domain::settings::Settings;
use receipt_log::{Clock, EmbeddedOptions, Log, Topic};
use receipt_notifier::Notifier;
use receipt_projector::{Offsets, Options, PastOptions, Phase, Projector};
use receipt_proto::v1::{
    self, conversation_event::Event as Kind, message_sent::Audience, receipt_admin_service_client as admin_client,
    receipt_service_client as client,
};
use receipt_store::Resources;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Handle, sync::oneshot, task::JoinHandle};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;

pub(crate) const START_MS: u64 = 1_700_000_000_000;
pub(crate) const PARTITIONS: u32 = 3;

pub(crate) type Client = client::ReceiptServiceClient<Channel>;
pub(crate) type Admin = admin_client::ReceiptAdminServiceClient<Channel>;

pub(crate) struct Server {
    pub(crate) log: Log,
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    pub(crate) channel: Channel,
    pub(crate) hand: Arc<AtomicU64>,
    pub(crate) projector: Projector,
    notifier: Notifier,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
    _dir: TempDir,
}

#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    /// A partition whose store can't be opened.
    pub(crate) sealed: Option<u32>,
    /// Writes go to a log that nobody folds.
    pub(crate) unfolded: bool,
}

async fn log(dir: &Path, settings: &Settings, clock: &Clock) -> Log {
    let options = receipt_test_engine::options(dir, clock.clone());
    let retention_ms = settings.retention_ms;
    receipt_test_engine::open(EmbeddedOptions { partitions: PARTITIONS, retention_ms, ..options }).await
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let Setup { settings, sealed, unfolded } = setup;
        let dir = TempDir::new().unwrap();
        let (clock, hand) = Clock::manual(START_MS);
        let stores = dir.path().join("stores");
        std::fs::create_dir(&stores).unwrap();
        if let Some(sealed) = sealed {
            std::fs::write(stores.join(sealed.to_string()), "no directory").unwrap();
        }
        let folded = log(&dir.path().join("log"), &settings, &clock).await;
        let options =
            Options { dir: stores, settings, resources: Resources::new(8 << 20, 8 << 20), clock: clock.clone() };
        let projector = Projector::start(&folded, &options, &Handle::current()).unwrap();
        for partition in projector.partitions() {
            let phase = partition.settled().await;
            assert_eq!(phase == Phase::Serving, sealed != Some(partition.number()), "{phase:?}");
            if phase == Phase::Serving {
                // The first event of a partition is a tick: what is there after that is the test's.
                partition.reached(Offsets { conversations: 1, reads: 0 }).await.unwrap();
            }
        }
        let log = if unfolded { log(&dir.path().join("other"), &settings, &clock).await } else { folded };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inboxes = receipt_notifier::Options {
            dir: dir.path().join("inboxes"),
            settings,
            resources: Resources::new(8 << 20, 8 << 20),
        };
        let notifier = Notifier::start(&log, &inboxes, &Handle::current()).unwrap();
        for inbox in notifier.inboxes() {
            assert_eq!(inbox.settled().await, Phase::Serving);
        }
        let context = Context {
            log: log.clone(),
            partitions: projector.partitions().to_vec(),
            inboxes: notifier.inboxes().to_vec(),
            stream_limits: StreamLimits { a_user: 3, in_all: 100 },
            body_limits: BodyLimits::default(),
            call_limits: CallLimits::default(),
            replay_dir: dir.path().join("replay"),
            snapshots: None,
            past: PastOptions {
                dir: dir.path().join("replay/as-of"),
                settings,
                resources: Resources::new(8 << 20, 8 << 20),
                snapshots: None,
            },
        };
        let (stop, stopped) = oneshot::channel();
        let served =
            tokio::spawn(serve(context, Connections::new(listener, "grpc", 1000), async move { drop(stopped.await) }));
        let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
        let (client, admin) = (Client::new(channel.clone()), Admin::new(channel.clone()));
        Self { log, client, admin, channel, hand, projector, notifier, stop, served, _dir: dir }
    }

    /// Stops the server; the calls under way end first.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        let served = tokio::time::timeout(Duration::from_secs(8), self.served).await;
        served.expect("drained in time").unwrap().unwrap();
        self.projector.stop().await;
        self.notifier.stop().await;
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.hand.fetch_add(ms, Ordering::SeqCst);
    }

    /// The ends of all topics.
    pub(crate) fn ends(&self) -> Vec<u64> {
        let ends = |topic| (0..PARTITIONS).map(move |partition| self.log.end_offset(topic, partition));
        Topic::ALL.into_iter().flat_map(ends).collect()
    }

    /// A conversation in a partition.
    pub(crate) fn conversation_in(&self, partition: u32) -> String {
        let mut names = (0..).map(|i| format!("c{i}"));
        names.find(|name| self.log.partition_for(name.as_bytes()) == partition).unwrap()
    }

    /// Publishes events, all of which are applied.
    pub(crate) async fn publish(&self, events: Vec<v1::ConversationEvent>) -> String {
        let request = v1::PublishConversationEventsRequest { events, wait: true };
        let response = self.client().publish_conversation_events(request).await.unwrap().into_inner();
        for outcome in &response.outcomes {
            assert_eq!(outcome.result(), v1::EventResult::Applied, "{}", outcome.reason);
        }
        response.consistency_token
    }

    /// Reads messages, and waits.
    pub(crate) async fn read(&self, user: &str, conversation: &str, messages: &[&str]) -> Vec<v1::ReceiptOutcome> {
        let request = receipts(user, conversation, messages, true);
        let response = self.client().send_message_read_receipts(request).await.unwrap().into_inner();
        response.outcomes().collect()
    }

    pub(crate) async fn counts(
        &self,
        user: &str,
        messages: &[(&str, &str)],
        tokens: &[&str],
    ) -> v1::GetMessageReadReceiptsResponse {
        let request = v1::GetMessageReadReceiptsRequest {
            user_id: user.to_owned(),
            messages: messages.iter().map(|(conversation, message)| message_ref(conversation, message)).collect(),
            consistency_tokens: texts(tokens),
        };
        self.client().get_message_read_receipts(request).await.unwrap().into_inner()
    }
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(crate) fn message_ref(conversation: &str, message: &str) -> v1::MessageRef {
    v1::MessageRef { conversation_id: conversation.to_owned(), message_id: message.to_owned() }
}

pub(crate) fn event(conversation: &str, kind: Kind) -> v1::ConversationEvent {
    v1::ConversationEvent { conversation_id: conversation.to_owned(), event: Some(kind), ..Default::default() }
}

pub(crate) fn group(conversation: &str, members: &[&str]) -> v1::ConversationEvent {
    let created = v1::GroupCreated { group_type: "work".to_owned(), member_ids: texts(members) };
    event(conversation, Kind::GroupCreated(created))
}

fn sent(conversation: &str, message: &str, sender: &str, audience: Audience) -> v1::ConversationEvent {
    let sent = v1::MessageSent {
        message_id: message.to_owned(),
        sender_id: sender.to_owned(),
        need_read_receipt: true,
        audience: Some(audience),
    };
    event(conversation, Kind::MessageSent(sent))
}

pub(crate) fn to_all(conversation: &str, message: &str, sender: &str) -> v1::ConversationEvent {
    sent(conversation, message, sender, Audience::AllMembers(v1::AllMembers {}))
}

pub(crate) fn to_peer(conversation: &str, message: &str, sender: &str, peer: &str) -> v1::ConversationEvent {
    sent(conversation, message, sender, Audience::PeerId(peer.to_owned()))
}

pub(crate) fn silent(mut event: v1::ConversationEvent) -> v1::ConversationEvent {
    if let Some(Kind::MessageSent(sent)) = &mut event.event {
        sent.need_read_receipt = false;
    }
    event
}

pub(crate) fn receipts(
    user: &str,
    conversation: &str,
    messages: &[&str],
    wait: bool,
) -> v1::SendMessageReadReceiptsRequest {
    v1::SendMessageReadReceiptsRequest {
        user_id: user.to_owned(),
        conversation_id: conversation.to_owned(),
        message_ids: texts(messages),
        wait,
    }
}

pub(crate) fn within<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// What a call must have been refused with.
#[track_caller]
pub(crate) fn refused<T>(
    answer: Result<Response<T>, Status>,
    code: Code,
    reason: &str,
    field: &str,
    limit: Option<u64>,
) -> Status {
    let Err(status) = answer else { panic!("not refused: {reason} {field}") };
    let details = status.get_error_details();
    assert_eq!(status.code(), code, "{field}: {status}");
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "receipts.v1"), "{status}");
    assert_eq!(info.metadata.get("field").map_or("", String::as_str), field, "{status}");
    assert_eq!(info.metadata.get("limit").map(|limit| limit.parse().unwrap()), limit, "{status}");
    let violations: Vec<_> = details.bad_request().iter().flat_map(|bad| &bad.field_violations).cloned().collect();
    if field.is_empty() || field == "request" {
        assert!(violations.is_empty(), "{violations:?}");
    } else {
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, field);
        assert!(limit.is_none_or(|limit| violations[0].description.contains(&limit.to_string())));
    }
    status
}

pub(crate) fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_error_details().error_info()?.metadata.get(key).cloned()
}

pub(crate) fn retries(status: &Status) -> bool {
    status.get_error_details().retry_info().is_some()
}

/// The reason of a failed call.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
