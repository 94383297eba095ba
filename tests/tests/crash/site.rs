//! One data directory and one address: receiptd there is killed and started again, and its clients come back.

use std::{net::SocketAddr, time::Duration};

use receipt_tests::{
    port,
    random::Random,
    server::{DataDir, Server},
};
use tonic::transport::{Channel, Endpoint};

/// How long folding again may take.
pub(crate) const FOLD_MAX: Duration = Duration::from_secs(120);

/// A number from the environment, or what CI runs.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// A place where receiptd runs.
pub(crate) struct Site {
    dir: DataDir,
    flags: Vec<&'static str>,
    server: Option<Server>,
    pub(crate) addr: SocketAddr,
}

impl Site {
    /// With receiptd serving.
    pub(crate) async fn start(random: &mut Random, flags: &[&'static str]) -> Self {
        let addr = port::lasting(random);
        let mut site = Self { dir: DataDir::new(), flags: flags.to_vec(), server: None, addr };
        site.restart().await;
        site.server().folded(FOLD_MAX).await;
        site
    }

    /// Starts it where it has ended; it need not serve yet.
    async fn restart(&mut self) {
        self.server = Some(Server::start_unchecked(&self.dir, &self.addr.to_string(), &self.flags).await);
    }

    /// Ends it in the middle of what it does, and starts it again.
    pub(crate) async fn kill_9(&mut self) {
        self.server.take().expect("a server").kill_9();
        self.restart().await;
    }

    /// Ends it well, and starts it again.
    pub(crate) async fn term(&mut self) {
        let (status, _) = self.server.take().expect("a server").term().await;
        assert!(status.success(), "{status}");
        self.restart().await;
    }

    /// The running server.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server")
    }

    /// A connection that comes back by itself.
    pub(crate) fn channel(&self) -> Channel {
        channel(self.addr)
    }
}

/// A connection to an address, made when it is first used, and made again when it was lost.
pub(crate) fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("a URL");
    endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)).connect_lazy()
}
