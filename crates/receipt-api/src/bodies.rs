//! Request bodies: what all that are in flight may hold in memory, and how long the reading of one may take.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::Frame;
use metrics::{counter, gauge};
use receipt_domain::limits::{PUBLISH_EVENTS_MAX, REQUEST_MAX_BYTES};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};
use tonic::{Status, body::Body};

use crate::{
    entries::{Entries, List},
    error,
};

/// gRPC puts a flag and the length before each message.
const PREFIX_BYTES: usize = 5;
/// How long a body waits for memory.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// One connection may have this part of the memory, so that one client cannot take it all.
const CONNECTION_PART: usize = 8;
const EVENTS: List = List { field: "events", number: 1, max: PUBLISH_EVENTS_MAX };

/// What bodies may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of all that are in flight: from their first byte until their call is answered.
    pub bytes: usize,
    /// From the head of a request to the end of its body.
    pub time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 256 << 20, time: Duration::from_secs(30) }
    }
}

/// The memory of all bodies.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    limits: BodyLimits,
    memory: Arc<Semaphore>,
}

/// The memory of one connection's bodies.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionMemory(Arc<Semaphore>);

/// What a call keeps of the memory until it is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<OnceLock<Taken>>);

/// Bytes of a connection and of all.
#[derive(Debug)]
struct Taken {
    bytes: f64,
    _of: [Option<OwnedSemaphorePermit>; 2],
}

impl Bodies {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self { limits, memory: Arc::new(Semaphore::new(permits(limits.bytes))) }
    }

    /// That of a new connection.
    pub(crate) fn of_connection(&self) -> ConnectionMemory {
        let bytes = (self.limits.bytes / CONNECTION_PART).max(REQUEST_MAX_BYTES);
        ConnectionMemory(Arc::new(Semaphore::new(permits(bytes))))
    }

    /// A body that keeps to the limits, and what its call is to hold until it is answered.
    pub(crate) fn limited(&self, body: Body, method: &str, connection: Option<&ConnectionMemory>) -> (Body, Held) {
        let held = Held::default();
        let list = matches!(method, "PublishConversationEvents" | "PublishReadEvents").then_some(EVENTS);
        let limited = Limited {
            body,
            memory: self.memory.clone(),
            of_connection: connection.map(|connection| connection.0.clone()),
            held: held.clone(),
            prefix: Prefix::default(),
            entries: Entries::new(list),
            taking: None,
            ends: Box::pin(sleep(self.limits.time)),
            time: self.limits.time,
        };
        (Body::new(limited), held)
    }
}

fn permits(bytes: usize) -> usize {
    bytes.min(Semaphore::MAX_PERMITS)
}

impl Drop for Taken {
    fn drop(&mut self) {
        gauge!("receiptd_request_body_bytes").decrement(self.bytes);
    }
}

