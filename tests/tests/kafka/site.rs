//! A receiptd on a broker of the test's own.

use receipt_log::{KafkaOptions, create_topics};
use receipt_tests::{
    broker::Broker,
    server::{DataDir, Server, receiptd_to_its_end},
};

pub(crate) const PARTITIONS: u32 = 4;
/// What the topics' names begin with.
pub(crate) const PREFIX: &str = "chat.";

/// A broker with receiptd's topics, and room for receiptd.
pub(crate) struct Site {
    pub(crate) broker: Broker,
    pub(crate) dir: DataDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let site = Self { broker: Broker::start().await, dir: DataDir::new() };
        create_topics(&site.options(), PARTITIONS, 1).await.unwrap();
        site
    }

    /// How its log is opened beside receiptd.
    pub(crate) fn options(&self) -> KafkaOptions {
        KafkaOptions { topic_prefix: PREFIX.to_owned(), ..KafkaOptions::new(self.broker.bootstrap()) }
    }

    /// Starts receiptd, and waits until it serves.
    pub(crate) async fn serve(&self) -> Server {
        let servers = self.broker.bootstrap();
        Server::start(&self.dir, &Self::flags(&servers)).await
    }

    /// Starts one that need not serve.
    pub(crate) async fn serve_unchecked(&self) -> Server {
        let servers = self.broker.bootstrap();
        Server::start_unchecked(&self.dir, "127.0.0.1:0", &Self::flags(&servers)).await
    }

    /// What a start says that is refused.
    pub(crate) async fn refused(&self, servers: &str, more: &[&str]) -> String {
        let mut flags = Self::flags(servers);
        flags.extend(more);
        let output = receiptd_to_its_end(&self.dir, &flags).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        said
    }

    /// What receiptd is started with.
    pub(crate) fn flags(servers: &str) -> Vec<&str> {
        vec!["--kafka", servers, "--topic-prefix", PREFIX]
    }
}
