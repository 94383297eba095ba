//! How far an import got, in a file.
//!
//! The file is bound to its data file, and to the log it was sent to: the last consistency token names that log, and a
//! query with it is refused by any other. Without a state that fits, everything is sent again, which is harmless.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use receipt_proto::v1;
use serde::{Deserialize, Serialize};

use super::{Plan, send::Sender};

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) data_set: String,
    pub(super) file_len: u64,
    pub(super) file_crc32: u32,
    /// This many events of the data set are acknowledged.
    pub(super) position: u64,
    /// The last token that conversation events gave.
    pub(super) conversations_token: String,
    /// The last token that reads gave.
    pub(super) reads_token: String,
    /// A message that a state with that token knows: conversation and id.
    pub(super) last_message: Option<(String, String)>,
}

impl State {
    fn new(plan: &Plan) -> Self {
        Self {
            data_set: plan.kind.name().to_owned(),
            file_len: plan.file_len,
            file_crc32: plan.file_crc32,
            ..Self::default()
        }
    }

    /// Conversation events were acknowledged with this token, and held this message last.
    pub(super) fn acknowledged(&mut self, token: String, message: Option<v1::MessageRef>) {
        if !token.is_empty() {
            self.conversations_token = token;
        }
        if let Some(v1::MessageRef { conversation_id, message_id }) = message {
            self.last_message = Some((conversation_id, message_id));
        }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let what = || format!("cannot write the state file {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(what)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, serde_json::to_vec_pretty(self)?).with_context(what)?;
        fs::rename(&beside, path).with_context(what)
    }

    fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read the state file {}", path.display())),
        }
    }
}

/// The state to go on from: the file's, where it is of this data file and of the server's log, else a new one.
pub(super) async fn resume(path: &Path, plan: &Plan, sender: &Sender) -> anyhow::Result<State> {
    let new = State::new(plan);
    let Some(state) = State::load(path)?.filter(|state| state.position > 0) else {
        return Ok(new);
    };
    let same_file = |s: &State| (s.data_set.clone(), s.file_len, s.file_crc32);
    if same_file(&state) != same_file(&new) {
        sender.say("the state file is of another data file: starting from the beginning");
        return Ok(new);
    }
    let Some((conversation_id, message_id)) = state.last_message.clone() else {
        return Ok(new);
    };
    let message = v1::MessageRef { conversation_id, message_id };
    if sender.knows(&state.conversations_token, &message).await? {
        return Ok(state);
    }
    sender.say("the state file is of another log than the server's: starting from the beginning");
    Ok(new)
}
