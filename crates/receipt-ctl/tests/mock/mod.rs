//! A server that keeps what it is sent in memory, and fails when it is told to.

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::SocketAddr,
    pin::Pin,
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use receipt_proto::v1::{self, receipt_result, receipt_service_server as service};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the server was sent, and how it is to behave.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) identity: String,
    /// Conversation events that were not repeats.
    pub(crate) events: Vec<v1::ConversationEvent>,
    pub(crate) reads: Vec<v1::ReadEvent>,
    pub(crate) versions: HashMap<String, u64>,
    pub(crate) publishing_calls: usize,
    /// Every so many publishing calls one appends only half, and fails for the moment.
    pub(crate) fail_every: Option<usize>,
    /// Calls from this number on fail for good.
    pub(crate) refuse_from: Option<usize>,
    /// What each stream opened so far asked for.
    pub(crate) subscriptions: Vec<v1::SubscribeMessageReadReceiptsRequest>,
    /// What the next streams tell, one each; one that has not failed then stays open.
    pub(crate) streams: VecDeque<Vec<Result<v1::SubscribeMessageReadReceiptsResponse, Status>>>,
    /// How long a publishing call takes.
    pub(crate) delay: Duration,
}

impl Log {
    fn append(&mut self, event: v1::ConversationEvent) {
        let last = self.versions.entry(event.conversation_id.clone()).or_default();
        if event.version <= *last {
            return;
        }
        assert_eq!(event.version, *last + 1, "order of {}", event.conversation_id);
        *last = event.version;
        self.events.push(event);
    }

    /// How many of `len` events a call appends, and whether it then succeeds.
    fn call(&mut self, len: usize) -> (usize, Result<(), Status>) {
        assert!(len <= 1_000);
        self.publishing_calls += 1;
        let n = self.publishing_calls;
        if self.refuse_from.is_some_and(|from| n >= from) {
            return (0, Err(Status::invalid_argument("refused")));
        }
        if self.fail_every.is_some_and(|every| n.is_multiple_of(every)) {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(10)));
            return (len / 2, Err(Status::with_error_details(Code::Unavailable, "the log is away", details)));
        }
        (len, Ok(()))
    }

    fn token(&self) -> String {
        self.identity.clone()
    }
}

/// The log, shared with the test.
pub(crate) type Shared = Arc<Mutex<Log>>;

/// A running server, on a runtime of its own, so that its connections end with it.
pub(crate) struct Mock {
    pub(crate) addr: SocketAddr,
    runtime: Option<Runtime>,
}

impl Mock {
    /// Serves `log` at `addr`, or anywhere.
    pub(crate) fn start(log: Shared, addr: Option<SocketAddr>) -> Self {
        let addr = addr.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let listener = bind(addr);
        listener.set_nonblocking(true).expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let runtime = Runtime::new().expect("a runtime");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            tonic::transport::Server::builder()
                .add_service(service::ReceiptServiceServer::new(Service(log)))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("serving");
        });
        Self { addr, runtime: Some(runtime) }
    }

    /// Stops at once; calls on their way are lost.
    pub(crate) async fn kill(mut self) {
        let runtime = self.runtime.take().expect("running");
        let stop = move || runtime.shutdown_timeout(Duration::from_secs(5));
        tokio::task::spawn_blocking(stop).await.expect("stopped");
    }

    /// Runs receiptctl against it.
    pub(crate) async fn ctl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_receiptctl"));
        command.args(args).env("RECEIPTCTL_ADDR", format!("http://{}", self.addr));
        tokio::task::spawn_blocking(move || command.output().expect("receiptctl runs")).await.expect("a thread")
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Binds to `addr`; what held it before may need a moment to be gone.
fn bind(addr: SocketAddr) -> std::net::TcpListener {
    let start = Instant::now();
    loop {
        match std::net::TcpListener::bind(addr) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            bound => return bound.expect("a port"),
        }
    }
}

struct Service(Shared);

