//! Receipts a second through SendMessageReadReceipts: 32 callers, with 1 and with 30 messages a call; beside the same
//! calls of one caller.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use receipt_domain::settings::Settings;
use receipt_log::Clock;
use receipt_notifier::Notifier;
use receipt_projector::{Options, PastOptions, Projector};
use receipt_proto::v1::{self, receipt_service_client::ReceiptServiceClient};
use receipt_store::Resources;
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::Channel;

use crate::fold::{cpu_s, open_log};

const GROUPS: usize = 64;
const MEMBERS: usize = 100;
const MESSAGES: usize = 300;
const LENGTH: Duration = Duration::from_secs(8);

pub(crate) fn run() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    for (callers, messages) in [(1, 1), (32, 1), (32, 30)] {
        let dir = tempfile::tempdir()?;
        let log = open_log(dir.path());
        let options = Options {
            dir: dir.path().join("receipts"),
            settings: Settings::default(),
            resources: Resources::default(),
            clock: Clock::System,
        };
        let projector = Projector::start(&log, &options, &tokio::runtime::Handle::current())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = receipt_api::Connections::new(listener, "grpc", 1000);
        let (stop, stopped) = oneshot::channel::<()>();
        let inboxes = receipt_notifier::Options {
            dir: dir.path().join("inboxes"),
            settings: Settings::default(),
            resources: Resources::default(),
        };
        let notifier = Notifier::start(&log, &inboxes, &tokio::runtime::Handle::current())?;
        let context = receipt_api::Context {
            log: log.clone(),
            partitions: projector.partitions().to_vec(),
            inboxes: notifier.inboxes().to_vec(),
            stream_limits: receipt_api::StreamLimits::default(),
            body_limits: receipt_api::BodyLimits::default(),
            call_limits: receipt_api::CallLimits::default(),
            replay_dir: dir.path().join("replay"),
            snapshots: None,
            past: PastOptions {
                dir: dir.path().join("replay/as-of"),
                settings: Settings::default(),
                resources: Resources::new(1 << 20, 1 << 20),
                snapshots: None,
            },
        };
        let server = tokio::spawn(receipt_api::serve(context, connections, async {
            let _ = stopped.await;
        }));
        prepare(address).await?;
        let cpu = cpu_s()?;
        let (calls, times, elapsed) = drive(address, callers, messages).await?;
        report(callers, messages, calls, &times, elapsed, cpu_s()? - cpu);
        let _ = stop.send(());
        server.await??;
        projector.stop().await;
        notifier.stop().await;
    }
    Ok(())
}

async fn client(address: SocketAddr) -> anyhow::Result<ReceiptServiceClient<Channel>> {
    Ok(ReceiptServiceClient::connect(format!("http://{address}")).await?)
}

/// Groups of 100, with 300 messages each.
async fn prepare(address: SocketAddr) -> anyhow::Result<()> {
    use v1::{conversation_event::Event, message_sent::Audience};
    let mut client = client(address).await?;
    for group in 0..GROUPS {
        let event = |event| v1::ConversationEvent {
            conversation_id: format!("group-{group}"),
            occurred_at: None,
            version: 0,
            event: Some(event),
        };
        let members = (0..MEMBERS).map(|member| format!("user-{member}")).collect();
        let created = v1::GroupCreated { group_type: "work".to_owned(), member_ids: members };
        let mut events = vec![event(Event::GroupCreated(created))];
        events.extend((0..MESSAGES).map(|message| {
            event(Event::MessageSent(v1::MessageSent {
                message_id: format!("message-{message}"),
                sender_id: "somebody".to_owned(),
                need_read_receipt: true,
                audience: Some(Audience::AllMembers(v1::AllMembers {})),
            }))
        }));
        let wait = group + 1 == GROUPS;
        client.publish_conversation_events(v1::PublishConversationEventsRequest { events, wait }).await?;
    }
    Ok(())
}

/// Each caller marks what nobody has marked yet, as fast as it is answered.
async fn drive(
    address: SocketAddr,
    callers: usize,
    messages: usize,
) -> anyhow::Result<(usize, Vec<Duration>, Duration)> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (next, mut client) = (Arc::clone(&next), client(address).await?);
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < LENGTH {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let (slot, reader) = (n / MEMBERS, n % MEMBERS);
                let (group, first) = (slot % GROUPS, slot / GROUPS * messages);
                if first + messages > MESSAGES {
                    break;
                }
                let request = v1::SendMessageReadReceiptsRequest {
                    user_id: format!("user-{reader}"),
                    conversation_id: format!("group-{group}"),
                    message_ids: (first..first + messages).map(|m| format!("message-{m}")).collect(),
                    wait: false,
                };
                let asked = Instant::now();
                client.send_message_read_receipts(request).await?;
                times.push(asked.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.context("a caller")??);
    }
    times.sort();
    Ok((times.len(), times, start.elapsed()))
}

#[allow(clippy::cast_precision_loss)]
fn report(callers: usize, messages: usize, calls: usize, times: &[Duration], elapsed: Duration, cpu_s: f64) {
    let at = |percent: usize| times.get(calls * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let rate = calls as f64 / elapsed.as_secs_f64();
    println!(
        "{callers:2} callers, {messages:2} messages a call: {rate:8.0} calls/s {:9.0} receipts/s, p50 {:.2} ms, p99 {:.2} \
         ms, {:.0} us CPU a call (callers and server)",
        rate * messages as f64,
        at(50),
        at(99),
        cpu_s * 1e6 / calls as f64
    );
}
