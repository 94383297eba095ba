//! `receiptctl replay as-of`: what the query calls would have answered at a moment.

use std::{path::PathBuf, time::UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use receipt_api::{AsOf as Question, AsOfError};
use receipt_log::{KafkaOptions, Log};
use receipt_projector::{DataDir, PastOptions, ProjectorError};
use receipt_proto::{
    timestamp_from_ms,
    v1::{
        self,
        ask_as_of_request::{Moment, Question as Asked},
        ask_as_of_response::Response,
    },
};
use receipt_store::Resources;
use tokio::{runtime::Handle, sync::watch};

use super::{log::stopped_by_ctrl_c, members::Members, receipts::Receipts, states::States};
use crate::{
    client,
    kafka::MaybeKafkaArgs,
    output::Output,
    progress::Progress,
    replay::{Changes, Site},
    snapshot,
    told::STOPPED,
};

const MIB: usize = 1 << 20;

/// Answer receipts, members or states from the state as it was at a moment.
///
/// MOMENT is a time, as 2026-03-01T12:00:00Z or @1772366400 (seconds since 1970): each topic counts up to its first record
/// that arrived later. Or it is next offsets, as `receiptctl partitions` and `replay verify` print them:
/// CONVERSATIONS:READS; of CONVERSATIONS alone, reads count that had arrived by the last record before it.
///
/// The log of the conversation's partition is folded up to there, aside in DIR/replay/as-of, which is deleted when the
/// answer is known. A running receiptd does that itself (--addr), while it serves; of one that is stopped give --data-dir.
/// Of a log on Kafka without a data directory give --kafka and --aside. Interrupted, the same command goes on.
///
/// Where the log has lost its beginning, by a trim or by Kafka's retention, the fold begins with the newest snapshot that is
/// not past the moment: one in the server's own place, or in the one that --from names. Where none is old enough, the
/// command fails, and names the oldest moment that can be answered.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl replay as-of 2026-03-01T12:00:00Z receipts team m1
  receiptctl replay as-of 5120:20480 --data-dir /var/lib/receiptd members team m1 unread --all
  receiptctl replay as-of 2026-03-01T12:00:00Z --data-dir /var/lib/receiptd --from /var/backups/receiptd receipts team m1
  receiptctl replay as-of @1772366400 --kafka 127.0.0.1:9092 --aside /tmp/aside states team m1 bob --json")]
pub(crate) struct AsOf {
    /// A time, or next offsets.
    #[arg(value_name = "MOMENT", value_parser = moment)]
    moment: Moment,
    /// The data directory of a receiptd that is stopped. Left out: a running one is asked.
    #[arg(long, value_name = "DIR", env = "RECEIPTD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Fold aside in DIR/replay of this directory, and not of the data directory.
    #[arg(long, value_name = "DIR")]
    aside: Option<PathBuf>,
    /// Begin with a snapshot of this place, where the log has lost its beginning. A receiptd that serves knows its own.
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    #[command(flatten)]
    kafka: MaybeKafkaArgs,
    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Query {
    Receipts(Receipts),
    Members(Members),
    States(States),
}

impl AsOf {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let (question, all_pages) = match &self.query {
            Query::Receipts(query) => (Asked::Receipts(query.request()), false),
            Query::Members(query) => (Asked::Members(query.request()), query.all()),
            Query::States(query) => (Asked::States(query.request()), false),
        };
        let request = v1::AskAsOfRequest { moment: Some(self.moment), question: Some(question), all_pages };
        let mut answer = Answer::new(output);
        if self.data_dir.is_some() || self.aside.is_some() || self.kafka.options().is_some() {
            answer = self.fold(request, answer).await?;
        } else if self.from.is_some() {
            bail!(
                "--from: a receiptd that serves takes snapshots from its own place; leave it out, or give --data-dir"
            );
        } else {
            let mut responses = client::admin(addr)?.ask_as_of(request).await?.into_inner();
            while let Some(response) = responses.message().await? {
                if let Some(response) = response.response {
                    answer.take(response);
                }
            }
        }
        answer.progress.finish();
        answer.print(output)
    }

    /// Folds here, the log of a receiptd that is stopped, or one on Kafka.
    async fn fold(&self, request: v1::AskAsOfRequest, mut answer: Answer) -> anyhow::Result<Answer> {
        let place = Place::open(self, self.kafka.options()).await?;
        let (stop, runtime) = (stopped_by_ctrl_c(), Handle::current());
        tokio::task::spawn_blocking(move || {
            place.ask(request, &runtime, &stop, &mut |response| answer.take(response))?;
            anyhow::Ok(answer)
        })
        .await?
    }
}

/// A log, and where it is folded.
struct Place {
    log: Log,
    options: PastOptions,
    /// Both keep others off.
    _taken: (Option<Site>, Option<DataDir>),
}

impl Place {
    async fn open(command: &AsOf, kafka: Option<KafkaOptions>) -> anyhow::Result<Self> {
        let snapshots = command.from.as_deref().map(snapshot::open).transpose()?;
        if let Some(data_dir) = &command.data_dir {
            let site = Site::open(data_dir, kafka).await?;
            let settings = Changes::default().target(&site)?;
            let dir = site.aside("as-of", command.aside.as_deref());
            let (log, resources) = (site.log.clone(), site.resources.clone());
            let options = PastOptions { dir, settings, resources, snapshots };
            return Ok(Self { log, options, _taken: (Some(site), None) });
        }
        let (Some(options), Some(aside)) = (kafka, &command.aside) else {
            bail!("without --data-dir, give both --kafka and --aside; or neither, to ask a running receiptd (--addr)");
        };
        let taken = DataDir::take(aside)?;
        let log = Log::open_kafka(KafkaOptions { retention_ms: 1, ..options }).await?;
        let resources = Resources::new(256 * MIB, 256 * MIB);
        let settings = match snapshots.clone() {
            Some(place) => {
                let log = log.clone();
                tokio::task::spawn_blocking(move || snapshot::settings_of(&place, &log)).await??
            }
            None => None,
        };
        let options = PastOptions {
            dir: taken.replay().join("as-of"),
            settings: settings.unwrap_or_default(),
            resources,
            snapshots,
        };
        Ok(Self { log, options, _taken: (None, Some(taken)) })
    }

    fn ask(
        &self,
        request: v1::AskAsOfRequest,
        runtime: &Handle,
        stop: &watch::Receiver<bool>,
        told: &mut dyn FnMut(Response),
    ) -> anyhow::Result<()> {
        let question = Question::new(&self.log, request)?;
        let answered = question.answer(&self.log, &self.options, runtime, stop, &mut |response| {
            told(response);
            true
        });
        match answered {
            Err(AsOfError::Unfolded(ProjectorError::Stopped)) => bail!(STOPPED),
            Err(AsOfError::Refused(status)) => Err(status.into()),
            other => Ok(other?),
        }
    }
}

/// What was told so far.
struct Answer {
    progress: Progress,
    quiet: bool,
    /// Of which partition, how many there are to be folded.
    folding: Option<(u32, u64)>,
    receipts: Option<v1::GetMessageReadReceiptsResponse>,
    pages: Vec<v1::GetGroupMessageReadMemberListResponse>,
    states: Option<v1::GetMessageReadStatesResponse>,
}

impl Answer {
    fn new(output: Output) -> Self {
        let progress = Progress::new("records", 0, output.json);
        let quiet = output.json;
        Self { progress, quiet, folding: None, receipts: None, pages: Vec::new(), states: None }
    }

    fn take(&mut self, response: Response) {
        match response {
            Response::Progress(v1::AsOfProgress { partition, folded, total, .. }) => {
                if total > 0 && self.folding != Some((partition, total)) {
                    self.folding = Some((partition, total));
                    self.progress.finish();
                    self.progress = Progress::new("records", total, self.quiet);
                    self.progress.skipped(folded);
                }
                self.progress.at(folded);
            }
            Response::Moment(v1::AsOfMoment { partition, conversations_offset, reads_offset, past_end, snapshot }) => {
                let end = if past_end { "; the log ends before the moment, so this is as of its end" } else { "" };
                let from = if snapshot.is_empty() { String::new() } else { format!(", from the snapshot {snapshot}") };
                let at = format!("{conversations_offset}:{reads_offset}");
                self.progress.say(&format!("as of {at} in partition {partition}{from}{end}"));
            }
            Response::Receipts(response) => self.receipts = Some(response),
            Response::Members(page) => self.pages.push(page),
            Response::States(response) => self.states = Some(response),
        }
    }

    /// As the query's command prints it.
    fn print(mut self, output: Output) -> anyhow::Result<()> {
        if let Some(response) = &self.receipts {
            return Receipts::print(response, output);
        }
        if let Some(response) = &self.states {
            return States::print(response, output);
        }
        let last = self.pages.pop().context("the stream ended without an answer")?;
        let before = self.pages.into_iter().flat_map(|page| page.members);
        let members: Vec<_> = before.chain(last.members.iter().cloned()).collect();
        Members::print(&members, &last, output)
    }
}

/// A time, or offsets.
fn moment(text: &str) -> Result<Moment, String> {
    let offset = |text: &str| text.parse::<u64>().map_err(|why| format!("offset {text:?}: {why}"));
    if let Some((conversations, reads)) = text.split_once(':').filter(|_| !text.contains('-')) {
        let (conversations, reads) = (offset(conversations)?, Some(offset(reads)?));
        return Ok(Moment::Offsets(v1::AsOfOffsets { conversations, reads }));
    }
    if let Some(seconds) = text.strip_prefix('@') {
        let seconds: u64 = seconds.parse().map_err(|why| format!("seconds since 1970 {seconds:?}: {why}"))?;
        return Ok(Moment::Time(timestamp_from_ms(seconds.saturating_mul(1000))));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Moment::Offsets(v1::AsOfOffsets { conversations: offset(text)?, reads: None }));
    }
    let time = humantime::parse_rfc3339(text).map_err(|why| {
        format!("{why}: a moment is a time, as 2026-03-01T12:00:00Z or @SECONDS, or offsets CONVERSATIONS[:READS]")
    })?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "is before 1970".to_owned())?;
    Ok(Moment::Time(timestamp_from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_offsets() {
        let time = |ms| Ok(Moment::Time(timestamp_from_ms(ms)));
        assert_eq!(moment("1970-01-01T00:00:01.250Z"), time(1250));
        assert_eq!(moment("@1772366400"), time(1_772_366_400_000));
        let offsets = |conversations, reads| Ok(Moment::Offsets(v1::AsOfOffsets { conversations, reads }));
        assert_eq!(moment("12:7"), offsets(12, Some(7)));
        assert_eq!(moment("12"), offsets(12, None));
        for wrong in ["", "now", "12:", "-1", "@", "@-5", "2026-03-01", "1969-12-31T23:59:59Z", "1:2:3"] {
            assert!(moment(wrong).is_err(), "{wrong:?}");
        }
    }
}
