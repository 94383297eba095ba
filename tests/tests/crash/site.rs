//! One data directory and one address: receiptd there is killed and started again, and its clients come back. Its log may
//! be on a broker of its own, which is killed too.

use std::{net::SocketAddr, time::Duration};

use receipt_log::KafkaOptions;
use receipt_tests::{
    broker::Broker,
    port,
    random::Random,
    server::{DataDir, Server},
};
use tonic::transport::{Channel, Endpoint};

/// How long folding again may take.
pub(crate) const FOLD_MAX: Duration = Duration::from_secs(120);

/// Of a log on a broker of its own.
const PARTITIONS: u32 = 4;

/// A number from the environment, or what CI runs.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Broker,
    Both,
}

/// A place where receiptd runs.
pub(crate) struct Site {
    dir: DataDir,
    flags: Vec<String>,
    server: Option<Server>,
    broker: Option<Broker>,
    pub(crate) addr: SocketAddr,
}

impl Site {
    /// With receiptd serving.
    pub(crate) async fn start(random: &mut Random, flags: &[&'static str]) -> Self {
        Self::starting(random, flags.iter().map(|flag| (*flag).to_owned()).collect(), None).await
    }

    /// With receiptd serving on a broker of its own.
    pub(crate) async fn on_broker(random: &mut Random, flags: &[&'static str]) -> Self {
        let broker = Broker::start().await;
        receipt_log::create_topics(&KafkaOptions::new(broker.bootstrap()), PARTITIONS, 1).await.expect("topics");
        let kafka = ["--kafka".to_owned(), broker.bootstrap(), "--topic-prefix=".to_owned()];
        let flags = flags.iter().map(|flag| (*flag).to_owned()).chain(kafka).collect();
        Self::starting(random, flags, Some(broker)).await
    }

    async fn starting(random: &mut Random, flags: Vec<String>, broker: Option<Broker>) -> Self {
        let addr = port::lasting(random);
        let mut site = Self { dir: DataDir::new(), flags, server: None, broker, addr };
        site.restart().await;
        site.server().folded(FOLD_MAX).await;
        site
    }

    /// Starts it where it has ended; it need not serve yet.
    async fn restart(&mut self) {
        self.server = Some(start(&self.dir, self.addr, &self.flags).await);
    }

    /// Ends one or both in the middle of what they do, and starts them again.
    pub(crate) async fn kill_9(&mut self, victim: Victim) {
        match victim {
            Victim::Server => {
                self.server.take().expect("a server").kill_9();
                self.restart().await;
            }
            Victim::Broker => {
                let broker = self.broker.as_mut().expect("a broker");
                broker.kill_9();
                broker.restart().await;
            }
            Victim::Both => {
                let broker = self.broker.as_mut().expect("a broker");
                self.server.take().expect("a server").kill_9();
                broker.kill_9();
                // receiptd waits for its broker.
                let server = start(&self.dir, self.addr, &self.flags);
                let (server, ()) = tokio::join!(server, broker.restart());
                self.server = Some(server);
            }
        }
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

async fn start(dir: &DataDir, addr: SocketAddr, flags: &[String]) -> Server {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Server::start_unchecked(dir, &addr.to_string(), &flags).await
}

/// A connection to an address, made when it is first used, and made again when it was lost.
pub(crate) fn channel(addr: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("a URL");
    endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)).connect_lazy()
}
