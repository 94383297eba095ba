//! What callers are told when a call fails: a `google.rpc.Status` with one `ErrorInfo`, made here and nowhere else.

use std::{collections::HashMap, fmt, time::Duration};

use metrics::counter;
use receipt_domain::{answer::Unanswerable, limits::REQUEST_MAX_BYTES};
use receipt_log::{ErrorKind, LogError};
use receipt_projector::{ProjectorError, Unserved};
use receipt_proto::{InvalidField, v1::ErrorReason};
use receipt_snapshot::SnapshotError;
use receipt_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{api::NotReached, snapshots::SnapshotsError};

/// Whose reasons they are.
const DOMAIN: &str = "receipts.v1";
/// When to try again what may go well soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Characters of a token that an error carries, at most; those of some 250 partitions.
const TOKEN_IN_HEADERS_MAX_CHARS: usize = 4096;

/// A failed call, on its way to be a [`Status`].
pub(crate) struct Problem {
    code: Code,
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    violation: Option<(String, String)>,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(code: Code, reason: ErrorReason, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { code, reason, message, metadata: HashMap::new(), violation: None, retry_after: None }
    }

    fn of_field(reason: ErrorReason, field: &str, problem: &str) -> Self {
        let mut of_field = Self::new(Code::InvalidArgument, reason, format_args!("{field} {problem}"));
        of_field.violation = Some((field.to_owned(), problem.to_owned()));
        of_field.with("field", field)
    }

    fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn retry(mut self) -> Self {
        self.retry_after = Some(RETRY_AFTER);
        self
    }

    /// Of a write that is in the log all the same.
    pub(crate) fn durable(mut self, token: &str) -> Self {
        self.message.push_str("; what was sent is durable, and is applied in time");
        // Errors travel in headers, which clients bound: the token of very many partitions would break the call.
        if token.len() <= TOKEN_IN_HEADERS_MAX_CHARS { self.with("consistency_token", token) } else { self }
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let Problem { code, reason, message, metadata, violation, retry_after } = problem;
        let name = reason.as_str_name();
        let name = name.strip_prefix("ERROR_REASON_").unwrap_or(name);
        let mut details = ErrorDetails::with_error_info(name, DOMAIN, metadata);
        if let Some((field, description)) = violation {
            details.add_bad_request_violation(field, description);
        }
        if retry_after.is_some() {
            details.set_retry_info(retry_after);
        }
        Status::with_error_details(code, message, details)
    }
}

/// A field that breaks a rule or a limit.
pub(crate) fn invalid(field: InvalidField) -> Status {
    let InvalidField { field, problem, limit } = field;
    if !limit {
        return Problem::of_field(ErrorReason::InvalidField, &field, &problem).into();
    }
    let mut exceeded = Problem::of_field(ErrorReason::LimitExceeded, &field, &problem);
    if let Some(max) = named_limit(&problem) {
        exceeded = exceeded.with("limit", max);
    }
    exceeded.into()
}

/// The limit that a text such as "has 129 bytes, at most 128 are allowed" names.
fn named_limit(problem: &str) -> Option<u64> {
    let (_, after) = problem.rsplit_once("at most ")?;
    after.split(' ').next()?.parse().ok()
}

/// A list that is empty and must not be, or that is too long.
pub(crate) fn check_len(field: &str, len: usize, max: usize) -> Result<(), Status> {
    if len == 0 {
        let problem = format_args!("must not be empty: 1 to {max} entries are allowed");
        return Err(invalid(InvalidField::rule(field, problem)));
    }
    if len > max { Err(invalid(InvalidField::too_many(field, len, max))) } else { Ok(()) }
}

/// A page token that is damaged, or of another walk (S27).
pub(crate) fn page_token(problem: &str) -> Status {
    Problem::of_field(ErrorReason::InvalidPageToken, "page_token", problem).into()
}

