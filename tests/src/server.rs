//! The real receiptd as a child process, on a data directory that goes with the test.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use receipt_proto::v1::{
    self, receipt_admin_service_client::ReceiptAdminServiceClient, receipt_service_client::ReceiptServiceClient,
};
use receipt_test_engine as engine;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{poll::until, small_disk::SmallDisk};

/// How long a start may take, with all of a log folded again.
const START_MAX: Duration = Duration::from_secs(120);
/// How long an orderly end may take.
const END_MAX: Duration = Duration::from_secs(30);

/// A client of the receipt service.
pub type Receipts = ReceiptServiceClient<Channel>;
/// A client of the admin service.
pub type Admin = ReceiptAdminServiceClient<Channel>;

/// One of the workspace's binaries, from where this executable was built to: beside it, or above a test.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this executable");
    let found = this.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run `cargo build --release --workspace` first"))
}

/// A running receiptd; ended with its handle.
pub struct Server {
    child: Child,
    /// What it has printed so far.
    printed: Arc<Mutex<Vec<String>>>,
    /// Its log lines, to be shown where it fails.
    log_file: PathBuf,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Server {
    /// Starts one on `dir` with these further flags, and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start(dir: &DataDir, flags: &[&str]) -> Self {
        let mut server = Self::start_unchecked(dir, "127.0.0.1:0", flags).await;
        server.wait_until_it_serves().await;
        server
    }

