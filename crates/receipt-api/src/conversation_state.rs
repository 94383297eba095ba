//! ReadConversationState: where a fold of one conversation begins, when the log has lost its beginning.

use std::{cell::RefCell, fs, path::Path};

use receipt_domain::id::ConversationId;
use receipt_log::Log;
use receipt_projector::{Bootstrap, NotBegun, Partition, ProjectorError};
use receipt_proto::{
    timestamp_from_ms,
    v1::{self, read_conversation_state_response::Update},
};
use receipt_snapshot::Place;
use receipt_store::{Resources, Store, StoreError};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    api::Api,
    error,
    told::{self, Responses, Teller},
};

const MIB: usize = 1 << 20;
/// Memory of the store that is read, so that what serves keeps its own.
const CACHE_BYTES: usize = 16 * MIB;
/// Bytes of rows in one response, about.
const RESPONSE_BYTES: usize = MIB;

/// Is told each update, and says whether to continue.
type Tell<'a> = &'a mut dyn FnMut(Update) -> bool;

/// ReadConversationState.
pub(crate) async fn read(
    api: &Api,
    request: Request<v1::ReadConversationStateRequest>,
) -> Result<Response<Responses<v1::ReadConversationStateResponse>>, Status> {
    let id = request.into_inner().conversation_id;
    let id = receipt_proto::conversation_id("conversation_id", &id).map_err(error::invalid)?;
    let number = api.log.partition_for(id.as_str().as_bytes());
    let partition = api.partition(number).map_err(|why| error::unserved(number, &why))?.clone();
    let (log, dir) = (api.log.clone(), api.replays.dir("inspect"));
    let place = api.snapshots.as_ref().map(|snapshots| snapshots.place().clone());
    let one_at_a_time = api.conversation_states.clone().lock_owned().await;
    Ok(told::stream(api, move |teller: &Teller<_>| {
        let mut progress = teller.now_and_then();
        let response = |update| v1::ReadConversationStateResponse { update: Some(update) };
        let mut tell = |update| match update {
            Update::Bytes(_) => progress(&|| response(Update::clone(&update))),
            update => teller.tell(response(update)),
        };
        let state = State { log: &log, partition: &partition, dir: &dir, stopped: &teller.stopped };
        let read = state.read(place.as_ref(), &id, &mut tell);
        // Not empty while others fold aside.
        for dir in dir.ancestors().take(2) {
            let _ = fs::remove_dir(dir);
        }
        drop(one_at_a_time);
        read.map_err(|why| error::replay(&why))
    }))
}

/// The state of a conversation's partition.
struct State<'a> {
    log: &'a Log,
    partition: &'a Partition,
    /// Where a copy of it is put, to be read and deleted.
    dir: &'a Path,
    stopped: &'a watch::Receiver<bool>,
}

impl State<'_> {
    fn read(&self, place: Option<&Place>, id: &ConversationId, tell: Tell<'_>) -> Result<(), ProjectorError> {
        let resources = Resources::new(CACHE_BYTES, CACHE_BYTES);
        let why = match place {
            None => "receiptd was started without a place for snapshots (--snapshots)".to_owned(),
            Some(place) => {
                let (mut fetched, shared) = (0, RefCell::new(&mut *tell));
                let mut told = |bytes| {
                    fetched += bytes;
                    (shared.borrow_mut())(Update::Bytes(fetched)) && !*self.stopped.borrow()
                };
                let bootstrap = Bootstrap { log: self.log, resources: &resources, place, dir: self.dir };
                let read = bootstrap.with_oldest(self.partition.identity(), &mut told, |store, begun| {
                    let (snapshot, created_at) = match &begun.from {
                        None => Default::default(),
                        Some((snapshot, manifest)) => {
                            (snapshot.to_string(), Some(timestamp_from_ms(manifest.created_at_ms)))
                        }
                    };
                    let passed_over = begun.passed_over.clone();
                    let source =
                        v1::ConversationStateSource { snapshot, created_at, passed_over, ..Default::default() };
                    rows(store, id, source, &mut **shared.borrow_mut())
                });
                match read {
                    Err(NotBegun::NoSnapshot { why, .. }) => why,
                    read => return Ok(read?),
                }
            }
        };
        self.as_it_is(&resources, id, why, tell)
    }

    /// Of a copy, so that nothing that serves waits for the client.
    fn as_it_is(
        &self,
        resources: &Resources,
        id: &ConversationId,
        why: String,
        tell: Tell<'_>,
    ) -> Result<(), ProjectorError> {
        let copy = self.dir.join(format!("{}.copy", self.partition.number()));
        let failed = |source| ProjectorError::Directory { dir: copy.clone(), source };
        remove(&copy).and_then(|()| fs::create_dir_all(self.dir)).map_err(failed)?;
        self.partition.checkpoint(&copy)?;
        let source = v1::ConversationStateSource { passed_over: vec![why], ..Default::default() };
        let store = Store::open_read_only(&copy, resources, self.partition.identity());
        let read = store.and_then(|store| rows(&store, id, source, tell));
        remove(&copy).map_err(failed)?;
        Ok(read?)
    }
}

/// Tells which state it is, and its rows.
fn rows(
    store: &Store,
    id: &ConversationId,
    mut source: v1::ConversationStateSource,
    tell: Tell<'_>,
) -> Result<(), StoreError> {
    let view = store.view()?;
    let (progress, settings) = (view.progress(), store.settings());
    (source.conversations_offset, source.reads_offset) = (progress.conversations_offset, progress.reads_offset);
    source.settings = Some(v1::FoldSettings {
        retention_ms: settings.retention_ms,
        early_window_ms: settings.early_window_ms,
        max_group_members: settings.max_group_members,
    });
    if !tell(Update::Source(source)) {
        return Ok(());
    }
    let (mut rows, mut bytes, mut goes_on) = (Vec::new(), 0, true);
    view.conversation_rows(id, &mut |key, value| {
        bytes += key.len() + value.len();
        rows.push(v1::StateRow { key: key.to_vec(), value: value.to_vec() });
        if bytes >= RESPONSE_BYTES {
            bytes = 0;
            goes_on = tell(Update::Rows(v1::StateRows { rows: std::mem::take(&mut rows) }));
        }
        goes_on
    })?;
    if goes_on && !rows.is_empty() {
        tell(Update::Rows(v1::StateRows { rows }));
    }
    Ok(())
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