/// What stands before a message, as it comes.
#[derive(Debug, Default)]
struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl Prefix {
    /// Takes what belongs to it off these bytes. The message's length, where they complete it.
    fn take(&mut self, bytes: &mut Bytes) -> Option<usize> {
        let missing = PREFIX_BYTES - self.known;
        if missing == 0 {
            return None;
        }
        let taken = missing.min(bytes.len());
        self.bytes[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
        bytes.advance(taken);
        self.known += taken;
        if self.known < PREFIX_BYTES {
            return None;
        }
        let [_, length @ ..] = self.bytes;
        self.left = u32::from_be_bytes(length) as usize;
        Some(self.left)
    }
}

type Taking = Pin<Box<dyn Future<Output = Result<Taken, Status>> + Send>>;

struct Limited {
    body: Body,
    memory: Arc<Semaphore>,
    of_connection: Option<Arc<Semaphore>>,
    held: Held,
    prefix: Prefix,
    entries: Entries,
    /// The frame that waits for memory.
    taking: Option<(Taking, Frame<Bytes>)>,
    ends: Pin<Box<Sleep>>,
    time: Duration,
}

impl Limited {
    /// Looks at data before it is given on. Where its message begins, it waits for the memory of all of it.
    fn look(&mut self, data: &Bytes) -> Result<Option<Taking>, Status> {
        let mut rest = data.clone();
        let begins = self.prefix.take(&mut rest);
        if rest.len() > self.prefix.left {
            return Err(error::undecodable("the request has more than one message"));
        }
        self.prefix.left -= rest.len();
        // Compressed, it is refused.
        if self.prefix.bytes[0] == 0 {
            self.entries.take(&rest).map_err(|many| error::too_many_entries(many.field, many.max))?;
        }
        let Some(length) = begins else { return Ok(None) };
        if length > REQUEST_MAX_BYTES {
            return Err(error::request_too_large());
        }
        Ok(Some(Box::pin(take(self.of_connection.clone(), self.memory.clone(), length + PREFIX_BYTES))))
    }
}

/// Memory for a whole message: who has a part of it never waits for the rest, so all of them end.
async fn take(connection: Option<Arc<Semaphore>>, all: Arc<Semaphore>, bytes: usize) -> Result<Taken, Status> {
    let permits = u32::try_from(bytes).map_err(|_| error::request_too_large())?;
    let taking = async {
        let connection = match connection {
            Some(connection) => Some(connection.acquire_many_owned(permits).await.ok()?),
            None => None,
        };
        Some([connection, Some(all.acquire_many_owned(permits).await.ok()?)])
    };
    let Ok(Some(of)) = timeout(WAIT_MAX, taking).await else {
        counter!("receiptd_requests_shed_total", "reason" => "request_memory").increment(1);
        return Err(error::no_memory_for_bodies());
    };
    let bytes = f64::from(permits);
    gauge!("receiptd_request_body_bytes").increment(bytes);
    Ok(Taken { bytes, _of: of })
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = match this.taking.take() {
            None => match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Pending => return this.still_waits(cx),
                ended => return ended,
            },
            Some((mut taking, frame)) => match taking.as_mut().poll(cx) {
                Poll::Ready(taken) => {
                    // There is one message, so that this is the only time.
                    let _ = this.held.0.set(taken?);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Pending => {
                    this.taking = Some((taking, frame));
                    return this.still_waits(cx);
                }
            },
        };
        let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
        match this.look(data)? {
            None => Poll::Ready(Some(Ok(frame))),
            Some(taking) => {
                this.taking = Some((taking, frame));
                Pin::new(this).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taking.is_none() && self.body.is_end_stream()
    }
}

impl Limited {
    fn still_waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        self.ends.as_mut().poll(cx).map(|()| Some(Err(error::body_too_slow(self.time))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body::Body as _;
    use tonic::Code;

    use super::*;

    /// Pieces, and then an end or nothing more.
    struct Pieces(VecDeque<Vec<u8>>, bool);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.0.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn message(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0][..], &length, bytes].concat()
    }

    fn body(bytes: &[u8], piece: usize, ends: bool) -> Body {
        Body::new(Pieces(bytes.chunks(piece).map(<[u8]>::to_vec).collect(), ends))
    }

    async fn read(mut body: Body) -> Result<Vec<u8>, Status> {
        let mut read = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            read.extend(frame?.into_data().unwrap());
        }
        Ok(read)
    }

    fn limits(bytes: usize, time: Duration) -> Bodies {
        Bodies::new(BodyLimits { bytes, time })
    }

    #[tokio::test]
    async fn a_body_comes_through_as_it_is_and_its_memory_is_given_back_with_its_call() {
        let bodies = limits(1000, Duration::from_secs(9));
        let sent = message(&[&[0x12, 20][..], &[7; 20]].concat());
        for piece in [1, 3, 6, 100] {
            let (limited, held) = bodies.limited(body(&sent, piece, true), "SendMessageReadReceipts", None);
            assert_eq!(read(limited).await.unwrap(), sent);
            assert_eq!(bodies.memory.available_permits(), 1000 - sent.len());
            drop(held);
            assert_eq!(bodies.memory.available_permits(), 1000);
        }
    }

    #[tokio::test]
    async fn who_finds_no_memory_is_told_to_come_again() {
        let bodies = limits(100, Duration::from_secs(9));
        let sent = message(&[&[0x12, 60][..], &[7; 60]].concat());
        let (first, held) = bodies.limited(body(&sent, 10, true), "x", None);
        read(first).await.unwrap();
        let (second, _) = bodies.limited(body(&sent, 10, true), "x", None);
        let refused = read(second).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        drop(held);
        let (third, _) = bodies.limited(body(&sent, 10, true), "x", None);
        assert!(read(third).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up_and_gives_its_memory_back() {
        let bodies = limits(100, Duration::from_millis(20));
        let sent = message(&[7; 60]);
        for so_far in [&[][..], &sent[..3], &sent[..20]] {
            let (stalled, held) = bodies.limited(body(so_far, 10, false), "x", None);
            let refused = read(stalled).await.unwrap_err();
            assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
            drop(held);
            assert_eq!(bodies.memory.available_permits(), 100);
        }
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused_before_it_is_there() {
        let bodies = limits(1 << 30, Duration::from_secs(9));
        let events = message(&[0x0a, 0].repeat(PUBLISH_EVENTS_MAX + 1));
        let (limited, _) = bodies.limited(body(&events, 700, true), "PublishReadEvents", None);
        let refused = read(limited).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("events has more than 1000 entries"), "{refused}");

        let mut large = vec![0];
        large.extend(u32::try_from(REQUEST_MAX_BYTES + 1).unwrap().to_be_bytes());
        let (limited, _) = bodies.limited(body(&large, 9, false), "x", None);
        assert_eq!(read(limited).await.unwrap_err().code(), Code::InvalidArgument);

        let two = [message(&[]), message(&[])].concat();
        let (limited, _) = bodies.limited(body(&two, 9, true), "x", None);
        assert_eq!(read(limited).await.unwrap_err().code(), Code::InvalidArgument);
    }
}