/// A consistency token that is damaged, or of another log (S29).
pub(crate) fn consistency_token(index: usize, problem: &str) -> Status {
    let field = format!("consistency_tokens[{index}]");
    Problem::of_field(ErrorReason::InvalidConsistencyToken, &field, problem).into()
}

/// A resume token that is damaged, or another user's (S34).
pub(crate) fn resume_token(problem: &str) -> Status {
    Problem::of_field(ErrorReason::InvalidResumeToken, "resume_token", problem).into()
}

/// A stream more than there may be.
pub(crate) fn too_many_streams(of: &str, max: usize) -> Status {
    let message = format_args!("there may be at most {max} streams {of} at a time: close one first");
    let problem = Problem::new(Code::ResourceExhausted, ErrorReason::TooManyStreams, message);
    problem.with("limit", max).into()
}

/// A question about the past more than there may be.
pub(crate) fn too_many_as_of(max: usize) -> Status {
    let message = format_args!(
        "{max} questions about the past, or one of the same partition, are being answered: ask again when they are"
    );
    Problem::new(Code::ResourceExhausted, ErrorReason::Overloaded, message).with("limit", max).retry().into()
}

/// A state of the past that could not be folded.
pub(crate) fn unfolded(why: &ProjectorError) -> Status {
    match why {
        ProjectorError::BeforeLog { .. } => invalid(InvalidField::rule("time", format_args!("is too early: {why}"))),
        ProjectorError::NoBeginning { partition, .. }
        | ProjectorError::TooEarly { partition, .. }
        | ProjectorError::NoUsableSnapshot { partition, .. }
        | ProjectorError::UnknownArrival { partition, .. } => {
            let problem = Problem::new(Code::FailedPrecondition, ErrorReason::LogTrimmed, why);
            problem.with("partition", partition).into()
        }
        ProjectorError::Log(why) => unread(why),
        why => {
            tracing::error!(%why, "a state of the past could not be folded");
            internal("the state of that moment could not be folded")
        }
    }
}

/// A state of the past that could not be read.
pub(crate) fn past_unread(why: &StoreError) -> Status {
    tracing::error!(%why, "a state of the past could not be read");
    internal("the state of that moment could not be read")
}

/// A request over the limit, which was not read (S39).
pub(crate) fn request_too_large() -> Status {
    let message = format_args!("the request is too large: at most {REQUEST_MAX_BYTES} bytes are allowed");
    let problem = Problem::new(Code::InvalidArgument, ErrorReason::LimitExceeded, message);
    problem.with("field", "request").with("limit", REQUEST_MAX_BYTES).into()
}

/// A list that has more entries than it may have, of a request that was not decoded.
pub(crate) fn too_many_entries(field: &str, max: usize) -> Status {
    let problem = format!("has more than {max} entries, at most {max} are allowed");
    Problem::of_field(ErrorReason::LimitExceeded, field, &problem).with("limit", max).into()
}

/// A body that did not come in time.
pub(crate) fn body_too_slow(max: Duration) -> Status {
    let message =
        format_args!("the request did not end within {} s of its beginning: nothing was done", max.as_secs_f64());
    Problem::new(Code::DeadlineExceeded, ErrorReason::Overloaded, message).retry().into()
}

/// The bodies in flight have taken all memory that they may.
pub(crate) fn no_memory_for_bodies() -> Status {
    let message = "the requests in flight, of all or of this connection, have all the memory that they may have";
    Problem::new(Code::ResourceExhausted, ErrorReason::Overloaded, message).retry().into()
}

/// As many calls of a kind as there may be are under way.
pub(crate) fn too_many_calls(of: &str, max: usize) -> Problem {
    let message = format!("{max} calls that {of} are under way, as many as there may be");
    Problem::new(Code::ResourceExhausted, ErrorReason::Overloaded, message).with("limit", max).retry()
}

/// A request that is no such message.
pub(crate) fn undecodable(why: &str) -> Status {
    Problem::new(Code::InvalidArgument, ErrorReason::InvalidField, why).with("field", "request").into()
}

