//! What librdkafka can do and `rdkafka` does not offer: a partition's own queue read in batches, the end as last seen,
//! and topic ids. The only unsafe code of the workspace; each function says what makes it sound.
#![allow(unsafe_code)]

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;

use super::context::Context;

/// Called by one of librdkafka's threads when there is something in a queue that was empty.
type Waker = Box<dyn Fn() + Send + Sync>;

/// The queue of one partition of a consumer: what is fetched goes here, and nowhere else.
pub(super) struct PartitionQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Called by the queue; on the heap, so that its place does not change.
    waker: Box<Waker>,
    /// The queue is part of it.
    _consumer: Arc<BaseConsumer<Context>>,
}

// SAFETY: librdkafka's queues are locked inside; the waker is Send and Sync.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Of a partition that is assigned after this, never before: what was fetched already would be in another queue.
    /// `None` for a topic that can't be.
    pub(super) fn split(
        consumer: Arc<BaseConsumer<Context>>,
        topic: &str,
        partition: i32,
        waker: Waker,
    ) -> Option<PartitionQueue> {
        let topic = CString::new(topic).ok()?;
        let rk = consumer.client().native_ptr();
        // SAFETY: the consumer lives as long as the queue. The callback gets a pointer to the waker in its box, which is
        // dropped only after the callback was taken away and the queue given back.
        unsafe {
            let queue = NonNull::new(sys::rd_kafka_queue_get_partition(rk, topic.as_ptr(), partition))?;
            sys::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            let split = PartitionQueue { queue, waker: Box::new(waker), _consumer: consumer };
            let opaque = ptr::from_ref::<Waker>(&split.waker).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(wake), opaque);
            Some(split)
        }
    }

    /// What is there, at most `max`; waits for it at most so long.
    pub(super) fn take(&self, max: usize, wait: Duration) -> Vec<Message> {
        let mut taken: Vec<*mut sys::rd_kafka_message_t> = vec![ptr::null_mut(); max];
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is live, and there is room for `max` pointers, of which as many are set as it returns.
        let count = unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, taken.as_mut_ptr(), max) };
        taken.truncate(usize::try_from(count).unwrap_or(0));
        taken.into_iter().filter_map(NonNull::new).map(Message::new).collect()
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is live. Taking the callback away waits for the queue's lock, under which it is called, so
        // that nobody calls it afterwards. The fields are dropped after this.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: the pointer that `PartitionQueue::split` gave, to a waker that is still there.
    let waker = unsafe { &*opaque.cast::<Waker>() };
    waker();
}

/// A record as librdkafka has it, or an event such as the end of the partition.
pub(super) struct Message {
    message: NonNull<sys::rd_kafka_message_t>,
    /// Once somebody has asked for them.
    headers: OnceCell<Headers>,
}

/// Names and values, in order.
type Headers = Vec<(String, Bytes)>;

// SAFETY: the message is its owner's alone, and may be given back on any thread.
unsafe impl Send for Message {}

impl Message {
    fn new(message: NonNull<sys::rd_kafka_message_t>) -> Message {
        Message { message, headers: OnceCell::new() }
    }

    fn get(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: it is live until it is dropped.
        unsafe { self.message.as_ref() }
    }

