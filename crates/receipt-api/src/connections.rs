//! Connections: how many there may be at a time, and how long one may keep its place without a word.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use metrics::{counter, gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::bodies::ConnectionMemory;

/// What a client has to send first: the preface of HTTP/2, or a request line of HTTP/1.
const FIRST_WORDS_BYTES: usize = 24;
/// How long it may take for that.
const FIRST_WORDS_MAX: Duration = Duration::from_secs(10);
/// How long nothing is accepted after it failed, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Refusals of one kind are logged no more often.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The connections of a listener.
pub struct Connections {
    listener: TcpListener,
    name: &'static str,
    places: Arc<Semaphore>,
    max: usize,
    first_words_max: Duration,
    pause: Duration,
    /// When it was last logged that there is no place, and that accepting fails.
    logged: [Option<Instant>; 2],
}

impl Connections {
    /// Those of a listener, at most so many at a time; the name is what metrics and log lines call it.
    #[must_use]
    pub fn new(listener: TcpListener, name: &'static str, max: usize) -> Self {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let first_words_max = FIRST_WORDS_MAX;
        Self { listener, name, places, max, first_words_max, pause: PAUSE_MIN, logged: [None; 2] }
    }

    /// The next one that there is a place for. One that there is none for is closed at once, as who waits without being told
    /// would wait for nothing. Where the system gives no more of them, this tries again after a pause.
    pub async fn accept(&mut self) -> Connection {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.pause = PAUSE_MIN;
                    let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                        drop(stream);
                        let max = self.max;
                        self.refused(Refusal::NoPlace, &format_args!("there are {max} already"));
                        continue;
                    };
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection that is closed already");
                    }
                    return Connection::new(stream, Place::new(self.name, place), self.first_words_max);
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    self.refused(Refusal::Failed, &error);
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn refused(&mut self, refusal: Refusal, why: &dyn std::fmt::Display) {
        let reason = match refusal {
            Refusal::NoPlace => "no_place",
            Refusal::Failed => "accept_failed",
        };
        counter!("receiptd_connections_refused_total", "listener" => self.name, "reason" => reason).increment(1);
        let logged = &mut self.logged[refusal as usize];
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_PAUSE) {
            *logged = Some(Instant::now());
            tracing::warn!(listener = self.name, %why, "connections are refused; this is logged once a minute");
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoPlace,
    Failed,
}

/// Whether a client has gone while it waited, and nothing else is wrong.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What a connection keeps others from.
struct Place {
    listener: &'static str,
    _place: OwnedSemaphorePermit,
}

impl Place {
    fn new(listener: &'static str, place: OwnedSemaphorePermit) -> Self {
        gauge!("receiptd_connections", "listener" => listener).increment(1.0);
        Self { listener, _place: place }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("receiptd_connections", "listener" => self.listener).decrement(1.0);
    }
}

/// One connection. It ends by itself where its client says nothing at first.
pub struct Connection {
    stream: TcpStream,
    /// `None` once the first words are there.
    silence: Option<Silence>,
    place: Place,
    memory: Option<ConnectionMemory>,
}

/// What each request is given of its connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Who is at its other end.
    pub(crate) tcp: TcpConnectInfo,
    /// What its requests may take together.
    pub(crate) memory: Option<ConnectionMemory>,
}

struct Silence {
    bytes_read: usize,
    ends: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(stream: TcpStream, place: Place, first_words_max: Duration) -> Self {
        let silence = Silence { bytes_read: 0, ends: Box::pin(sleep(first_words_max)) };
        Self { stream, silence: Some(silence), place, memory: None }
    }

    /// With what its requests may take together.
    pub(crate) fn with_memory(self, memory: ConnectionMemory) -> Self {
        Self { memory: Some(memory), ..self }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(silence) = &mut self.silence else { return polled };
        silence.bytes_read += buf.filled().len() - before;
        if silence.bytes_read >= FIRST_WORDS_BYTES {
            self.silence = None;
        } else if polled.is_pending() {
            ready!(silence.ends.as_mut().poll(cx));
            let listener = self.place.listener;
            counter!("receiptd_connections_refused_total", "listener" => listener, "reason" => "silent").increment(1);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        ConnectionInfo { tcp: self.stream.connect_info(), memory: self.memory.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    #[tokio::test]
    async fn one_too_many_is_closed_at_once_and_there_is_a_place_again() {
        let (listener, addr) = listener().await;
        let mut connections = Connections::new(listener, "test", 1);
        let mut client = TcpStream::connect(addr).await.unwrap();
        let first = connections.accept().await;
        let mut second = TcpStream::connect(addr).await.unwrap();
        let mut third = {
            let accepting = connections.accept();
            tokio::pin!(accepting);
            let mut byte = [0];
            tokio::select! {
                biased;
                _ = &mut accepting => panic!("there is no place for it"),
                closed = second.read(&mut byte) => assert!(!matches!(closed, Ok(1..)), "{closed:?}"),
            }
            drop(first);
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            client = TcpStream::connect(addr).await.unwrap();
            accepting.await
        };
        client.write_all(b"hello").await.unwrap();
        let mut said = [0; 5];
        third.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
    }

    #[tokio::test]
    async fn who_says_nothing_is_closed() {
        const SHORT: Duration = Duration::from_millis(50);
        let (listener, addr) = listener().await;
        let mut connections = Connections::new(listener, "test", 1);
        connections.first_words_max = SHORT;
        for words in [&b""[..], &[b'x'; FIRST_WORDS_BYTES - 1]] {
            let mut client = TcpStream::connect(addr).await.unwrap();
            let mut connection = connections.accept().await;
            client.write_all(words).await.unwrap();
            let (mut read, start) = (Vec::new(), Instant::now());
            let error = connection.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((error.kind(), read.as_slice()), (io::ErrorKind::TimedOut, words));
            assert!(start.elapsed() >= SHORT / 2);
        }
        // Who has begun may be as quiet as it likes.
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(&[b'x'; FIRST_WORDS_BYTES]).await.unwrap();
        let mut connection = connections.accept().await;
        connection.read_exact(&mut [0; FIRST_WORDS_BYTES]).await.unwrap();
        let quiet = tokio::time::timeout(SHORT * 3, connection.read(&mut [0])).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
}
