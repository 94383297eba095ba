//! `receiptctl partitions`: where each partition stands.

use anyhow::bail;
use clap::Args;
use receipt_proto::v1;
use serde_json::{Value, json};

use crate::{
    client,
    output::{Output, table},
    render,
};

/// Positions, lag and sizes of each partition that the server serves, and why one does not serve.
///
/// Applied is the next offset to be applied, end the log's end, lag their difference, durable what a crash would come
/// back to.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl partitions
  receiptctl partitions --check --json > /dev/null || echo 'receiptd is not well'
  receiptctl partitions --json | jq '[.partitions[].positions[].lag] | add'")]
pub(crate) struct Partitions {
    /// Exit with 1 unless all of them serve and the log takes records, and say what does not: for scripts and probes.
    #[arg(long)]
    check: bool,
}

impl Partitions {
    pub(crate) async fn run(self, addr: &str, output: Output) -> anyhow::Result<()> {
        let response = client::admin(addr)?.list_partitions(v1::ListPartitionsRequest {}).await?.into_inner();
        let json = json!({
            "partitions": response.partitions.iter().map(partition_json).collect::<Vec<_>>(),
            "log_refuses": response.log_refuses,
        });
        output.print(&json, || {
            let positions = ["projection", "partition", "topic", "applied", "end", "lag", "durable"];
            let positions = table(positions, response.partitions.iter().flat_map(position_rows));
            let sizes = ["projection", "partition", "conversations", "messages", "receipts", "disk bytes", "sealed"];
            let sizes = table(sizes, response.partitions.iter().map(size_row));
            let log = match response.log_refuses.as_str() {
                "" => String::new(),
                why => format!("\nthe log refuses records: {why}"),
            };
            format!("{positions}\n{sizes}{log}")
        })?;
        match wrong(&response) {
            wrong if self.check && !wrong.is_empty() => bail!("{}", wrong.join("; ")),
            _ => Ok(()),
        }
    }
}

/// What does not serve, and why.
fn wrong(response: &v1::ListPartitionsResponse) -> Vec<String> {
    let unserved = response.partitions.iter().filter(|partition| !partition.sealed.is_empty());
    let unserved =
        unserved.map(|partition| format!("{} {}: {}", projection(partition), partition.partition, partition.sealed));
    let log = Some(&response.log_refuses).filter(|why| !why.is_empty());
    unserved.chain(log.map(|why| format!("the log refuses records: {why}"))).collect()
}

fn projection(partition: &v1::PartitionStatus) -> &'static str {
    render::short(partition.projection().as_str_name(), "PROJECTION_")
}

fn lag(position: &v1::TopicPosition) -> u64 {
    position.end_offset.saturating_sub(position.applied_offset)
}

fn partition_json(partition: &v1::PartitionStatus) -> Value {
    let positions = partition.positions.iter().map(|position| {
        json!({
            "topic": position.topic,
            "applied_offset": position.applied_offset,
            "end_offset": position.end_offset,
            "lag": lag(position),
            "durable_offset": position.durable_offset,
        })
    });
    json!({
        "projection": projection(partition),
        "partition": partition.partition,
        "positions": positions.collect::<Vec<_>>(),
        "conversations": partition.conversations,
        "messages": partition.messages,
        "receipts": partition.receipts,
        "disk_bytes": partition.disk_bytes,
        "sealed": partition.sealed,
    })
}

fn position_rows(partition: &v1::PartitionStatus) -> impl Iterator<Item = [String; 7]> {
    partition.positions.iter().map(|position| {
        [
            projection(partition).to_owned(),
            partition.partition.to_string(),
            position.topic.clone(),
            position.applied_offset.to_string(),
            position.end_offset.to_string(),
            lag(position).to_string(),
            position.durable_offset.to_string(),
        ]
    })
}

fn size_row(partition: &v1::PartitionStatus) -> [String; 7] {
    [
        projection(partition).to_owned(),
        partition.partition.to_string(),
        partition.conversations.to_string(),
        partition.messages.to_string(),
        partition.receipts.to_string(),
        partition.disk_bytes.to_string(),
        partition.sealed.clone(),
    ]
}
