//! A proxy that drops connections half way: each after so many bytes to the client.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use receipt_tests::random::Random;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running proxy; it takes no more connections once dropped.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    pub(crate) cuts: Arc<AtomicU64>,
    /// While it holds, no connection is cut.
    pub(crate) calm: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Between clients and `to`; cuts after up to `bytes_max` bytes.
    pub(crate) async fn start(to: SocketAddr, seed: u64, bytes_max: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (cuts, calm) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let random = Arc::new(Mutex::new(Random::new(seed)));
        let (counted, is_calm) = (cuts.clone(), calm.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let budget = 1 + random.lock().unwrap().below(bytes_max);
                let (counted, is_calm) = (counted.clone(), is_calm.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(to).await
                        && relay(client, server, budget, &is_calm).await
                    {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { addr, cuts, calm, task }
    }
}

/// Passes bytes on until either side ends, or the budget is used up: whether it was.
async fn relay(mut client: TcpStream, mut server: TcpStream, mut budget: u64, calm: &AtomicBool) -> bool {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut buffer = [0; 4096];
        loop {
            let read = from_server.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return false;
            }
            let passed = if calm.load(Ordering::Relaxed) { read } else { read.min(usize::try_from(budget).unwrap()) };
            if to_client.write_all(&buffer[..passed]).await.is_err() {
                return false;
            }
            if passed < read {
                return true;
            }
            budget = budget.saturating_sub(passed as u64);
        }
    };
    tokio::select! {
        _ = up => false,
        cut = down => cut,
    }
}