/// A message about which there is no answer (S25).
pub(crate) fn unanswerable(why: Unanswerable) -> Status {
    let (code, reason, message) = match why {
        Unanswerable::NotFound => (Code::NotFound, ErrorReason::MessageNotFound, "there is no such message"),
        Unanswerable::PermissionDenied => {
            let message = "only the message's sender or a service may ask about it";
            (Code::PermissionDenied, ErrorReason::NotAllowed, message)
        }
        Unanswerable::NotRequested => {
            let message = "the message does not ask for receipts";
            (Code::FailedPrecondition, ErrorReason::ReceiptNotRequested, message)
        }
        Unanswerable::Expired => {
            (Code::FailedPrecondition, ErrorReason::MessageExpired, "the message's retention has ended")
        }
    };
    Problem::new(code, reason, message).into()
}

/// A partition that does not serve.
pub(crate) fn unserved(partition: u32, why: &Unserved) -> Problem {
    let problem = match why {
        Unserved::CatchingUp => {
            let message = format_args!("partition {partition} is catching up with the log");
            Problem::new(Code::Unavailable, ErrorReason::PartitionNotServed, message).retry()
        }
        // Why, with paths and commands, is in the server's log and in ListPartitions.
        Unserved::Sealed(_) => {
            let message = format_args!("partition {partition} is sealed and answers nothing: ask the operator");
            Problem::new(Code::Unavailable, ErrorReason::PartitionSealed, message)
        }
        Unserved::Stopped => stopped(),
    };
    problem.with("partition", partition)
}

/// The server is to stop.
pub(crate) fn stopped() -> Problem {
    Problem::new(Code::Unavailable, ErrorReason::ShuttingDown, "the server is shutting down").retry()
}

/// A partition that was not at the offsets in time.
pub(crate) fn not_reached(partition: u32, why: &NotReached) -> Problem {
    match why {
        NotReached::Unserved(why) => unserved(partition, why),
        NotReached::TooManyWait { max } => too_many_calls("wait for the state", *max),
        NotReached::Behind => {
            let message = format_args!("partition {partition} did not reach the state asked for in time");
            let problem = Problem::new(Code::DeadlineExceeded, ErrorReason::StateBehind, message);
            problem.with("partition", partition).retry()
        }
    }
}

/// What became of an event is known no more.
pub(crate) fn forgotten(partition: u32) -> Problem {
    let message = "the events were appended, but what became of them is no longer known: send them again with the same \
                   `version`, and those that were applied are told to be repeats";
    Problem::new(Code::Unavailable, ErrorReason::PartitionNotServed, message).with("partition", partition).retry()
}

/// The log did not take an append.
pub(crate) fn log(error: &LogError) -> Status {
    if let LogError::RecordTooLarge { part, max, .. } = error {
        let problem = Problem::new(Code::InvalidArgument, ErrorReason::LimitExceeded, error);
        return problem.with("field", part).with("limit", max).into();
    }
    if let LogError::TooManyHeaders { max, .. } = error {
        let problem = Problem::new(Code::InvalidArgument, ErrorReason::LimitExceeded, error);
        return problem.with("field", "headers").with("limit", max).into();
    }
    let unavailable = |message| Problem::new(Code::Unavailable, ErrorReason::LogUnavailable, message);
    match error.kind() {
        ErrorKind::Retry if matches!(error, LogError::Unavailable { .. }) => {
            tracing::warn!(%error, "append failed");
            log_slow()
        }
        ErrorKind::Retry => {
            // That is logged when it comes and when it goes.
            if !matches!(error, LogError::DiskFull { .. }) {
                tracing::warn!(%error, "append refused");
            }
            unavailable("the log takes no records at present; nothing was appended").retry().into()
        }
        // Such as a topic on Kafka that is set up wrongly: nothing that a client could change.
        ErrorKind::Invalid => {
            tracing::error!(%error, "append refused");
            unavailable("the log does not take what was sent: ask the operator").into()
        }
        ErrorKind::Corrupt | ErrorKind::Fatal => {
            tracing::error!(%error, "append failed");
            unavailable("the log takes no more records; what was sent may or may not be in it").into()
        }
    }
}