impl Service {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().expect("the log")
    }

    async fn delay(&self) {
        let delay = self.log().delay;
        tokio::time::sleep(delay).await;
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl service::ReceiptService for Service {
    type SubscribeMessageReadReceiptsStream =
        Pin<Box<dyn Stream<Item = Result<v1::SubscribeMessageReadReceiptsResponse, Status>> + Send>>;

    async fn publish_conversation_events(
        &self,
        request: Request<v1::PublishConversationEventsRequest>,
    ) -> Answer<v1::PublishConversationEventsResponse> {
        self.delay().await;
        let mut log = self.log();
        let mut events = request.into_inner().events;
        let (appended, result) = log.call(events.len());
        events.truncate(appended);
        events.into_iter().for_each(|event| log.append(event));
        result?;
        let consistency_token = log.token();
        Ok(Response::new(v1::PublishConversationEventsResponse { consistency_token, outcomes: vec![] }))
    }

    async fn publish_read_events(
        &self,
        request: Request<v1::PublishReadEventsRequest>,
    ) -> Answer<v1::PublishReadEventsResponse> {
        self.delay().await;
        let mut log = self.log();
        let mut events = request.into_inner().events;
        let (appended, result) = log.call(events.len());
        events.truncate(appended);
        log.reads.extend(events);
        result?;
        Ok(Response::new(v1::PublishReadEventsResponse { consistency_token: log.token() }))
    }

    async fn send_message_read_receipts(
        &self,
        request: Request<v1::SendMessageReadReceiptsRequest>,
    ) -> Answer<v1::SendMessageReadReceiptsResponse> {
        let request = request.into_inner();
        if request.user_id.is_empty() {
            let mut details = ErrorDetails::new();
            details.set_error_info("INVALID_FIELD", "receipts.v1", HashMap::new());
            details.add_bad_request_violation("user_id", "must not be empty");
            return Err(Status::with_error_details(Code::InvalidArgument, "user_id must not be empty", details));
        }
        let outcomes = vec![v1::ReceiptOutcome::Read.into(); request.message_ids.len()];
        let outcomes = if request.wait { outcomes } else { vec![] };
        Ok(Response::new(v1::SendMessageReadReceiptsResponse { consistency_token: "t".into(), outcomes }))
    }

    async fn mark_conversation_read(
        &self,
        request: Request<v1::MarkConversationReadRequest>,
    ) -> Answer<v1::MarkConversationReadResponse> {
        let outcome = v1::ReceiptOutcome::Pending.into();
        assert!(request.into_inner().up_to.is_some());
        Ok(Response::new(v1::MarkConversationReadResponse { consistency_token: "t".into(), outcome }))
    }

    async fn get_message_read_receipts(
        &self,
        request: Request<v1::GetMessageReadReceiptsRequest>,
    ) -> Answer<v1::GetMessageReadReceiptsResponse> {
        let request = request.into_inner();
        let token = self.log().token();
        if request.consistency_tokens.iter().any(|given| *given != token) {
            return Err(Status::invalid_argument("of another log"));
        }
        let results = request.messages.into_iter().map(|message| {
            let receipt = v1::MessageReceipt {
                conversation_id: message.conversation_id.clone(),
                message_id: message.message_id.clone(),
                read_count: 2,
                unread_count: 1,
                ..Default::default()
            };
            let result = Some(receipt_result::Result::Receipt(receipt));
            v1::ReceiptResult { message: Some(message), result }
        });
        let results = results.collect();
        Ok(Response::new(v1::GetMessageReadReceiptsResponse { results, consistency_token: token }))
    }

    async fn get_group_message_read_member_list(
        &self,
        request: Request<v1::GetGroupMessageReadMemberListRequest>,
    ) -> Answer<v1::GetGroupMessageReadMemberListResponse> {
        let page: u32 = request.into_inner().page_token.parse().unwrap_or(0);
        let is_finished = page == 2;
        Ok(Response::new(v1::GetGroupMessageReadMemberListResponse {
            members: vec![v1::ReadMember { user_id: format!("u{page}"), ..Default::default() }],
            next_page_token: if is_finished { String::new() } else { (page + 1).to_string() },
            is_finished,
            receipt: None,
            consistency_token: "t".into(),
        }))
    }

    async fn get_message_read_states(
        &self,
        request: Request<v1::GetMessageReadStatesRequest>,
    ) -> Answer<v1::GetMessageReadStatesResponse> {
        let unread = || Some(v1::reader_state::State::Unread(v1::Unread {}));
        let states = request.into_inner().reader_ids.into_iter();
        let states = states.map(|user_id| v1::ReaderState { user_id, state: unread() }).collect();
        Ok(Response::new(v1::GetMessageReadStatesResponse { states, receipt: None, consistency_token: "t".into() }))
    }

    async fn subscribe_message_read_receipts(
        &self,
        request: Request<v1::SubscribeMessageReadReceiptsRequest>,
    ) -> Answer<Self::SubscribeMessageReadReceiptsStream> {
        let mut log = self.log();
        log.subscriptions.push(request.into_inner());
        let told = log.streams.pop_front().unwrap_or_default();
        Ok(Response::new(Box::pin(tokio_stream::iter(told).chain(tokio_stream::pending()))))
    }
}
