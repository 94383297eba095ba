//! `receiptctl topics`: the topics on Kafka that receiptd needs.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    kafka::KafkaArgs,
    output::{Output, table},
};

/// Make the topics on Kafka that receiptd needs.
#[derive(Debug, Args)]
pub(crate) struct Topics {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
}

/// Create the four topics, those that are missing, with the settings that receiptd needs.
///
/// All have the same number of partitions, which stays: keys would move to others. Records are kept for ever, as the
/// log is the truth that all state is folded from; `retention.ms` may be set to no less than twice receiptd's retention.
/// All copies but one, and at least one, must have a record before it is acknowledged (`min.insync.replicas`), and no copy
/// that lacks acknowledged records becomes the leader (`unclean.leader.election.enable=false`): use three copies.
/// receiptd checks all of it when it starts, and says what is wrong. Topics that are there are left as they are.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  receiptctl topics create --kafka 127.0.0.1:9092 --partitions 4
  receiptctl topics create --kafka kafka.example:9093 --partitions 64 --replication-factor 3 --topic-prefix chat. \\
    --kafka-setting security.protocol=SSL")]
struct Create {
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Partitions of each topic, 1 to 1024.
    #[arg(long, value_name = "N")]
    partitions: u32,
    /// Copies of each partition, on so many brokers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    replication_factor: u16,
}

impl Topics {
    pub(crate) async fn run(self, output: Output) -> anyhow::Result<()> {
        let Command::Create(Create { kafka, partitions, replication_factor }) = self.command;
        let topics = receipt_log::create_topics(&kafka.options(), partitions, replication_factor).await?;
        let json: Vec<_> =
            topics.iter().map(|topic| json!({ "topic": topic.name, "created": topic.created })).collect();
        output.print(&json!({ "topics": json }), || {
            let became = |created| if created { "created" } else { "was there" };
            table(["topic", ""], topics.iter().map(|topic| [topic.name.clone(), became(topic.created).to_owned()]))
        })
    }
}
