//! `receiptctl import`: plays real conversations into a running receiptd.

use std::{env, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use receipt_ctl::dataset;
use serde_json::json;

use crate::{
    client,
    import::{self, Plan},
    output::Output,
    render,
};

/// Play a data set of real conversations into a running receiptd.
///
/// Conversation events carry a version and reads their own times, so sending any of them twice changes nothing. What
/// has been acknowledged is kept in a small state file, and the next run goes on from there; it starts from the
/// beginning where the state is missing, of another data file, or of another log. A server that goes away is waited for
/// up to a minute. An import that was interrupted should go on within the server's early window (a day, unless set
/// otherwise), as reads may have gone ahead of their messages.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl import college-msg tests/data/college-msg.tsv.gz
  receiptctl import ubuntu-irc tests/data/ubuntu-irc.tsv.gz --state /var/tmp/irc.json --json")]
pub(crate) struct Import {
    /// Which data set the file holds.
    #[arg(value_enum)]
    kind: Kind,
    /// The gzipped file.
    file: PathBuf,
    /// Where to keep how far it got. Default: under $XDG_STATE_HOME/receiptctl, or ~/.local/state/receiptctl, a file for
    /// each data file and server.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// One-to-one messages, read when they are answered.
    CollegeMsg,
    /// A public channel; whoever writes has read what came before.
    UbuntuIrc,
}

impl Import {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let kind = match self.kind {
            Kind::CollegeMsg => dataset::Kind::CollegeMsg,
            Kind::UbuntuIrc => dataset::Kind::UbuntuIrc,
        };
        let plan = Plan::of(kind, self.file)?;
        let state = match self.state {
            Some(path) => path,
            None => default_state(&plan, addr)?,
        };
        let done = import::run(&client::receipts(addr)?, &plan, &state, output.json).await?;
        let seconds = done.elapsed.as_secs_f64();
        let json = json!({
            "data_set": kind.name(),
            "events": plan.events,
            "resumed_at": done.resumed_at,
            "conversation_events_sent": done.conversation_events,
            "read_events_sent": done.read_events,
            "retries": done.retries,
            "seconds": seconds,
            "consistency_tokens": done.tokens,
        });
        output.print(&json, || {
            let sent = done.conversation_events + done.read_events;
            let mut lines = vec![format!(
                "{}: {} events in all, {sent} sent now ({} of conversations, {} reads) in {seconds:.1} s",
                kind.name(),
                plan.events,
                done.conversation_events,
                done.read_events,
            )];
            lines.extend(done.tokens.iter().map(|token| render::token_line(token)));
            lines.join("\n")
        })
    }
}

/// The state file of this data file and server.
fn default_state(plan: &Plan, addr: &str) -> anyhow::Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home);
    let base = base.context("neither XDG_STATE_HOME nor HOME is set: give --state FILE")?;
    let server: String = addr.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = format!("import-{}-{:08x}-{server}.json", plan.kind.name(), plan.file_crc32);
    Ok(base.join("receiptctl").join(name))
}
