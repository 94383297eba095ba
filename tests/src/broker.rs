//! A real Kafka broker as a child process, on free ports of loopback and with data that goes with the test.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{document::repository, poll::until, port, random::Random, tool::KAFKA};

/// How long a start may take, also where several start at once.
const START_MAX: Duration = Duration::from_secs(120);
/// How long an orderly end may take.
const END_MAX: Duration = Duration::from_secs(60);
/// How long one question for its topics may take.
const ASK_MAX: Duration = Duration::from_secs(2);

/// A broker; ended with its handle, and its data with it.
pub struct Broker {
    dir: TempDir,
    addr: SocketAddr,
    controller: SocketAddr,
    /// None while it is down.
    child: Option<Child>,
}

impl Broker {
    /// Starts one without topics, and waits until it answers.
    ///
    /// # Panics
    /// If it does not, or if Kafka is not installed.
    pub async fn start() -> Self {
        // Asked for here, as its message says what to do.
        let _ = KAFKA.installed();
        let mut random = Random::unseeded();
        let addr = port::lasting(&mut random);
        let mut controller = port::lasting(&mut random);
        while controller == addr {
            controller = port::lasting(&mut random);
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut broker = Self { dir, addr, controller, child: None };
        broker.restart().await;
        broker
    }

    /// Starts it again where it was, with the data that it had, and waits until it answers for all of its partitions.
    ///
    /// # Panics
    /// If it does not, or if it is not down.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "the broker is not down");
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a file for log lines");
        let mut command = Command::new(repository().join("tests/kafka/broker"));
        command.arg(self.dir.path().join("data"));
        command.args([self.addr.port().to_string(), self.controller.port().to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        self.child = Some(command.spawn().expect("tests/kafka/broker starts"));
        until("the broker answers", START_MAX, async || {
            self.assert_running();
            // A client would wait long between its attempts.
            TcpStream::connect(self.addr).await.ok()?;
            let bootstrap = self.bootstrap();
            tokio::task::spawn_blocking(move || leads_all(&bootstrap)).await.expect("an answer").then_some(())
        })
        .await;
    }

    /// Ends it in the middle of what it does, as a crash would. Its data stays.
    ///
    /// # Panics
    /// If it is down.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().expect("a broker that is up");
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
    }

    /// Asks it to end, and waits until it has. Its data stays.
    ///
    /// # Panics
    /// If it is down, or goes on.
    pub async fn stop(&mut self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let child = self.child.as_mut().expect("a broker that is up");
        until("the broker ends", END_MAX, async || child.try_wait().expect("its state")).await;
        self.child = None;
    }

    /// Loses all records of a partition, as a disk may.
    ///
    /// # Panics
    /// If it is up, or has no such partition.
    pub fn lose(&self, topic: &str, partition: u32) {
        assert!(self.child.is_none(), "the broker is not down");
        let dir = self.dir.path().join("data/data").join(format!("{topic}-{partition}"));
        for file in std::fs::read_dir(dir).expect("the partition's directory") {
            let path = file.expect("a file").path();
            // What is left is which topic it is.
            if path.file_name().is_some_and(|name| name != "partition.metadata") {
                std::fs::remove_file(path).expect("removed");
            }
        }
    }

    /// Loses the batch of records that begins at an offset, from the middle of a partition.
    ///
    /// # Panics
    /// If it is up, or has no such batch.
    pub fn cut(&self, topic: &str, partition: u32, offset: u64) {
        self.keep(topic, partition, |first| first != offset);
    }

    /// Loses all batches of records from the one that begins at an offset, so that the partition ends there: as where a
    /// replica that was behind becomes the leader.
    ///
    /// # Panics
    /// If it is up, or has no such batch.
    pub fn truncate(&self, topic: &str, partition: u32, offset: u64) {
        self.keep(topic, partition, |first| first < offset);
    }

    /// Keeps of a partition the batches of records of whose first offset this is true.
    fn keep(&self, topic: &str, partition: u32, kept: impl Fn(u64) -> bool) {
        assert!(self.child.is_none(), "the broker is not down");
        let dir = self.dir.path().join("data/data").join(format!("{topic}-{partition}"));
        let segment = dir.join(format!("{:020}.log", 0));
        let (bytes, mut left, mut at) = (std::fs::read(&segment).expect("a segment"), Vec::new(), 0);
        // A batch has its first offset in 8 bytes, and its length behind itself in 4.
        while let Some(head) = bytes.get(at..at + 12) {
            let first = u64::from_be_bytes(head[..8].try_into().unwrap());
            let length = usize::try_from(u32::from_be_bytes(head[8..].try_into().unwrap())).unwrap();
            let batch = &bytes[at..at + 12 + length];
            if kept(first) {
                left.extend_from_slice(batch);
            }
            at += batch.len();
        }
        assert!(left.len() < bytes.len(), "no batch of {topic}/{partition} is lost");
        std::fs::write(&segment, left).expect("written");
        // The broker makes them again.
        for index in ["index", "timeindex"] {
            std::fs::remove_file(segment.with_extension(index)).expect("an index");
        }
    }

    /// Where clients find it.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.addr.to_string()
    }

    /// Its process.
    ///
    /// # Panics
    /// If it is down.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a broker that is up").id()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn assert_running(&mut self) {
        let child = self.child.as_mut().expect("a broker that is up");
        if let Some(status) = child.try_wait().expect("the state of a child") {
            let lines = std::fs::read_to_string(self.log_file()).unwrap_or_default();
            panic!("the broker has ended with {status}; it logged:\n{lines}");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// It knows itself, and leads every partition of its topics.
fn leads_all(bootstrap: &str) -> bool {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a client");
    consumer.client().fetch_metadata(None, ASK_MAX).is_ok_and(|answer| {
        let mut partitions = answer.topics().iter().flat_map(|topic| topic.partitions());
        !answer.brokers().is_empty() && partitions.all(|partition| partition.leader() >= 0)
    })
}
