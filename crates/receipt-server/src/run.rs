//! From start to end: open, fold, serve, drain, close.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, bail};
use receipt_api::{Connections, Snapshots};
use receipt_log::{Clock, EmbeddedOptions, Log, Topic};
use receipt_notifier::Notifier;
use receipt_projector::{DataDir, PastOptions, Phase, Projector};
use receipt_store::{Resources, Store};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    ahead,
    config::{Config, DISK_RESERVE_MIB, EMBEDDED_PARTITIONS},
    descriptors::{self, Plan},
    room, snapshots, telemetry,
};

const MIB: usize = 1 << 20;
/// Of block cache, and of write buffers, for states of the past, while they are folded.
const PAST_MIB: usize = 64;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If it can't start or serve.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let stop = Stop::new();
    let mut stopping = stop.on_signal()?;
    let limit = descriptors::raise_limit();
    telemetry::serve_metrics(config).await?;
    let data_dir = DataDir::take(&config.data_dir)?;
    let log = open_log(config, &data_dir).await?;
    log.keep_free(config.disk_reserve_mib.unwrap_or(DISK_RESERVE_MIB).saturating_mul(1 << 20));
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let address = listener.local_addr()?;
    let descriptors = planned(config, limit, log.partitions())?;
    let connections = usize::try_from(descriptors.connections).unwrap_or(usize::MAX);
    let connections = Connections::new(listener, "grpc", connections);
    let resources = Resources::new(config.block_cache_mib * MIB, config.write_buffer_mib * MIB)
        .with_open_tables(descriptors.tables)
        .with_batch_bytes(batch_bytes(config.batch_mib * MIB, log.partitions()));
    let runtime = tokio::runtime::Handle::current();
    let options = receipt_projector::Options {
        dir: data_dir.receipts(),
        settings: config.fold,
        resources: resources.clone(),
        clock: Clock::System,
    };
    let projector = Projector::start(&log, &options, &runtime)?;
    let options = receipt_notifier::Options { dir: data_dir.inboxes(), settings: config.fold, resources };
    let notifier = Notifier::start(&log, &options, &runtime)?;
    if let Some(why) = nothing_serves(&projector) {
        projector.stop().await;
        notifier.stop().await;
        bail!("no partition can serve: {why}");
    }
    announce(&log, &projector, address);
    let looking = room::watch(log.clone(), stopping.clone());
    let watching = ahead::watch(log.clone(), projector.partitions().to_vec(), Clock::System, stopping.clone());
    let snapshots = config.snapshots.as_ref().map(|settings| {
        let dir = data_dir.replay().join("snapshot");
        let snapshots = snapshots::open(settings, dir, &log, projector.partitions(), notifier.inboxes())?;
        anyhow::Ok((snapshots, settings.clone()))
    });
    let snapshots = snapshots.transpose()?;
    let taking = match &snapshots {
        Some((snapshots, settings)) if settings.interval_ms > 0 => {
            Some(snapshots::take_now_and_then(snapshots.clone(), settings.clone(), stopping.clone()))
        }
        _ => None,
    };
    let snapshots = snapshots.map(|(snapshots, _)| snapshots);
    let context = context(config, &data_dir, &log, (&projector, &notifier), snapshots);
    let failing = log.clone();
    let until_asked = async move {
        tokio::select! {
            // Nobody left to say so is as good a reason to stop.
            _ = stopping.wait_for(|stop| *stop) => {}
            () = room::failed(failing) => stop.stop(),
        }
    };
    let served = receipt_api::serve(context, connections, until_asked).await;
    if let Some(taking) = taking {
        // It ends at the next file; what it has begun the next round goes on with.
        taking.await?;
    }
    watching.await?;
    looking.await?;
    // Whatever was acknowledged is in the log; the state is made durable so that the next start has little to read.
    projector.stop().await;
    notifier.stop().await;
    log.close()?;
    tracing::info!("stopped");
    Ok(served?)
}

