//! What one sender is notified of on a stream, and whether that is what a query answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use receipt_proto::v1::{
    self, receipt_delta::Change, subscribe_message_read_receipts_request::Start::Oldest as FromOldest,
};
use receipt_tests::server::Receipts;
use roaring::RoaringBitmap;
use tokio::task::JoinHandle;

/// What was said of one message.
#[derive(Debug)]
struct Word {
    /// The last of it.
    receipt: v1::MessageReceipt,
    /// Everyone who was ever named, by the number in their id.
    named: RoaringBitmap,
    /// Somebody was not.
    more: bool,
}

/// What was said to one sender.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By conversation and message.
    words: HashMap<(String, String), Word>,
    pub(crate) responses: u64,
    pub(crate) deltas: u64,
    /// What a stream must never say.
    wrong: Vec<String>,
}

/// A sender who listens; ended with its handle.
pub(crate) struct Listener {
    pub(crate) told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Listens to what is told to `sender`, from the oldest on.
    pub(crate) fn start(client: Receipts, sender: String) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let task = tokio::spawn(listen(client, sender, told.clone()));
        Self { told, task }
    }
}

async fn listen(mut client: Receipts, sender: String, told: Arc<Mutex<Told>>) {
    let start = Some(FromOldest(v1::Oldest {}));
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: sender, start };
    let mut stream = match client.subscribe_message_read_receipts(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return told.lock().unwrap().wrong.push(format!("{status:?}")),
    };
    loop {
        match stream.message().await {
            Ok(Some(response)) => told.lock().unwrap().take(response),
            other => return told.lock().unwrap().wrong.push(format!("the stream ended: {other:?}")),
        }
    }
}

impl Told {
    fn take(&mut self, response: v1::SubscribeMessageReadReceiptsResponse) {
        self.responses += 1;
        if response.reset {
            self.wrong.push("a reset".to_owned());
        }
        for delta in response.deltas {
            self.deltas += 1;
            match delta.change {
                Some(Change::Receipt(receipt)) => self.receipt(receipt, &delta.new_readers, delta.more_readers),
                other => self.wrong.push(format!("the data sets hold no {other:?}")),
            }
        }
    }

    fn receipt(&mut self, receipt: v1::MessageReceipt, new: &[v1::Reader], more: bool) {
        let key = (receipt.conversation_id.clone(), receipt.message_id.clone());
        let fresh = || Word { receipt: receipt.clone(), named: RoaringBitmap::new(), more: false };
        let word = self.words.entry(key).or_insert_with(fresh);
        let before = &word.receipt;
        if receipt.read_count < before.read_count || receipt.unread_count > before.unread_count {
            self.wrong.push(format!("S33: goes back from {before:?} to {receipt:?}"));
        }
        // Users of one data set are numbers, those of the other are numbers behind a u.
        word.named.extend(new.iter().map(|reader| reader.user_id.trim_start_matches('u').parse::<u32>().unwrap()));
        word.more |= more;
        if !word.more && word.named.len() != u64::from(receipt.read_count) {
            self.wrong.push(format!("S32: {} named, without more_readers: {receipt:?}", word.named.len()));
        }
        word.receipt = receipt;
    }

    /// What a stream must never say, and that it ended.
    pub(crate) fn is_not_wrong(&self) {
        assert!(self.wrong.is_empty(), "{:?}", self.wrong);
    }

    /// How many messages it was told of.
    pub(crate) fn messages(&self) -> usize {
        self.words.len()
    }

    /// How the last word on each of the sender's messages differs from what a query answers.
    pub(crate) fn differences(&self, messages: &[v1::MessageReceipt]) -> Vec<String> {
        let mut differences = self.wrong.clone();
        let mut known = 0;
        for receipt in messages {
            let word = self.words.get(&(receipt.conversation_id.clone(), receipt.message_id.clone()));
            known += usize::from(word.is_some());
            let why = match word {
                None if receipt.unread_count == receipt.audience_count => None,
                None => Some("nothing was told".to_owned()),
                Some(word) => (word.receipt != *receipt).then(|| format!("told {:?}", word.receipt)),
            };
            differences.extend(why.map(|why| format!("{why}, is {receipt:?}")));
        }
        if known != self.words.len() {
            differences.push(format!("told of {} messages that are not the sender's", self.words.len() - known));
        }
        differences
    }
}
