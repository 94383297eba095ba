//! A live stream on standard output; what concerns the connection goes to standard error.

mod lines;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use receipt_proto::v1;

use crate::{
    follow::{Follower, News},
    status,
};

/// How to tell, and when to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Stop after so long.
    pub(crate) elapsed: Option<Duration>,
    /// Stop after the response that brings so many changes.
    pub(crate) changes: Option<u64>,
}

/// Tells what the follower is told, until a signal or `until` ends it.
pub(crate) async fn run(mut follower: Follower, until: Until) -> anyhow::Result<()> {
    let result = tokio::select! {
        result = tell(&mut follower, until) => result,
        result = ended(until.elapsed) => result,
    };
    if let Some(token) = follower.resume_token() {
        eprintln!("resume token: {token}");
    }
    result
}

async fn tell(follower: &mut Follower, until: Until) -> anyhow::Result<()> {
    let mut changes = 0;
    let mut lost = false;
    loop {
        match follower.next().await? {
            News::Lost { why, pause } => {
                lost = true;
                let why = status::line(&anyhow::Error::new(why));
                eprintln!("lost: {why}; trying again in {} ms", pause.as_millis());
            }
            News::Told { response, first } => {
                if first {
                    eprintln!("{}", if lost { "going on from the last token" } else { "subscribed" });
                }
                if response.reset {
                    eprintln!(
                        "reset: what changed is no longer known (the token is too old or of another log, or nobody read the \
                         stream for longer than the retention); ask for the receipts again"
                    );
                }
                changes += u64::try_from(response.deltas.len())?;
                if !print(&response, until.json)? || until.changes.is_some_and(|enough| changes >= enough) {
                    return Ok(());
                }
            }
        }
    }
}

/// Prints a response; false if nobody reads it.
fn print(response: &v1::SubscribeMessageReadReceiptsResponse, json: bool) -> anyhow::Result<bool> {
    let received_at = lines::now();
    let mut text = String::new();
    if json {
        text = serde_json::to_string(&lines::json(&received_at, response))? + "\n";
    } else {
        for delta in &response.deltas {
            text += &lines::line(&received_at, delta);
            text.push('\n');
        }
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Returns at the end of the time, at Ctrl-C, or when it is asked to terminate.
async fn ended(elapsed: Option<Duration>) -> anyhow::Result<()> {
    let time = async {
        match elapsed {
            Some(elapsed) => tokio::time::sleep(elapsed).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => Ok(()),
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        told = terminated() => Ok(told?),
    }
}

#[cfg(unix)]
async fn terminated() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminated() -> io::Result<()> {
    std::future::pending().await
}
