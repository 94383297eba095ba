//! `receiptctl watch`: what changes for a sender, live.

use std::time::Duration;

use clap::Args;
use receipt_proto::v1::{Oldest, subscribe_message_read_receipts_request::Start};

use crate::{
    client,
    follow::Follower,
    output::Output,
    watch::{self, Until},
};

/// What changes for a sender, live: who has read which of their messages.
///
/// Each change is a line: when it arrived, conversation and message, how many have and have not read it, who is new.
/// With --json each response of the server is one JSON object on a line of its own (an empty one is a heartbeat), with
/// the token to go on from after it. A stream that is lost is resumed from its last token. When it ends, at Ctrl-C too,
/// the last token is told on standard error: --from TOKEN goes on from there, and nothing is missed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl watch --user alice
  receiptctl watch --user alice --oldest --for 5s
  receiptctl watch --user alice --from \"$TOKEN\" --json | jq -c '.deltas[].receipt'")]
pub(crate) struct Watch {
    /// The sender.
    #[arg(long, value_name = "USER")]
    user: String,
    /// Start with the oldest that is kept. Default: with what changes from now on.
    #[arg(long, conflicts_with = "from")]
    oldest: bool,
    /// Go on from this resume token.
    #[arg(long, value_name = "TOKEN")]
    from: Option<String>,
    /// Stop after so long, such as 30s.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    elapsed: Option<Duration>,
    /// Stop after so many changes, and those that came with the last of them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Watch {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let start = match self.from {
            Some(token) => Some(Start::ResumeToken(token)),
            None => self.oldest.then_some(Start::Oldest(Oldest {})),
        };
        let follower = Follower::new(client::receipts(addr)?, self.user, start);
        watch::run(follower, Until { json: output.json, elapsed: self.elapsed, changes: self.count }).await
    }
}
