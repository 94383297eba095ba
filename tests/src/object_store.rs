//! A real server of an S3-compatible object store as a child process, on a free port of loopback and with objects that go
//! with the test.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{poll::until, port, random::Random, tool::OBJECT_STORE};

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(60);
/// Its only bucket.
const BUCKET: &str = "backups";

/// A server with one bucket; ended with its handle, and its objects with it.
pub struct ObjectStore {
    dir: TempDir,
    addr: SocketAddr,
    child: Child,
}

impl ObjectStore {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// If it does not, or if it is not installed.
    pub async fn start() -> Self {
        let program = OBJECT_STORE.installed().join("bin/s3s-fs");
        let mut random = Random::unseeded();
        let addr = port::lasting(&mut random);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().join("root");
        fs::create_dir_all(root.join(BUCKET)).expect("a bucket");
        let log = File::create(dir.path().join("log")).expect("a file for log lines");
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &addr.port().to_string()]);
        command.args(["--access-key", "test", "--secret-key", "secret"]).arg(&root);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = command.spawn().expect("s3s-fs starts");
        let mut server = Self { dir, addr, child };
        until("the object store answers", START_MAX, async || {
            if let Some(status) = server.child.try_wait().expect("the state of a child") {
                let lines = fs::read_to_string(server.dir.path().join("log")).unwrap_or_default();
                panic!("s3s-fs has ended with {status}; it logged:\n{lines}");
            }
            TcpStream::connect(server.addr).await.ok().map(|_| ())
        })
        .await;
        server
    }

    /// A place for snapshots in it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/prefix")
    }

    /// Where that place's objects are, as files.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("root").join(BUCKET).join("prefix")
    }

    /// The environment that says where it is.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT", format!("http://{}", self.addr)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