/// There is no such dead letter.
pub(crate) fn no_dead_letter(partition: u32, offset: u64) -> Status {
    let message = format_args!("there is no dead letter {partition}/{offset}");
    let problem = Problem::new(Code::NotFound, ErrorReason::DeadLetterNotFound, message);
    problem.with("partition", partition).with("offset", offset).into()
}

/// A dead letter that cannot be tried again.
pub(crate) fn incomplete_dead_letter(place: &str, why: &str) -> Status {
    let message = format_args!("dead letter {place} cannot be tried again: {why}");
    Problem::new(Code::FailedPrecondition, ErrorReason::DeadLetterIncomplete, message).into()
}

/// The log could not be read.
pub(crate) fn unread(error: &LogError) -> Status {
    if error.kind() == ErrorKind::Retry {
        tracing::warn!(%error, "the log was not read");
        return log_silent();
    }
    tracing::error!(%error, "the log cannot be read");
    Problem::new(Code::Unavailable, ErrorReason::LogUnavailable, "the log cannot be read").into()
}

/// The log did not answer a question in time.
pub(crate) fn log_silent() -> Status {
    Problem::new(Code::Unavailable, ErrorReason::LogUnavailable, "the log does not answer").retry().into()
}

/// The log did not answer in time.
pub(crate) fn log_slow() -> Status {
    let message = "the log does not answer; what was sent may or may not be in it";
    Problem::new(Code::Unavailable, ErrorReason::LogUnavailable, message).retry().into()
}

/// Partitions are folded aside already.
pub(crate) fn replay_running() -> Status {
    let message = "another call folds partitions aside: wait until it has ended, or cancel it";
    Problem::new(Code::FailedPrecondition, ErrorReason::ReplayRunning, message).into()
}

/// There is no place for snapshots.
pub(crate) fn no_snapshot_place() -> Status {
    let message = "receiptd was started without a place for snapshots: start it with --snapshots";
    Problem::new(Code::FailedPrecondition, ErrorReason::NoSnapshotPlace, message).into()
}

/// A snapshot was not taken, or the log not trimmed.
pub(crate) fn snapshots(error: &SnapshotsError) -> Status {
    match error {
        SnapshotsError::Snapshot(SnapshotError::Stopped) => replay(&ProjectorError::Stopped),
        SnapshotsError::Projector(error) => replay(error),
        error => {
            tracing::error!(%error, "snapshots");
            // For operators, who have to know.
            internal(&error.to_string())
        }
    }
}

/// A partition could not be folded aside, or did not take the place of its state.
pub(crate) fn replay(error: &ProjectorError) -> Status {
    match error {
        ProjectorError::Stopped => stopped().into(),
        error => {
            tracing::error!(%error, "folding aside failed");
            // For operators, who have to know.
            internal(&error.to_string())
        }
    }
}

/// The store could not be read.
pub(crate) fn store(partition: u32, error: &StoreError) -> Status {
    tracing::error!(partition, %error, "query failed");
    internal("the state could not be read")
}

/// A call that panicked: a defect of this program.
pub(crate) fn panicked(why: &str) -> Status {
    tracing::error!(why, "a call panicked");
    counter!("receiptd_panics_total", "thread" => "call").increment(1);
    let message = "the call panicked: this is a defect of receiptd, whose log has the cause; what it sent may or may not \
                   be in the log";
    Problem::new(Code::Internal, ErrorReason::Panicked, message).into()
}

/// A defect of this program, or of the machine.
pub(crate) fn internal(message: &str) -> Status {
    Problem::new(Code::Internal, ErrorReason::Unspecified, message).into()
}

#[cfg(test)]
mod tests;