    /// Why it is no record.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        let code = RDKafkaErrorCode::from(self.get().err);
        (code != RDKafkaErrorCode::NoError).then_some(code)
    }

    /// Its offset; of the end of the partition, the next one.
    pub(super) fn offset(&self) -> u64 {
        u64::try_from(self.get().offset).unwrap_or(0)
    }

    /// Milliseconds since 1970; `None` where it has none.
    pub(super) fn timestamp_ms(&self) -> Option<u64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a live message, and a place for the kind.
        let timestamp_ms = unsafe { sys::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        u64::try_from(timestamp_ms).ok()
    }

    /// The leader epoch that it was written under; `None` in formats that have none.
    pub(super) fn leader_epoch(&self) -> Option<u32> {
        // SAFETY: a live message of a consumer.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.message.as_ptr()) };
        u32::try_from(epoch).ok()
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: the message's own bytes, borrowed as long as it.
        unsafe { slice(message.key, message.key_len) }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: the message's own bytes, borrowed as long as it.
        unsafe { slice(message.payload, message.len) }
    }

    /// Names and values of its headers, in order.
    pub(super) fn headers(&self) -> &[(String, Bytes)] {
        self.headers.get_or_init(|| self.copy_headers())
    }

    /// As [`Message::headers`], without a copy of what was asked for before. For once only: librdkafka has given its own up.
    pub(super) fn take_headers(&mut self) -> Headers {
        self.headers.take().unwrap_or_else(|| self.copy_headers())
    }

    /// Copies the headers, and gives librdkafka's own back, which take 50 times as much memory as on the wire.
    fn copy_headers(&self) -> Headers {
        let mut headers = ptr::null_mut();
        let mut all = Vec::new();
        // SAFETY: a live message, whose headers are detached once, as they are kept from then on, and given back here
        // after they have been copied. Names are C strings.
        unsafe {
            if !is_ok(sys::rd_kafka_message_detach_headers(self.message.as_ptr(), &raw mut headers)) {
                return all;
            }
            loop {
                let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
                let index = all.len();
                let found = sys::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut len);
                if !is_ok(found) {
                    break;
                }
                let name = CStr::from_ptr(name).to_string_lossy().into_owned();
                all.push((name, Bytes::copy_from_slice(slice(value, len).unwrap_or_default())));
            }
            sys::rd_kafka_headers_destroy(headers);
        }
        all
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: given back once, by its owner.
        unsafe { sys::rd_kafka_message_destroy(self.message.as_ptr()) }
    }
}

fn is_ok(error: sys::rd_kafka_resp_err_t) -> bool {
    RDKafkaErrorCode::from(error) == RDKafkaErrorCode::NoError
}

/// # Safety
/// So many bytes must be there, for as long as the slice is used.
unsafe fn slice<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// The end of a partition as the last fetch saw it; `None` before the first. Asks nobody.
pub(super) fn end_last_seen(consumer: &BaseConsumer<Context>, topic: &str, partition: i32) -> Option<u64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: a live consumer, a C string, and places for both numbers.
    let code = unsafe {
        let rk = consumer.client().native_ptr();
        sys::rd_kafka_get_watermark_offsets(rk, topic.as_ptr(), partition, &raw mut low, &raw mut high)
    };
    if is_ok(code) { u64::try_from(high).ok() } else { None }
}

/// The ids of topics; those that do not exist are left out. Waits for the broker at most so long.
///
/// # Errors
/// What the broker, or librdkafka in its place, said.
pub(super) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    wait: Duration,
) -> Result<BTreeMap<String, [u8; 16]>, RDKafkaErrorCode> {
    let names: Vec<_> = topics.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: all is made and given back here, in the reverse order; the client outlives it. What the event holds is
    // copied before the event is given back.
    unsafe {
        let queue = sys::rd_kafka_queue_new(rk);
        let options = sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let (mut text, text_len) = ([0; 256], 256);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, text.as_mut_ptr(), text_len);
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(rk, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, wait_ms);
        let ids = read_topic_ids(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
        ids
    }
}

/// # Safety
/// The event must be live, or null.
unsafe fn read_topic_ids(event: *mut sys::rd_kafka_event_t) -> Result<BTreeMap<String, [u8; 16]>, RDKafkaErrorCode> {
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    let mut ids = BTreeMap::new();
    // SAFETY: the caller's promise; everything read belongs to the event.
    unsafe {
        let error = sys::rd_kafka_event_error(event);
        if !is_ok(error) {
            return Err(error.into());
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for i in 0..count {
            let description = *descriptions.add(i);
            let error = sys::rd_kafka_TopicDescription_error(description);
            match RDKafkaErrorCode::from(sys::rd_kafka_error_code(error)) {
                RDKafkaErrorCode::NoError => {}
                RDKafkaErrorCode::UnknownTopicOrPartition => continue,
                code => return Err(code),
            }
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description));
            let id = sys::rd_kafka_TopicDescription_topic_id(description);
            let high = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
            let low = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
            let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
            ids.insert(name.to_string_lossy().into_owned(), bytes);
        }
    }
    Ok(ids)
}