    /// Starts one that need not serve, and waits until it listens.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start_unchecked(dir: &DataDir, listen: &str, flags: &[&str]) -> Self {
        topics(dir, flags).await;
        let log_file = dir.path().with_extension("stderr");
        let stderr = File::options().create(true).append(true).open(&log_file).expect("a file for log lines");
        let mut command = receiptd(dir, listen, flags);
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("receiptd starts");
        let stdout = child.stdout.take().expect("standard output");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = printed.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, printed, log_file, addr };
        server.addr = until("receiptd listens", START_MAX, async || {
            server.assert_running();
            let printed = server.printed.lock().unwrap();
            printed.iter().find_map(|line| line.strip_prefix("receiptd listens on ")?.parse().ok())
        })
        .await;
        server
    }

    async fn wait_until_it_serves(&mut self) {
        until("receiptd serves", START_MAX, async || {
            self.assert_running();
            (self.health().await == ServingStatus::Serving).then_some(())
        })
        .await;
    }

    /// What the standard health check says of the whole.
    pub async fn health(&self) -> ServingStatus {
        self.health_of("").await
    }

    /// What the standard health check says of a part.
    pub async fn health_of(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        match HealthClient::new(self.channel()).check(request).await {
            Ok(response) => response.into_inner().status(),
            Err(_) => ServingStatus::Unknown,
        }
    }

    fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().expect("the state of a child") {
            let lines = std::fs::read_to_string(&self.log_file).unwrap_or_default();
            panic!("receiptd has ended with {status}; it logged:\n{lines}");
        }
    }

    /// A connection, made when it is first used.
    ///
    /// # Panics
    /// If the address is no URL.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url()).expect("a URL").tcp_nodelay(true).connect_lazy()
    }

    /// A client of the receipt service.
    #[must_use]
    pub fn receipts(&self) -> Receipts {
        Receipts::new(self.channel())
    }

    /// A client of the admin service.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.channel())
    }

    /// Its address as clients write it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where its partitions stand.
    ///
    /// # Panics
    /// If it does not say.
    pub async fn partitions(&self) -> Vec<v1::PartitionStatus> {
        self.admin().list_partitions(v1::ListPartitionsRequest {}).await.expect("partitions").into_inner().partitions
    }

    /// Where the partitions of the receipt projection stand.
    ///
    /// # Panics
    /// If it does not say.
    pub async fn receipt_partitions(&self) -> Vec<v1::PartitionStatus> {
        let mut partitions = self.partitions().await;
        partitions.retain(|partition| partition.projection() == v1::Projection::Receipts);
        partitions
    }

    /// Waits until all that its log holds is folded; where the partitions of the receipt projection then stand.
    ///
    /// # Panics
    /// If that takes longer than `max`.
    pub async fn folded(&self, max: Duration) -> Vec<v1::PartitionStatus> {
        until("all is folded", max, async || {
            let partitions = self.partitions().await;
            let mut positions = partitions.iter().flat_map(|partition| &partition.positions);
            positions.all(|at| at.applied_offset == at.end_offset).then_some(())
        })
        .await;
        self.receipt_partitions().await
    }

    /// The lines that it has printed to standard output.
    ///
    /// # Panics
    /// Never in practice.
    #[must_use]
    pub fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The names of its threads.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn threads(&self) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        // A thread may end meanwhile.
        let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    /// Waits until it has ended by itself; its exit code.
    ///
    /// # Panics
    /// If it goes on.
    pub async fn ended(mut self) -> Option<i32> {
        until("receiptd ends by itself", END_MAX, async || self.child.try_wait().expect("its state")).await.code()
    }

    /// Ends it in the middle of what it does, as a crash would.
    ///
    /// # Panics
    /// If it cannot be ended.
    pub fn kill_9(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("its end");
    }

    /// Asks it to end; how it did, and how long that took.
    ///
    /// # Panics
    /// If it goes on.
    pub async fn term(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        let status = until("receiptd ends", END_MAX, async || self.child.try_wait().expect("its state")).await;
        (status, start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receiptd(dir: &DataDir, listen: &str, flags: &[&str]) -> Command {
    let receiptd = binary("receiptd");
    let mut command = match &dir.disk {
        Some(disk) => disk.enter(&receiptd),
        None => Command::new(receiptd),
    };
    // In the environment, so that a flag may say otherwise.
    command.env_clear().env("RECEIPTD_LISTEN", listen).arg("--data-dir").arg(dir.path()).args(flags);
    if let Some(servers) = dir.kafka() {
        command.env("RECEIPTD_KAFKA", servers).env("RECEIPTD_TOPIC_PREFIX", engine::topic_prefix(&dir.path()));
    }
    command
}

/// On Kafka, the topics that receiptd with these flags needs: the embedded log makes itself.
async fn topics(dir: &DataDir, flags: &[&str]) {
    let Some(servers) = dir.kafka() else { return };
    let partitions = flags.iter().skip_while(|flag| **flag != "--partitions").nth(1);
    let partitions = partitions.and_then(|number| number.parse().ok()).unwrap_or(4);
    // What a test has asked for wrongly is for receiptd to refuse.
    if (1..=1024).contains(&partitions) {
        let options = engine::kafka_options(servers, &dir.path());
        receipt_log::create_topics(&options, partitions, 1).await.expect("topics");
    }
}

/// Runs receiptd to its end, which has to come by itself.
///
/// # Panics
/// If it goes on.
pub async fn receiptd_to_its_end(dir: &DataDir, flags: &[&str]) -> Output {
    topics(dir, flags).await;
    let mut command = receiptd(dir, "127.0.0.1:0", flags);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("receiptd starts");
    let end = tokio::time::Instant::now() + END_MAX;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while child.try_wait().expect("its state").is_none() {
        if tokio::time::Instant::now() > end {
            let _ = child.kill();
            panic!("receiptd goes on: {:?}", child.wait_with_output());
        }
        ticks.tick().await;
    }
    child.wait_with_output().expect("its output")
}

/// A data directory on a real disk, and beside it room for a test's other files.
pub struct DataDir {
    dir: TempDir,
    /// Its receiptd runs on the log that its flags say, and not on the one that tests run on.
    by_flags: bool,
    disk: Option<SmallDisk>,
}

impl DataDir {
    /// An empty one.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), by_flags: false, disk: None }
    }

    /// An empty one, whose receiptd runs on the log that its flags say: without any, on the embedded one.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    pub fn by_flags() -> Self {
        Self { by_flags: true, ..Self::new() }
    }

    /// An empty one on a disk of its own, with so many MiB, whose receiptd runs on the embedded log.
    ///
    /// # Panics
    /// If there can be no such disk.
    #[must_use]
    pub fn on_a_small_disk(mib: u64) -> Self {
        let dir = Self::by_flags();
        std::fs::create_dir(dir.path()).expect("a directory to mount it on");
        let disk = SmallDisk::new(&dir.path(), mib);
        Self { disk: Some(disk), ..dir }
    }

    /// The disk that it has for itself.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("a disk of its own")
    }

    /// The brokers that its receiptd runs on, if its flags do not say otherwise.
    #[must_use]
    pub fn kafka(&self) -> Option<String> {
        if self.by_flags { None } else { engine::kafka() }
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A file beside it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
