//! The limits of the contract (S13, S24, S26, S28, S39). Each error that names one takes it from here.

/// Bytes of a conversation id, at most (S39).
pub const CONVERSATION_ID_MAX_BYTES: usize = 256;
/// Bytes of a message id, user id or group type, at most (S39).
pub const ID_MAX_BYTES: usize = 128;
/// Bytes of a record's value, at most (S39).
pub const RECORD_VALUE_MAX_BYTES: usize = 1_000_000;
/// Bytes of a gRPC request, at most (S39).
pub const REQUEST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Entries of a member list or of a policy's group types in one event, at most (S39).
pub const EVENT_LIST_MAX: usize = 10_000;
/// Messages in one receipt, at most (S13).
pub const RECEIPT_MESSAGES_MAX: usize = 100;
/// Events in one publishing call, at most.
pub const PUBLISH_EVENTS_MAX: usize = 1_000;
/// Messages in one call for counts, at most (S24).
pub const QUERY_MESSAGES_MAX: usize = 100;
/// Users in one call for states, at most (S28).
pub const QUERY_READERS_MAX: usize = 100;
/// Entries of one page of members, at most (S26).
pub const PAGE_SIZE_MAX: u32 = 1_000;
/// Entries of a page where the caller names no size (S26).
pub const PAGE_SIZE_DEFAULT: u32 = 100;
/// New readers that one delta names, at most (S32).
pub const DELTA_READERS_MAX: usize = 100;
/// How far a time inside an event may be past its record's arrival, in milliseconds, before the arrival stands for it
/// (S20).
pub const TIME_AHEAD_MAX_MS: u64 = 5 * 60 * 1000;
/// The last millisecond of the year 9999, the highest valid time of a protobuf `Timestamp`.
pub const TIME_MAX_MS: u64 = 253_402_300_799_999;