/// What is served.
fn context(
    config: &Config,
    data_dir: &DataDir,
    log: &Log,
    (projector, notifier): (&Projector, &Notifier),
    snapshots: Option<Arc<Snapshots>>,
) -> receipt_api::Context {
    receipt_api::Context {
        log: log.clone(),
        partitions: projector.partitions().to_vec(),
        inboxes: notifier.inboxes().to_vec(),
        stream_limits: config.limits.streams,
        body_limits: config.limits.bodies,
        call_limits: config.limits.calls,
        replay_dir: data_dir.replay(),
        past: PastOptions {
            dir: data_dir.replay().join("as-of"),
            settings: config.fold,
            // Theirs alone, so that they take nothing from the stores that serve.
            resources: Resources::new(PAST_MIB * MIB, PAST_MIB * MIB),
            snapshots: snapshots.as_ref().map(|snapshots| snapshots.place().clone()),
        },
        snapshots,
    }
}

/// What the open files are for that there may be.
fn planned(config: &Config, limit: u64, partitions: u32) -> anyhow::Result<Plan> {
    let asked = config.limits.connections;
    let plan = descriptors::plan(limit, partitions, asked)?;
    if plan.connections < asked {
        let connections = plan.connections;
        tracing::warn!(connections, asked, limit, "the limit of open files allows no more connections");
    }
    Ok(plan)
}

/// What each partition of receipts, and each of inboxes, may take for its batch.
fn batch_bytes(all: usize, partitions: u32) -> usize {
    let folding = usize::try_from(partitions).unwrap_or(usize::MAX).saturating_mul(2);
    (all / folding.max(1)).max(MIB)
}

async fn open_log(config: &Config, data_dir: &DataDir) -> anyhow::Result<Log> {
    let Some(kafka) = &config.kafka else {
        return Ok(Log::open_embedded(EmbeddedOptions {
            dir: data_dir.log(),
            partitions: config.partitions.unwrap_or(EMBEDDED_PARTITIONS),
            retention_ms: config.fold.retention_ms,
            accept_clock_jump: config.accept_clock_jump,
            clock: Clock::System,
        })?);
    };
    let log = Log::open_kafka(kafka.clone()).await?;
    if let Some(asked) = config.partitions
        && asked != log.partitions()
    {
        bail!(
            "partitions is {asked}, and the topics on Kafka have {}: leave it out, or set it to that",
            log.partitions()
        );
    }
    Ok(log)
}

/// Why no partition at all can serve, such as settings that are not those of the stores.
fn nothing_serves(projector: &Projector) -> Option<String> {
    let mut whys = projector.partitions().iter().map(|partition| match partition.phase() {
        Phase::Sealed(why) => Some(why),
        _ => None,
    });
    whys.clone().all(|why| why.is_some()).then(|| whys.next().flatten()).flatten()
}

fn announce(log: &Log, projector: &Projector, address: SocketAddr) {
    println!("receiptd listens on {address}");
    println!("{}, {} partitions", log.origin(), log.partitions());
    for partition in projector.partitions() {
        let number = partition.number();
        // Folding goes on already; what was durable is what it went on from.
        let from = partition.with_store(Store::durable).unwrap_or_default();
        let end = |topic| log.end_offset(topic, number);
        match partition.phase() {
            Phase::Sealed(why) => println!("partition {number} does not serve: {why}"),
            _ => println!(
                "partition {number} from {} at offset {} of {}, {} at {} of {}",
                Topic::Conversations.name(),
                from.conversations_offset,
                end(Topic::Conversations),
                Topic::Reads.name(),
                from.reads_offset,
                end(Topic::Reads),
            ),
        }
    }
}

/// Says that the process is to stop.
#[derive(Clone)]
struct Stop(watch::Sender<bool>);

impl Stop {
    fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on.
    fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Also at the first SIGTERM or SIGINT; the second one ends the process at once. Turns true then.
    fn on_signal(&self) -> anyhow::Result<watch::Receiver<bool>> {
        let stop = self.clone();
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            for again in [false, true] {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if again {
                    tracing::warn!("asked again, and stops at once");
                    std::process::exit(130);
                }
                tracing::info!("stopping: answering calls in flight, then making the state durable");
                stop.stop();
            }
        });
        Ok(self.0.subscribe())
    }
}
