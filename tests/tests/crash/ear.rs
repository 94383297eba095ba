//! A sender who listens, and comes back with the last token whenever the stream has ended.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use receipt_proto::v1::{self, subscribe_message_read_receipts_request::Start};
use receipt_tests::{poll::until, server::Receipts};
use tokio::task::JoinHandle;
use tonic::{Streaming, transport::Channel};

use crate::{client::passes, heard::Heard, oracle::Part};

/// How soon it comes back.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the last word may take.
const LAST_WORD_MAX: Duration = Duration::from_secs(30);

/// A listening task; ended with its handle.
pub(crate) struct Ear {
    pub(crate) sender: String,
    pub(crate) heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a stream: from a token, or from now.
pub(crate) async fn subscribe(
    client: &mut Receipts,
    sender: &str,
    token: &str,
) -> Result<Streaming<v1::SubscribeMessageReadReceiptsResponse>, tonic::Status> {
    let start = (!token.is_empty()).then(|| Start::ResumeToken(token.to_owned()));
    let request = v1::SubscribeMessageReadReceiptsRequest { user_id: sender.to_owned(), start };
    Ok(client.subscribe_message_read_receipts(request).await?.into_inner())
}

impl Ear {
    /// Listens from now on: it has its first token.
    pub(crate) async fn open(channel: Channel, sender: &str) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = tokio::spawn(listen(Receipts::new(channel), sender.to_owned(), heard.clone()));
        let ear = Self { sender: sender.to_owned(), heard, task };
        until("the first response", LAST_WORD_MAX, async || (ear.heard.lock().unwrap().responses > 0).then_some(()))
            .await;
        ear
    }
}

async fn listen(mut client: Receipts, sender: String, heard: Arc<Mutex<Heard>>) {
    loop {
        let token = heard.lock().unwrap().token.clone();
        let mut ended = None;
        match subscribe(&mut client, &sender, &token).await {
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(response)) => heard.lock().unwrap().take(response),
                    Ok(None) => break,
                    Err(status) => {
                        ended = Some(status);
                        break;
                    }
                }
            },
            Err(status) => ended = Some(status),
        }
        if let Some(status) = ended.filter(|status| !passes(status)) {
            heard.lock().unwrap().wrong.push(format!("{status:?}"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Waits until every sender has been told what must be there in the end of these conversations.
pub(crate) async fn last_words(heard: &[(String, Arc<Mutex<Heard>>)], part: &Part<'_>) {
    let mut waiting: Vec<_> = heard.iter().collect();
    let start = std::time::Instant::now();
    until("every sender's last word", LAST_WORD_MAX * 2, async || {
        let differences =
            |(sender, heard): &(String, Arc<Mutex<Heard>>)| heard.lock().unwrap().differences(sender, part);
        waiting.retain(|one| !differences(one).is_empty());
        if start.elapsed() > LAST_WORD_MAX {
            let left: Vec<String> = waiting.iter().flat_map(|one| differences(one)).collect();
            let first = &left[..left.len().min(10)];
            assert!(left.is_empty(), "{} differences in what senders were told: {first:#?}", left.len());
        }
        waiting.is_empty().then_some(())
    })
    .await;
}

/// What several heard.
pub(crate) fn all(ears: &[Ear]) -> Vec<(String, Arc<Mutex<Heard>>)> {
    ears.iter().map(|ear| (ear.sender.clone(), ear.heard.clone())).collect()
}
